/**
 * Check-in: place the endpoint, plan for it, and answer with what it does not have yet. All that counts in
 * the answer is signed; an unchanged endpoint gets the freshness statement alone (OCS-7, OCS-15).
 */
import type { KeyObject } from "node:crypto";
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
import { publicKeyOf, targetPathOf, type EndpointId, type SiteName } from "../../protocol/ids.ts";
import { CHECK_IN_REQUEST_MAX_BYTES } from "../../protocol/limits.ts";
import { plainAddress } from "../../protocol/location-match.ts";
import { placeEndpoint } from "../core/placement.ts";
import { TABLES, type EndpointRecord, type Presence } from "../store/tables.ts";
import { catalogBundle } from "../trust/catalog.ts";
import { directiveDigest, signFreshness } from "../trust/statements.ts";
import type { App } from "./app-type.ts";
import { directiveFinder, type CurrentDirective } from "./directives.ts";
import { keepHouse } from "./housekeeping.ts";
import { membershipMaker, rosterMaker } from "./memberships.ts";
import type { Parts } from "./parts.ts";
import { sessionBearer } from "./session.ts";
import { noteWoken } from "./wakes.ts";

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
  const findDirective = directiveFinder(parts);
  const place = placer(parts);
  const open = opener(parts);
  app.post(
    "/v1/check-in",
    {
      config: { caller: "public" },
      bodyLimit: CHECK_IN_REQUEST_MAX_BYTES,
      schema: { body: EnvelopeSchema, response: { 200: CheckInAnswerSchema } },
    },
    async (request) => {
      const nowMs = parts.now();
      const { checkIn, record } = open(request.body);
      const publicAddress = plainAddress(request.ip);
      const site = place(checkIn, record, publicAddress);
      const hasMoved = notePresence(parts, checkIn, record, { site, publicAddress, nowMs });
      if (hasMoved) await parts.presence.flush();
      const seen = parts.presence.get(record.id);
      if (seen !== undefined) await noteWoken(parts, record.id, seen);
      await keepHouse(parts);
      const directive = await findDirective(record, nowMs);
      const answer = trustedAnswer(parts, checkIn, { record, nowMs, ...directive });
      return issues.reduce<CheckInAnswer>(
        (whole, issue) => ({ ...whole, ...issue(checkIn, record, nowMs) }),
        answer,
      );
    },
  );
}

interface Opened {
  readonly checkIn: CheckInRequest;
  readonly record: EndpointRecord;
}

function opener({ records }: Parts): (envelope: Envelope) => Opened {
  const keys = new Map<EndpointId, KeyObject>();
  return (envelope) => {
    const { endpoint } = parseCheckInRequest(peekStatement(envelope, CHECK_IN_REQUEST_MAX_BYTES));
    const record = records.get(TABLES.endpoints, endpoint);
    if (record === undefined) {
      throw new DeployError("AUTH_REFUSED", { problem: "this endpoint has not joined the fleet" });
    }
    const key = keys.get(endpoint) ?? ed25519PublicKey(publicKeyOf(endpoint));
    keys.set(endpoint, key);
    const checkIn = openStatement(
      "check-in",
      envelope,
      key,
      parseCheckInRequest,
      CHECK_IN_REQUEST_MAX_BYTES,
    );
    return { checkIn, record };
  };
}

/** Places an endpoint again only where its facts or the sites have changed. */
function placer({ records, presence, sites, standing, now }: Parts) {
  const placedAt = new Map<EndpointId, number>();
  return (
    { facts }: CheckInRequest,
    { id, homeSite }: EndpointRecord,
    publicAddress: string,
  ): SiteName | undefined => {
    // Nobody of the site deals with it; what it needs it fetches for itself alone.
    if (standing.isBarred(id, now())) {
      placedAt.delete(id);
      return undefined;
    }
    const revision = records.revision(TABLES.sites);
    const before = presence.get(id);
    const isSame =
      before !== undefined &&
      placedAt.get(id) === revision &&
      before.publicAddress === publicAddress &&
      JSON.stringify(before.facts) === JSON.stringify(facts);
    if (isSame) return before.site;
    placedAt.set(id, revision);
    return placeEndpoint({ facts, publicAddress, homeSite, sites: sites.ordered() });
  };
}

interface Seen {
  readonly site: SiteName | undefined;
  readonly publicAddress: string;
  readonly nowMs: number;
}

/** Whether something changed that others act on. Throws CHECK_IN_REPLAYED. */
function notePresence(
  { presence }: Parts,
  checkIn: CheckInRequest,
  record: EndpointRecord,
  { site, publicAddress, nowMs }: Seen,
): boolean {
  const { facts, counter, listen, os, arch, nodeVersion, bytes, system, sharing, wasted, cache } =
    checkIn;
  const before = presence.get(record.id);
  if (before !== undefined && counter <= before.counter) {
    throw new DeployError("CHECK_IN_REPLAYED", { counter });
  }
  const presenceNow: Presence = {
    counter,
    seenMs: nowMs,
    gapMs: before === undefined ? 0 : Math.max(0, nowMs - before.seenMs),
    facts,
    publicAddress,
    ...(site === undefined ? {} : { site }),
    listen,
    os,
    arch,
    nodeVersion,
    bytes,
    ...(system === undefined ? {} : { system }),
    ...(sharing === undefined ? {} : { sharing }),
    ...(cache === undefined ? {} : { cache }),
    ...(wasted === undefined ? {} : { wasted }),
  };
  presence.note(record.id, presenceNow);
  return before === undefined || before.site !== site || before.listen.join() !== listen.join();
}

interface InForce extends CurrentDirective {
  readonly record: EndpointRecord;
  readonly nowMs: number;
}

function trustedAnswer(
  { catalog, director }: Parts,
  { nonce, held }: CheckInRequest,
  { directive, refs, record, nowMs }: InForce,
): CheckInAnswer {
  const needsDirective = held.directive !== directive.version;
  // A new directive may name a bin that the endpoint has not needed before.
  const needsCatalog = needsDirective || held.catalog !== catalog.version();
  return {
    freshness: signFreshness(director, {
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
