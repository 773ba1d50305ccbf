/**
 * The coordinator as last source of fragments: under a lease only (distribution 3.2).
 */
import type { Digest } from "../../protocol/ids.ts";
import { readJson } from "../../protocol/json.ts";
import { parseLeaseAnswer } from "../../protocol/lease.ts";
import { FRAGMENT_WIRE_MAX_BYTES, MANIFEST_MAX_BYTES } from "../../protocol/limits.ts";
import type { FetchManifest } from "../content/manifest-source.ts";
import type { Origin } from "../content/ports.ts";
import { bodyOf } from "./coordinator-client.ts";
import type { Session } from "./session.ts";

/** 32 grants and 32 refusals of about 400 bytes. */
const LEASE_ANSWER_MAX_BYTES = 64 * 1024;

export function createOrigin(session: Session, url: string): Origin {
  return {
    lease: async (request, signal) => {
      const answer = await session.request({
        method: "POST",
        path: "/v1/leases",
        body: request,
        limitBytes: LEASE_ANSWER_MAX_BYTES,
        signal,
      });
      const body = bodyOf("leases", url, answer);
      return parseLeaseAnswer(readJson("the lease answer", body, LEASE_ANSWER_MAX_BYTES));
    },
    fragment: async (digest, token, signal) => {
      const answer = await session.request({
        method: "GET",
        path: `/v1/fragments/${digest}`,
        headers: { "x-branchline-lease": token },
        limitBytes: FRAGMENT_WIRE_MAX_BYTES,
        signal,
      });
      return bodyOf("a fragment", url, answer);
    },
  };
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
