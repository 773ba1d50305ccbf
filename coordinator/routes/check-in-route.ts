/**
 * Check-in: place the endpoint, plan for it, and answer with what it does not have yet. All that counts in
 * the answer is signed; an unchanged endpoint gets the freshness statement alone (OCS-7, OCS-15).
 */
import {
  CheckInAnswerSchema,
  parseCheckInRequest,
  type CheckInAnswer,
  type CheckInRequest,
} from "../../protocol/check-in.ts";
import {
  ed25519PublicKey,
  EnvelopeSchema,
  openStatement,
  peekStatement,
  type Envelope,
} from "../../protocol/dsse.ts";
import { DeployError } from "../../protocol/errors.ts";
import { publicKeyOf, targetPathOf } from "../../protocol/ids.ts";
import { CHECK_IN_REQUEST_MAX_BYTES } from "../../protocol/limits.ts";
import { plainAddress } from "../../protocol/location-match.ts";
import { placeEndpoint } from "../core/placement.ts";
import { TABLES, type EndpointRecord, type Presence } from "../store/tables.ts";
import { catalogBundle } from "../trust/catalog.ts";
import { directiveDigest, signFreshness } from "../trust/statements.ts";
import type { App } from "./app-type.ts";
import { currentDirective } from "./directives.ts";
import { membershipMaker, rosterMaker } from "./memberships.ts";
import type { Parts } from "./parts.ts";
import { sessionBearer } from "./session.ts";

const SESSION_LIFE_MS = 3_600_000;

type Issue = (
  request: CheckInRequest,
  record: EndpointRecord,
  nowMs: number,
) => Partial<CheckInAnswer>;

export function addCheckInRoute(app: App, parts: Parts): void {
  const issues: readonly Issue[] = [
    rosterMaker(parts),
    membershipMaker(parts),
    (request, { id }, nowMs) => renewedSession(parts, request.held.sessionMs, id, nowMs),
  ];
  app.post(
    "/v1/check-in",
    {
      config: { caller: "public" },
      bodyLimit: CHECK_IN_REQUEST_MAX_BYTES,
      schema: { body: EnvelopeSchema, response: { 200: CheckInAnswerSchema } },
    },
    async (request) => {
      const nowMs = parts.now();
      const { checkIn, record } = openCheckIn(parts, request.body);
      const hasMoved = notePresence(parts, checkIn, record, { publicAddress: request.ip, nowMs });
      if (hasMoved) await parts.presence.flush();
      const answer = await trustedAnswer(parts, checkIn, record, nowMs);
      return issues.reduce<CheckInAnswer>(
        (whole, issue) => ({ ...whole, ...issue(checkIn, record, nowMs) }),
        answer,
      );
    },
  );
}

function openCheckIn(
  { records }: Parts,
  envelope: Envelope,
): { readonly checkIn: CheckInRequest; readonly record: EndpointRecord } {
  const { endpoint } = parseCheckInRequest(peekStatement(envelope, CHECK_IN_REQUEST_MAX_BYTES));
  const record = records.get(TABLES.endpoints, endpoint);
  if (record === undefined) {
    throw new DeployError("AUTH_REFUSED", { problem: "this endpoint has not joined the fleet" });
  }
  const checkIn = openStatement(
    "check-in",
    envelope,
    ed25519PublicKey(publicKeyOf(endpoint)),
    parseCheckInRequest,
    CHECK_IN_REQUEST_MAX_BYTES,
  );
  return { checkIn, record };
}

/** Whether something changed that others act on. Throws CHECK_IN_REPLAYED. */
function notePresence(
  { records, presence }: Parts,
  checkIn: CheckInRequest,
  record: EndpointRecord,
  seen: { readonly publicAddress: string; readonly nowMs: number },
): boolean {
  const { facts, counter, listen, os, arch, nodeVersion, bytes } = checkIn;
  const before = presence.get(record.id);
  if (before !== undefined && counter <= before.counter) {
    throw new DeployError("CHECK_IN_REPLAYED", { counter });
  }
  const publicAddress = plainAddress(seen.publicAddress);
  const sites = [...records.all(TABLES.sites)].sort((a, b) => a.order - b.order);
  const site = placeEndpoint({ facts, publicAddress, homeSite: record.homeSite, sites });
  const now: Presence = {
    counter,
    seenMs: seen.nowMs,
    gapMs: before === undefined ? 0 : Math.max(0, seen.nowMs - before.seenMs),
    facts,
    publicAddress,
    ...(site === undefined ? {} : { site }),
    listen,
    os,
    arch,
    nodeVersion,
    bytes,
  };
  presence.note(record.id, now);
  return before === undefined || before.site !== site || before.listen.join() !== listen.join();
}

async function trustedAnswer(
  parts: Parts,
  { nonce, held }: CheckInRequest,
  record: EndpointRecord,
  nowMs: number,
): Promise<CheckInAnswer> {
  const { directive, refs } = await currentDirective(parts, record, nowMs);
  const { catalog, online } = parts;
  const needsDirective = held.directive !== directive.version;
  // A new directive may name a bin that the endpoint has not needed before.
  const needsCatalog = needsDirective || held.catalog !== catalog.version();
  return {
    freshness: signFreshness(online, {
      v: 1,
      endpoint: record.id,
      nonce,
      timeMs: nowMs,
      directiveVersion: directive.version,
      directiveDigest: directiveDigest(directive.files),
      catalogVersion: catalog.version(),
      catalogDigest: catalog.digest(),
    }),
    ...(needsDirective ? { directive: directive.files } : {}),
    ...(needsCatalog
      ? { catalog: catalogBundle(catalog.files(), refs.map(targetPathOf), held.catalogRoot) }
      : {}),
  };
}

function renewedSession(
  { online }: Parts,
  heldMs: number,
  endpoint: EndpointRecord["id"],
  nowMs: number,
): Partial<CheckInAnswer> {
  if (heldMs - nowMs > SESSION_LIFE_MS / 2 && heldMs - nowMs <= SESSION_LIFE_MS) return {};
  const notAfterMs = nowMs + SESSION_LIFE_MS;
  const bearer = sessionBearer(online.sessionSecret, endpoint, notAfterMs);
  return { session: { bearer, notAfterMs } };
}
