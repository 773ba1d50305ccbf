/**
 * What nodes tell of leased fragments that they asked plain HTTPS origins for: the gate hears of it as if the
 * bytes had passed here, and the account of the line counts them.
 */
import type { Digest, EndpointId } from "../../protocol/ids.ts";
import type { PlainFetch } from "../../protocol/plain-origin.ts";
import type { Grant } from "../store/gate-book.ts";
import { digestAt, standingIndex, type PackageContent } from "../store/package-content.ts";
import { DP_SEEN_WITHIN_MS, tellGate } from "./gate-events.ts";
import type { Parts } from "./parts.ts";

/**
 * Only what was granted to this endpoint counts, and is done once. Resolves with the indices that it has no
 * grant of.
 */
export async function hearPlainFetches(
  parts: Parts,
  endpoint: EndpointId,
  content: PackageContent,
  { manifest, plain }: { readonly manifest: Digest; readonly plain: readonly PlainFetch[] },
): Promise<readonly number[]> {
  const lapsed: number[] = [];
  for (const fetch of plain) {
    const index = standingIndex(content, fetch.index);
    const digest = digestAt(content, index);
    const sizeBytes = (await parts.fragments.size(digest)) ?? 0;
    const remembered = parts.gate.grantOf(endpoint, digest);
    if (remembered === undefined) {
      lapsed.push(fetch.index);
      continue;
    }
    const grant = { ...remembered, manifest, index };
    hear(parts, endpoint, grant, { ...fetch, wastedBytes: Math.min(fetch.wastedBytes, sizeBytes) });
    if (fetch.outcome === "done") {
      parts.gate.addOriginBytes(endpoint, { ...grant, isPlain: true }, sizeBytes);
      parts.gate.forget(endpoint, digest);
    }
    parts.origins.told(fetch, sizeBytes, parts.now());
  }
  return lapsed;
}

function hear(parts: Parts, endpoint: EndpointId, grant: Grant, fetch: PlainFetch): void {
  switch (fetch.outcome) {
    case "flowing":
      tellGate(parts, endpoint, grant, "progress");
      return;
    case "done":
      markDone(parts, endpoint, grant);
      return;
    case "unreachable":
    case "absent":
    case "refused":
    case "broken":
    case "corrupt":
      // The lease stays: its holder comes here next.
      parts.gate.addOriginBytes(endpoint, { ...grant, isPlain: true }, fetch.wastedBytes);
      parts.gate.lostOriginBytes(grant, fetch.wastedBytes);
      return;
    default:
      fetch.outcome satisfies never;
  }
}

function markDone({ gate, sites, now }: Parts, endpoint: EndpointId, grant: Grant): void {
  const nowMs = now();
  const dps = sites.activeDps(grant.site, nowMs, DP_SEEN_WITHIN_MS);
  const nothing = { want: [], release: [], force: undefined };
  gate.send(grant, { type: "request", endpoint, ...nothing, done: [grant.index], dps }, nowMs);
}
