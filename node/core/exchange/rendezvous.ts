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

/** In a site up to this size the neighbours that a node has found so far are the site. */
const SMALL_SITE_SIZE = 16;
/** In a larger one fewer do, as each is dialled by as many again: every message goes to all neighbours. */
const NEIGHBOUR_COUNT = 8;
const SMALL_SITE_NEIGHBOUR_COUNT = 12;

/** Neighbours that a fetching node dials beside the DP (distribution 5.4). */
export function neighbourCount(siteSize: number): number {
  return siteSize > SMALL_SITE_SIZE ? NEIGHBOUR_COUNT : SMALL_SITE_NEIGHBOUR_COUNT;
}

/**
 * Of two that know each other the one with the larger id leaves the first dial to the other, which may know of
 * nothing to fetch yet: not for long. Nobody waits for a DP to begin.
 */
export const SECOND_MOVE_MS = 200;
/** Before a peer that could not be reached is dialled again; doubles up to the second. */
export const REDIAL_MIN_MS = 1000;
export const REDIAL_MAX_MS = 60_000;

/**
 * Position in the whole site of the one that is `rank`-th among the peers that joined it: they are a
 * sample of a larger site, and at the beginning a small one.
 */
export function rankInSite(rank: number, joinedCount: number, siteSize: number): number {
  const isSample = siteSize > SMALL_SITE_SIZE || joinedCount >= neighbourCount(siteSize);
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
