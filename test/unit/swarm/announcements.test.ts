/** Who hears of a fragment that came from a neighbour, and when. */
import { beforeEach, describe, expect, it } from "vitest";
import { Announcements } from "../../../node/core/exchange/announcements.ts";
import { Neighbour } from "../../../node/core/neighbour.ts";
import { Bitmap } from "../../../protocol/bitmap.ts";
import { endpointIdOf, type EndpointId } from "../../../protocol/ids.ts";

const [lacking, having, sender, dp] = [1, 2, 3, 4].map((seed) =>
  endpointIdOf(new Uint8Array(32).fill(seed)),
) as [EndpointId, EndpointId, EndpointId, EndpointId];
let announcements: Announcements;
let neighbours: Map<EndpointId, Neighbour>;

beforeEach(() => {
  announcements = new Announcements();
  neighbours = new Map(
    [lacking, having, sender, dp].map((peer) => [
      peer,
      new Neighbour(peer, peer === dp, new Bitmap(1000)),
    ]),
  );
});

/** Everyone but the first has fragments up to `count`. */
function haveUpTo(count: number): void {
  for (const peer of [having, sender, dp]) {
    for (let index = 0; index < count; index++) neighbours.get(peer)!.announced(index);
  }
}

function toldAt(nowMs: number): Record<string, readonly number[]> {
  const site = { neighbours, usualMs: 10, isEnd: false };
  return Object.fromEntries(
    announcements.due(site, nowMs).flatMap(({ peers, indices }) => peers.map((p) => [p, indices])),
  );
}

describe("what came from a neighbour", () => {
  it("is told at once to who lacks it, who sent it, and a DP; to the others with the next one they lack", () => {
    haveUpTo(1);
    announcements.arrived(0, sender);
    expect(toldAt(0)).toEqual({ [lacking]: [0], [sender]: [0], [dp]: [0] });

    announcements.arrived(1, sender);
    expect(toldAt(100)).toEqual({ [lacking]: [1], [having]: [0, 1], [sender]: [1], [dp]: [1] });
  });

  it("is told to everyone within a second", () => {
    haveUpTo(2);
    announcements.arrived(0, sender);
    toldAt(0);
    announcements.arrived(1, sender);
    toldAt(600);
    expect(toldAt(999)).toEqual({});

    expect(toldAt(1000)).toEqual({ [having]: [0, 1] });
    expect(toldAt(9000)).toEqual({});
  });

  it("is told to everyone where much has gathered", () => {
    haveUpTo(300);
    for (let index = 0; index < 300; index++) announcements.arrived(index, sender);

    expect(toldAt(0)[having]).toHaveLength(300);
  });

  it("is not told to who has left meanwhile", () => {
    haveUpTo(1);
    announcements.arrived(0, sender);
    toldAt(0);
    neighbours.delete(having);

    expect(toldAt(1000)).toEqual({});
  });
});
