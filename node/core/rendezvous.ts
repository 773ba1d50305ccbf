/** Rendezvous hashing: every node of a site orders the site's peers alike, without a message. */
import { createHash } from "node:crypto";
import type { EndpointId } from "../../protocol/ids.ts";

/** Position of `self` among `peers` (self included or not) for one topic; 0 is the highest hash. */
export function rendezvousRank(
  self: EndpointId,
  peers: readonly EndpointId[],
  topic: string,
): number {
  const own = weight(self, topic);
  return peers.filter((peer) => peer !== self && weight(peer, topic) > own).length;
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
