/** How the routes speak to the lease gate of a grant. */
import type { EndpointId } from "../../protocol/ids.ts";
import type { GateAnswer } from "../core/line/lease-gate.ts";
import type { Grant } from "../store/gate-book.ts";
import type { Parts } from "./parts.ts";

/** A DP that was silent for longer keeps nobody waiting. */
export const DP_SEEN_WITHIN_MS = 30_000;

export function tellGate(
  parts: Parts,
  endpoint: EndpointId,
  grant: Grant,
  type: "begin" | "progress" | "served" | "broken",
): GateAnswer {
  const nowMs = parts.now();
  const dps = parts.sites.activeDps(grant.site, nowMs, DP_SEEN_WITHIN_MS);
  return parts.gate.send(grant, { type, endpoint, index: grant.index, dps }, nowMs);
}
