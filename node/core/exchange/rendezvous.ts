/** Rendezvous hashing: every node of a site orders the site's peers alike, without a message. */
import { createHash } from "node:crypto";
import type { EndpointId } from "../../../protocol/ids.ts";

/** Position of `self` among `peers` (self included or not) for one topic; 0 is the highest hash. */
export function rendezvousRank(
  self: EndpointId,
  peers: readonly EndpointId[],
  topic: string,
): number {
  const own = weight(self, topic);
  return peers.filter((peer) => peer !== self && weight(peer, topic) > own).length;
}

/** Neighbours that a fetching node dials beside the DP (distribution 5.4). */
export const NEIGHBOUR_COUNT = 12;
/** In a site up to this size the neighbours that a node has found so far are the site. */
const SMALL_SITE_SIZE = 16;

/**
 * Position in the whole site of the one that is `rank`-th among the peers that joined it: they are a
 * sample of a larger site, and at the beginning a small one.
 */
export function rankInSite(rank: number, joinedCount: number, siteSize: number): number {
  const isSample = siteSize > SMALL_SITE_SIZE || joinedCount >= NEIGHBOUR_COUNT;
  const scale = isSample ? Math.max(1, siteSize / (joinedCount + 1)) : 1;
  return Math.round(rank * scale);
}

/** The `count` peers that `self` connects to: pseudo-random, stable, different for every node. */
export function chosenNeighbours(
  self: EndpointId,
  peers: readonly EndpointId[],
  count: number,
): readonly EndpointId[] {
  const ordered = peers
    .filter((peer) => peer !== self)
    .map((peer) => ({ peer, weight: weight(peer, self) }))
    .sort((one, other) => (one.weight < other.weight ? 1 : -1));
  return ordered.slice(0, count).map(({ peer }) => peer);
}

function weight(peer: EndpointId, topic: string): string {
  return createHash("sha256").update(`${peer}\n${topic}`).digest("hex");
}
