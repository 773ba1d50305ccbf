/**
 * The coordinator as last source of fragments: under a lease only (distribution 3.2).
 */
import type { Logger } from "pino";
import type { Digest } from "../../protocol/ids.ts";
import { readJson } from "../../protocol/json.ts";
import { parseLeaseAnswer } from "../../protocol/lease.ts";
import { FRAGMENT_WIRE_MAX_BYTES, MANIFEST_MAX_BYTES } from "../../protocol/limits.ts";
import type { FetchManifest } from "../content/manifest-source.ts";
import type { Origin, Refusal } from "../content/ports.ts";
import type { TrustStore } from "../trust/trust-store.ts";
import { bodyOf, type CoordinatorAnswer } from "./coordinator-client.ts";
import type { LineProbe } from "./line-probe.ts";
import type { Manners } from "./manners.ts";
import { createPlainClient } from "./plain-client.ts";
import { PlainOrigins } from "./plain-origins.ts";
import type { Session } from "./session.ts";

/** 32 grants and 32 refusals of about 400 bytes. */
const LEASE_ANSWER_MAX_BYTES = 64 * 1024;

/** How this node uses its site's line; without it a transfer begins at any time and nothing is measured. */
export interface LineUse {
  readonly manners: Pick<Manners, "lineClosedForMs" | "download">;
  readonly probe: Pick<LineProbe, "turn" | "during">;
}

export function createOrigin(session: Session, url: string, line?: LineUse): Origin {
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
      const transfer = async (): Promise<CoordinatorAnswer> =>
        session.request({
          method: "GET",
          path: `/v1/fragments/${digest}`,
          headers: { "x-branchline-lease": token },
          limitBytes: FRAGMENT_WIRE_MAX_BYTES,
          lane: "bulk",
          signal,
        });
      const answer = await (line === undefined ? transfer() : line.probe.during(transfer));
      const bytes = bodyOf("a fragment", url, answer);
      await line?.manners.download(bytes.length);
      return bytes;
    },
  };
}

/** What the origin of a node is made of. */
export interface NodeOriginParts {
  readonly session: Session;
  readonly url: string;
  readonly trust: Pick<TrustStore, "roster">;
  readonly settings: { readonly ownAddress: string | undefined };
  readonly manners: Manners;
  readonly probe: LineProbe;
  readonly onRefusal: (refusal: Refusal) => void;
  readonly log: Logger;
}

/** The coordinator, and before it the plain HTTPS origins that the signed roster names. */
export function openOrigin(stack: AsyncDisposableStack, parts: NodeOriginParts): Origin {
  const { session, url, trust, manners, probe } = parts;
  const client = stack.use(createPlainClient(parts.settings.ownAddress));
  return stack.use(
    new PlainOrigins({
      coordinator: createOrigin(session, url, { manners, probe }),
      client,
      origins: () => trust.roster()?.origins ?? [],
      lineBytesPerSec: () => trust.roster()?.policy?.downBytesPerSec,
      manners,
      onRefusal: parts.onRefusal,
      log: parts.log,
      nowMs: () => performance.now(),
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
