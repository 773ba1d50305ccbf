/**
 * The coordinator as last source of fragments: under a lease only (distribution 3.2).
 */
import { hash } from "node:crypto";
import { join } from "node:path";
import type { Logger } from "pino";
import { DeployError } from "../../protocol/errors.ts";
import type { Digest } from "../../protocol/ids.ts";
import { readJson } from "../../protocol/json.ts";
import { parseLeaseAnswer } from "../../protocol/lease.ts";
import { FRAGMENT_WIRE_MAX_BYTES, MANIFEST_MAX_BYTES } from "../../protocol/limits.ts";
import { BegunFragments, UNKEPT, type BegunTransfer } from "../content/begun-fragments.ts";
import type { FetchManifest } from "../content/manifest-source.ts";
import type { FragmentStore, Origin, Refusal } from "../content/ports.ts";
import type { TrustStore } from "../trust/trust-store.ts";
import { bodyOf, type CoordinatorAnswer, type CoordinatorRequest } from "./coordinator-client.ts";
import type { LineProbe } from "./line-probe.ts";
import type { Manners } from "./manners.ts";
import { createPlainClient } from "./plain-client.ts";
import { PlainOrigins } from "./plain-origins.ts";
import type { Session } from "./session.ts";

/** 32 grants and 32 refusals of about 400 bytes. */
const LEASE_ANSWER_MAX_BYTES = 64 * 1024;

/** Nothing begins where the kept part ends: it is of another fragment, or longer than this one. */
const RANGE_REFUSED: ReadonlySet<number> = new Set([400, 416]);
const NONE_BEGUN = { has: () => false, transfer: async () => UNKEPT };

/** How this node uses its site's line; without it a transfer begins at any time and nothing is measured. */
export interface LineUse {
  readonly manners: Pick<Manners, "lineClosedForMs" | "download">;
  readonly probe: Pick<LineProbe, "turn" | "during">;
}

/** What a broken transfer has brought is kept in `begun`; without it each begins at the first byte. */
export function createOrigin(
  session: Session,
  url: string,
  line?: LineUse,
  begun: Pick<BegunFragments, "has" | "transfer"> = NONE_BEGUN,
): Origin {
  return {
    lease: async (request, signal) => {
      const closedMs = Math.ceil(line?.manners.lineClosedForMs() ?? 0);
      // What is under way ends; nothing new begins outside the hours.
      const isWish = request.want.length > 0;
      if (closedMs > 0 && isWish) return { grants: [], leased: [], retryAfterMs: closedMs };
      const answer = await session.request({
        method: "POST",
        path: "/v1/leases",
        body: request,
        limitBytes: LEASE_ANSWER_MAX_BYTES,
        signal,
      });
      const body = bodyOf("leases", url, answer);
      const leases = parseLeaseAnswer(readJson("the lease answer", body, LEASE_ANSWER_MAX_BYTES));
      line?.probe.turn(leases.isBackground === true);
      return leases;
    },
    fragment: async (digest, token, signal) => {
      const kept = await begun.transfer(digest);
      const transfer = async (): Promise<CoordinatorAnswer> =>
        session.request(fragmentRequest(digest, token, kept, signal));
      const asked = line === undefined ? transfer() : line.probe.during(transfer);
      const answer = await asked.catch(async (error: unknown) => {
        await kept.broke();
        throw error;
      });
      const isOver = answer.kind === "answered" || RANGE_REFUSED.has(answer.status);
      await (isOver ? kept.done() : kept.broke());
      const body = bodyOf("a fragment", url, answer);
      await line?.manners.download(body.length);
      return answer.kind === "answered" && answer.isRest
        ? wholeFragment(digest, kept.before, body)
        : body;
    },
    hasBegun: (digest) => begun.has(digest),
  };
}

function fragmentRequest(
  digest: Digest,
  token: string,
  { before: { length }, came }: BegunTransfer,
  signal: AbortSignal,
): CoordinatorRequest {
  return {
    method: "GET",
    path: `/v1/fragments/${digest}`,
    headers: {
      "x-branchline-lease": token,
      ...(length === 0 ? {} : { range: `bytes=${length}-` }),
    },
    limitBytes: FRAGMENT_WIRE_MAX_BYTES,
    onPart: came,
    lane: "bulk",
    signal,
  };
}

/** What lay on the disk may have suffered: then the fragment comes anew, and nobody is to blame. */
function wholeFragment(digest: Digest, before: Buffer, rest: Buffer): Buffer {
  const bytes = Buffer.concat([before, rest]);
  if (hash("sha256", bytes, "hex") === digest) return bytes;
  const problem = "what came before its transfer broke does not go with the rest";
  throw new DeployError("DOCUMENT_INVALID", { what: `fragment ${digest}`, problem });
}

function steadyMs(): number {
  return performance.now();
}

/** What the origin of a node is made of. */
export interface NodeOriginParts {
  readonly session: Session;
  readonly url: string;
  readonly trust: Pick<TrustStore, "roster">;
  readonly settings: { readonly ownAddress: string | undefined };
  readonly manners: Manners;
  readonly probe: LineProbe;
  readonly dataDir: string;
  readonly store: Pick<FragmentStore, "has">;
  readonly onRefusal: (refusal: Refusal) => void;
  readonly log: Logger;
}

/** The coordinator, and before it the plain HTTPS origins that the signed roster names. */
export async function openOrigin(
  stack: AsyncDisposableStack,
  parts: NodeOriginParts,
): Promise<Origin> {
  const { session, url, trust, manners, probe, store } = parts;
  const isHeld = (digest: Digest): boolean => store.has(digest);
  const begun = await BegunFragments.open(join(parts.dataDir, "begun"), isHeld, steadyMs);
  const client = stack.use(createPlainClient(parts.settings.ownAddress));
  return stack.use(
    new PlainOrigins({
      coordinator: createOrigin(session, url, { manners, probe }, begun),
      client,
      origins: () => trust.roster()?.origins ?? [],
      lineBytesPerSec: () => trust.roster()?.policy?.downBytesPerSec,
      manners,
      onRefusal: parts.onRefusal,
      log: parts.log,
      nowMs: steadyMs,
    }),
  );
}

/** Manifests come from the coordinator alone; their digest is signed, so any source would do. */
export function manifestFetcher(session: Session, url: string): FetchManifest {
  return async (digest: Digest, signal: AbortSignal) => {
    const answer = await session.request({
      method: "GET",
      path: `/v1/manifests/${digest}`,
      limitBytes: MANIFEST_MAX_BYTES,
      signal,
    });
    return bodyOf("a manifest", url, answer);
  };
}
