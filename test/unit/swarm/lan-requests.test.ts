/** Whom a fragment is asked of on the LAN: rarest first, slow peers spared, late ones doubled. */
import { describe, expect, it } from "vitest";
import { LanRequests } from "../../../node/core/exchange/lan-requests.ts";
import { SiteCopies } from "../../../node/core/exchange/site-copies.ts";
import { Bitmap } from "../../../protocol/bitmap.ts";
import { endpointIdOf, type EndpointId } from "../../../protocol/ids.ts";

const COUNT = 100;
const [quick, slow, third] = [1, 2, 3].map((seed) =>
  endpointIdOf(new Uint8Array(32).fill(seed)),
) as [EndpointId, EndpointId, EndpointId];

class Lan {
  readonly copies: number[] = [];
  readonly here = new Set<number>();
  readonly site = new SiteCopies(COUNT, (index, isProven) => {
    if (isProven) this.copies.push(index);
  });
  readonly requests: LanRequests;
  nowMs = 10_000;
  isEndgame = false;
  constructor() {
    let turn = 0;
    this.requests = new LanRequests(this.site, () => (turn++ * 0.618_034) % 1);
  }
  join(peer: EndpointId, indices: readonly number[]) {
    const have = new Bitmap(COUNT);
    for (const index of indices) have.add(index);
    this.site.joined(peer, false, have);
  }
  due() {
    const { isEndgame, here } = this;
    return this.requests.due(
      {
        isWanted: (index) => !here.has(index),
        isGone: (index) => here.has(index),
        few: undefined,
        isEndgame,
      },
      this.nowMs,
    );
  }
  arrive(index: number, source: EndpointId) {
    this.here.add(index);
    return this.requests.arrived(index, source, this.nowMs);
  }
  /** So many rounds in which a peer answers each request after some time. */
  answers(peer: EndpointId, tookMs: number, rounds: number) {
    for (let round = 0; round < rounds; round++) {
      const asked = this.due().filter((request) => request.peer === peer);
      this.nowMs += tookMs;
      for (const { index } of asked) this.arrive(index, peer);
    }
  }
}

const range = (from: number, to: number) =>
  Array.from({ length: to - from }, (_none, at) => from + at);

describe("requests to neighbours", () => {
  it("begin with one per peer and go to two once it has answered", () => {
    const lan = new Lan();
    lan.join(quick, range(0, 20));
    const [first, ...more] = lan.due();
    expect(more).toEqual([]);
    lan.arrive(first!.index, quick);

    expect(lan.due()).toHaveLength(2);
  });

  it("never go to two peers for one fragment while the first is in time", () => {
    const lan = new Lan();
    lan.join(quick, [1]);
    lan.join(slow, [1]);
    expect(lan.due()).toHaveLength(1);
    lan.nowMs += 299;
    expect(lan.due()).toEqual([]);
    lan.nowMs += 1;
    expect(lan.due()).toHaveLength(1);
  });

  it("go to a second peer at once in the endgame, and to a third when both are late", () => {
    const lan = new Lan();
    lan.isEndgame = true;
    for (const peer of [quick, slow, third]) lan.join(peer, [1]);

    expect(lan.due()).toHaveLength(2);
    lan.nowMs += 300;
    expect(lan.due()).toHaveLength(1);
    expect(
      lan
        .arrive(1, third)
        .map(({ peer }) => peer)
        .toSorted(),
    ).toEqual([quick, slow].toSorted());
  });

  it("spare a slow peer for what nobody else has", () => {
    const lan = new Lan();
    lan.join(slow, range(0, 6));
    lan.answers(slow, 900, 3);
    lan.join(quick, range(10, 40));
    lan.answers(quick, 10, 12);
    lan.site.announced(lan.site.neighbours.get(slow)!, [50, 60]);
    lan.site.announced(lan.site.neighbours.get(quick)!, [60]);
    for (const index of range(0, 50)) lan.here.add(index);

    const asked = lan.due();
    expect(asked).toContainEqual({ peer: slow, index: 50 });
    expect(asked).not.toContainEqual({ peer: slow, index: 60 });
  });

  it("that were given up are not repeated while they may still wait in the peer's queue", () => {
    const lan = new Lan();
    lan.join(slow, range(0, 20));
    const { index } = lan.due()[0]!;
    lan.nowMs += 3000;
    lan.requests.expire(lan.nowMs);
    expect(lan.requests.isAsked(index)).toBe(false);
    lan.nowMs += 20_000;
    expect(lan.due()).toEqual([]);
    lan.nowMs += 10_000;
    expect(lan.due()).toHaveLength(1);
  });

  it("are taken back where the fragment came from elsewhere, also those that were given up", () => {
    const lan = new Lan();
    lan.join(slow, [7]);
    lan.due();
    lan.nowMs += 3000;
    lan.requests.expire(lan.nowMs);
    lan.join(quick, [7]);
    expect(lan.due()).toEqual([{ peer: quick, index: 7 }]);

    expect(lan.arrive(7, quick)).toEqual([{ peer: slow, index: 7 }]);
    expect(lan.arrive(7, quick)).toEqual([]);
  });

  it("prove a peer alive by an answer that comes after they were given up", () => {
    const lan = new Lan();
    lan.join(slow, range(0, 20));
    const { index } = lan.due()[0]!;
    lan.nowMs += 3000;
    lan.requests.expire(lan.nowMs);
    lan.site.endTrials(lan.nowMs);
    expect(lan.site.of(19)).toBe(0);
    lan.arrive(index, slow);

    expect(lan.site.of(19)).toBe(1);
  });
});

describe("claims of a neighbour", () => {
  it("count for 0.5 s after the first request, then only when it has answered", () => {
    const lan = new Lan();
    lan.join(slow, range(0, 20));
    lan.due();
    lan.nowMs += 499;
    lan.site.endTrials(lan.nowMs);
    expect(lan.site.of(7)).toBe(1);
    lan.nowMs += 1;
    lan.site.endTrials(lan.nowMs);
    expect(lan.site.of(7)).toBe(0);
  });

  it("are told as proven only when it has answered: no lease is given back for a stranger's word", () => {
    const lan = new Lan();
    lan.join(quick, [1, 2]);
    expect(lan.copies).toEqual([]);
    const { index } = lan.due()[0]!;
    lan.arrive(index, quick);
    lan.site.announced(lan.site.neighbours.get(quick)!, [30]);

    expect(lan.copies).toEqual([30]);
  });
});
