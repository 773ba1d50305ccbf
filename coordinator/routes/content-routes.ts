/**
 * Content for endpoints: manifests of what they are instructed to have, and fragments under a lease. Every
 * byte that leaves here is counted for its site (distribution 3.2).
 */
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { Type } from "typebox";
import { DeployError } from "../../protocol/errors.ts";
import { DigestSchema, type Digest, type EndpointId } from "../../protocol/ids.ts";
import { readJson } from "../../protocol/json.ts";
import {
  LEASE_TOKEN_LIFE_MS,
  LeaseAnswerSchema,
  LeaseRequestSchema,
  leaseToken,
  leaseTokenHolder,
  type LeaseAnswer,
  type LeaseRequest,
} from "../../protocol/lease.ts";
import { MANIFEST_MAX_BYTES } from "../../protocol/limits.ts";
import { parseManifest } from "../../protocol/manifest.ts";
import type { OpenBlob } from "../store/fragment-folder.ts";
import type { GatePlace, Grant } from "../store/gate-book.ts";
import type { LineTransfer } from "../store/line-book.ts";
import {
  digestAt,
  readContent,
  standingIndex,
  type PackageContent,
} from "../store/package-content.ts";
import { LateTurns } from "../core/line/late-turns.ts";
import { givesWay, lineWindow } from "../core/line/line-window.ts";
import { callerOf, type App } from "./app-type.ts";
import { FragmentArrivals } from "./fragment-arrivals.ts";
import { DP_SEEN_WITHIN_MS, tellGate } from "./gate-events.ts";
import type { Parts } from "./parts.ts";
import { hearPlainFetches } from "./plain-fetches.ts";
import { gateSite, lineSite, requireAssigned } from "./planning.ts";
import { ownZone, policyAt } from "./site-policy-routes.ts";

const CONTENT_CACHE_MAX = 64;
/** DSCP LE and DF in the byte of the IP header. */
const LOWER_EFFORT = 0x04;
const BEST_EFFORT = 0;
/** A node that may not use the line asks again after this long at the latest: limits can be lifted. */
const CLOSED_RETRY_MS = 60_000;
const config = { caller: "endpoint" } as const;
const digestParams = Type.Object({ digest: DigestSchema }, { additionalProperties: false });

export function addContentRoutes(app: App, parts: Parts): void {
  const contents = new Map<Digest, PackageContent>();
  const turns = new LateTurns();
  app.get(
    "/v1/manifests/:digest",
    { config, schema: { params: digestParams } },
    async (request, reply) => {
      const { digest } = request.params;
      requireAssigned(parts, callerOf(request), digest);
      const bytes = await parts.manifests.bytes(digest);
      if (bytes === undefined) throw new DeployError("NOT_FOUND", { what: `manifest ${digest}` });
      return reply.type("application/octet-stream").send(bytes);
    },
  );
  app.post(
    "/v1/leases",
    { config, schema: { body: LeaseRequestSchema, response: { 200: LeaseAnswerSchema } } },
    async (request) => {
      const endpoint = callerOf(request);
      const { manifest, plain = [] } = request.body;
      const { wireBytes } = requireAssigned(parts, endpoint, manifest);
      const content = await contentOf(parts, contents, manifest);
      // Before anything is granted, and whatever the hours: these bytes have crossed the line.
      const told = { manifest, plain };
      const lapsed = await hearPlainFetches(parts, endpoint, content, told);
      const answer =
        closedLine(parts, endpoint, manifest, wireBytes) ??
        lateTurn(parts, endpoint, turns) ??
        answerLeases(parts, endpoint, request.body, content);
      return { ...answer, ...(lapsed.length === 0 ? {} : { lapsed: [...lapsed] }) };
    },
  );
  addFragmentRoute(app, parts, turns);
}

function addFragmentRoute(app: App, parts: Parts, turns: LateTurns): void {
  const arrivals = new FragmentArrivals(parts.now);
  app.addHook("onRequest", async (request) => arrivals.requested(request.raw.socket));
  const leaseHeaders = Type.Object({ "x-branchline-lease": Type.String({ maxLength: 200 }) });
  app.get(
    "/v1/fragments/:digest",
    { config, schema: { params: digestParams, headers: leaseHeaders } },
    async (request, reply) => {
      const { digest } = request.params;
      const endpoint = callerOf(request);
      const grant = requireLease(parts, endpoint, digest, request.headers["x-branchline-lease"]);
      const blob = await parts.fragments.open(digest);
      if (blob === undefined) throw new DeployError("NOT_FOUND", { what: `fragment ${digest}` });
      const fromByte = rangeStart(request.headers.range, blob.sizeBytes);
      if (fromByte > 0) {
        parts.gate.keptOriginBytes(grant, fromByte);
        const last = blob.sizeBytes - 1;
        reply.status(206).header("content-range", `bytes ${fromByte}-${last}/${blob.sizeBytes}`);
      }
      const site = lineSite(parts, endpoint);
      markPackets(reply.raw.socket, givesWay(policyAt(parts, site)));
      const closed = new AbortController();
      const transfer: Transfer = {
        blob,
        fromByte,
        signal: closed.signal,
        line: parts.lines.open(site),
        sentBytes: 0,
        onSent: () => {
          if (grant.site === site) turns.used(site, parts.now());
        },
      };
      // Only what the connection has taken to the last byte counts as served, and only if it lives on.
      reply.raw.once("close", () => {
        closed.abort();
        transfer.line[Symbol.dispose]();
        if (reply.raw.writableFinished) {
          tellGate(parts, endpoint, grant, "served");
          arrivals.sent(reply.raw, () => tellGate(parts, endpoint, grant, "broken"));
        } else {
          parts.gate.lostOriginBytes(grant, transfer.sentBytes);
          tellGate(parts, endpoint, grant, "broken");
        }
      });
      return reply
        .type("application/octet-stream")
        .header("content-length", blob.sizeBytes - fromByte)
        .send(Readable.from(countedBytes(parts, endpoint, grant, transfer), { objectMode: false }));
    },
  );
}

/** Routers that know the mark send other packets first (RFC 8622); the rest treat these like any. */
function markPackets(socket: Socket | null, isBackground: boolean): void {
  const typeOfService = isBackground ? LOWER_EFFORT : BEST_EFFORT;
  try {
    if (socket?.getTypeOfService() !== typeOfService) socket?.setTypeOfService(typeOfService);
  } catch (error) {
    // A system that cannot mark, or a connection that has ended just now.
    if (!(error instanceof Error)) throw error;
  }
}

/** No grants outside the site's hours, nor where the endpoint was sent far more than the package. */
function closedLine(
  parts: Parts,
  endpoint: EndpointId,
  manifest: Digest,
  wireBytes: number,
): LeaseAnswer | undefined {
  const nowMs = parts.now();
  const place: GatePlace = { site: gateSite(parts, endpoint), manifest };
  const window = lineWindow(policyAt(parts, lineSite(parts, endpoint)), ownZone(), nowMs);
  if (!window.isOpen) {
    const waitMs = (window.changesMs ?? Number.POSITIVE_INFINITY) - nowMs;
    return { grants: [], leased: [], retryAfterMs: Math.min(waitMs, CLOSED_RETRY_MS) };
  }
  if (!parts.gate.isOverBudget(place, endpoint, wireBytes, nowMs)) return undefined;
  return { grants: [], leased: [], retryAfterMs: CLOSED_RETRY_MS };
}

/** No grants for a barred endpoint while its site's line is needed by the others. */
function lateTurn(parts: Parts, endpoint: EndpointId, turns: LateTurns): LeaseAnswer | undefined {
  const site = lineSite(parts, endpoint);
  if (gateSite(parts, endpoint) === site) return undefined;
  const retryAfterMs = Math.ceil(turns.waitMs(endpoint, site, parts.now()));
  return retryAfterMs === 0 ? undefined : { grants: [], leased: [], retryAfterMs };
}

async function contentOf(
  { fragments, manifests }: Parts,
  contents: Map<Digest, PackageContent>,
  digest: Digest,
): Promise<PackageContent> {
  const known = contents.get(digest);
  if (known !== undefined) return known;
  const bytes = await manifests.bytes(digest);
  if (bytes === undefined) throw new DeployError("NOT_FOUND", { what: `manifest ${digest}` });
  const manifest = parseManifest(readJson("the manifest", bytes, MANIFEST_MAX_BYTES));
  const content = await readContent(fragments, manifest);
  const [oldest] = contents.keys();
  if (contents.size >= CONTENT_CACHE_MAX && oldest !== undefined) contents.delete(oldest);
  contents.set(digest, content);
  return content;
}

function answerLeases(
  parts: Parts,
  endpoint: EndpointId,
  request: LeaseRequest,
  content: PackageContent,
): LeaseAnswer {
  const nowMs = parts.now();
  const place = { site: gateSite(parts, endpoint), manifest: request.manifest };
  // A fragment that occurs twice in a package crosses the line once: its first index stands for it.
  const askedAs = new Map<number, number>();
  for (const index of request.want) askedAs.set(standingIndex(content, index), index);
  const answer = parts.gate.send(
    place,
    {
      type: "request",
      endpoint,
      want: [...askedAs.keys()],
      ...(request.most === undefined ? {} : { most: request.most }),
      release: request.release.map((index) => standingIndex(content, index)),
      force: request.force,
      isGone: request.isGone === true,
      dps: parts.sites.activeDps(place.site, nowMs, DP_SEEN_WITHIN_MS),
    },
    nowMs,
  );
  const secret = Buffer.from(parts.online.leaseSecret, "hex");
  const policy = policyAt(parts, lineSite(parts, endpoint));
  const hasPlainOrigins = parts.origins.at(place.site).length > 0;
  return {
    ...(givesWay(policy) ? { isBackground: true } : {}),
    grants: answer.grants.map(({ index }) => {
      const digest = digestAt(content, index);
      const reason = parts.gate.reasonOf(place, index, request.force);
      const expiresMs = nowMs + LEASE_TOKEN_LIFE_MS;
      parts.gate.remember(endpoint, digest, { ...place, index, expiresMs, reason });
      const own = leaseToken(secret, digest, endpoint, expiresMs);
      const token = hasPlainOrigins ? parts.origins.signed(own, digest) : own;
      return { index: askedAs.get(index) ?? index, digest, token, ttlMs: LEASE_TOKEN_LIFE_MS };
    }),
    leased: answer.leased.map(({ index, ...rest }) => {
      return { index: askedAs.get(index) ?? index, ...rest };
    }),
    holders: answer.holders,
    retryAfterMs: answer.retryAfterMs,
  };
}

function requireLease(parts: Parts, endpoint: EndpointId, digest: Digest, token: string): Grant {
  const secret = Buffer.from(parts.online.leaseSecret, "hex");
  const holder = leaseTokenHolder(secret, digest, token, parts.now());
  const grant = parts.gate.grantOf(endpoint, digest);
  // The token tells of a grant; whether somebody else has been granted the fragment since, the gate knows.
  const isInForce = holder === endpoint && grant !== undefined && begins(parts, endpoint, grant);
  if (!isInForce) {
    throw new DeployError("ACCESS_REFUSED", {
      what: `fragment ${digest} without a lease in force`,
    });
  }
  return grant;
}

function begins(parts: Parts, endpoint: EndpointId, grant: Grant): boolean {
  return tellGate(parts, endpoint, grant, "begin").grants.length > 0;
}

/** First byte of a `bytes=N-` range; anything else is refused rather than guessed. */
function rangeStart(range: string | undefined, sizeBytes: number): number {
  if (range === undefined) return 0;
  const found = /^bytes=(\d{1,9})-$/u.exec(range);
  const fromByte = Number(found?.[1] ?? Number.NaN);
  if (!(fromByte < sizeBytes)) {
    const expected = `bytes=N- with N below ${sizeBytes}`;
    throw new DeployError("INPUT_INVALID", { what: `the range "${range.slice(0, 50)}"`, expected });
  }
  return fromByte;
}

interface Transfer {
  readonly blob: OpenBlob;
  readonly fromByte: number;
  /** The connection is closed: nothing that is read from then on reaches anybody. */
  readonly signal: AbortSignal;
  readonly line: LineTransfer;
  sentBytes: number;
  readonly onSent: () => void;
}

async function* countedBytes(
  parts: Parts,
  endpoint: EndpointId,
  grant: Grant,
  transfer: Transfer,
): AsyncGenerator<Buffer> {
  for await (const part of transfer.blob.read(transfer.fromByte)) {
    for (const bytes of paced(part, transfer.line.paceBytes())) {
      await transfer.line.take(bytes.length, transfer.signal);
      if (transfer.signal.aborted) return;
      parts.gate.addOriginBytes(endpoint, grant, bytes.length);
      transfer.sentBytes += bytes.length;
      transfer.onSent();
      parts.presence.touch(endpoint, parts.now());
      tellGate(parts, endpoint, grant, "progress");
      yield bytes;
    }
  }
}

function* paced(part: Buffer, paceBytes: number): Generator<Buffer> {
  if (part.length <= paceBytes) yield part;
  else for (let at = 0; at < part.length; at += paceBytes) yield part.subarray(at, at + paceBytes);
}
