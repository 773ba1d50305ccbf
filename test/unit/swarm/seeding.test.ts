/** How a DP offers what it has: fresh fragments to two, older ones to few, everything to the choosy. */
import { describe, expect, it } from "vitest";
import { Seeding } from "../../../node/core/exchange/seeding.ts";
import { SiteCopies } from "../../../node/core/exchange/site-copies.ts";
import { Bitmap } from "../../../protocol/bitmap.ts";
import { endpointIdOf, type EndpointId } from "../../../protocol/ids.ts";

class Office {
  readonly have: Bitmap;
  readonly site: SiteCopies;
  readonly seeding: Seeding;
  readonly peers: readonly EndpointId[];
  readonly offered = new Map<EndpointId, number[]>();
  nowMs = 10_000;
  constructor(peerCount: number, fragmentCount: number, isFull: boolean) {
    this.have = new Bitmap(fragmentCount);
    const held = isFull ? fragmentCount : 0;
    for (let index = 0; index < held; index++) this.have.add(index);
    this.site = new SiteCopies(fragmentCount, () => undefined);
    this.peers = Array.from({ length: peerCount }, (_none, at) => {
      const key = Buffer.alloc(32);
      key.writeUInt32BE(at + 1);
      return endpointIdOf(key);
    });
    for (const peer of this.peers) this.site.joined(peer, false, new Bitmap(fragmentCount));
    let turn = 0;
    this.seeding = new Seeding(this.have, () => (turn++ * 0.618_034) % 1);
  }
  arrive(index: number) {
    this.have.add(index);
    return this.heed(
      [this.seeding.arrived(index, this.site, this.nowMs)].flatMap((one) => one ?? []),
    );
  }
  due() {
    return this.heed(this.seeding.due(this.site, this.nowMs));
  }
  take(peer: EndpointId, indices: readonly number[]) {
    this.site.announced(this.site.neighbours.get(peer)!, indices);
    this.seeding.taken(peer, indices, this.nowMs);
  }
  private heed(
    announcements: readonly { indices: readonly number[]; peers: readonly EndpointId[] }[],
  ) {
    const offers: (readonly [EndpointId, number])[] = [];
    for (const { indices, peers } of announcements) {
      for (const peer of peers) for (const index of indices) offers.push([peer, index]);
    }
    for (const [peer, index] of offers) {
      this.offered.set(peer, [...(this.offered.get(peer) ?? []), index]);
    }
    return offers;
  }
}

describe("a DP that is still filling", () => {
  it("offers each fresh fragment to two peers, in turn over all", () => {
    const office = new Office(20, 100, false);
    for (let index = 0; index < 10; index++) {
      expect(office.arrive(index)).toHaveLength(2);
      expect(office.due()).toEqual([]);
    }

    expect(office.offered.size).toBe(20);
  });

  it("offers a fragment again after 0.5 s while it has fewer than four copies, and only then", () => {
    const office = new Office(20, 100, false);
    const firstTwo = office.arrive(7).map(([peer]) => peer);
    office.arrive(8);
    for (const peer of office.peers) office.take(peer, [8]);
    office.nowMs += 500;

    const again = office.due();
    expect(again.map(([, index]) => index)).toEqual([7, 7]);
    expect(again.some(([peer]) => firstTwo.includes(peer))).toBe(false);
  });

  it("never offers to 500 peers at once", () => {
    const office = new Office(500, 100, false);
    for (let index = 0; index < 20; index++) {
      for (const [peer, taken] of office.arrive(index)) office.take(peer, [taken]);
      office.nowMs += 100;
      const offers = office.due();
      expect(offers.length).toBeLessThanOrEqual(100);
      for (const [peer, taken] of offers) office.take(peer, [taken]);
    }
  });
});

describe("a DP that has everything", () => {
  it("gives each fragment to one peer before it gives any to a second", () => {
    const office = new Office(8, 200, true);
    const seen = new Set<number>([0]);
    while (seen.size < 200) {
      const offers = office.due();
      expect(offers.length).toBeGreaterThan(0);
      // Newcomers are offered the first fragment beside: it holds the index.
      for (const [, index] of offers.filter(([, at]) => at !== 0)) {
        expect(seen.has(index) && seen.size < 200).toBe(false);
        seen.add(index);
      }
      for (const [peer, index] of offers) office.take(peer, [index]);
      office.nowMs += 200;
    }
  });

  it("offers to 16 peers at a time", () => {
    const office = new Office(100, 500, true);
    office.due();

    expect(office.offered.size).toBe(16);
  });

  it("offers newcomers the pages first, in order", () => {
    const office = new Office(1, 500, true);
    const [peer] = office.peers as [EndpointId];
    for (let page = 0; page < 5; page++) {
      office.due();
      expect(office.offered.get(peer)).toContain(page);
      office.take(peer, [page]);
    }
  });

  it("offers more at a time to a peer that takes as fast as it can", () => {
    const office = new Office(1, 2000, true);
    const [peer] = office.peers as [EndpointId];
    const sizes = Array.from({ length: 8 }, () => {
      const offers = office.due();
      office.take(
        peer,
        offers.map(([, index]) => index),
      );
      office.nowMs += 50;
      return offers.length;
    });

    expect(sizes[0]).toBeLessThanOrEqual(6);
    expect(sizes.at(-1)).toBeGreaterThanOrEqual(60);
  });

  it("shows everything to a peer that takes nothing of what it is offered", () => {
    const office = new Office(2, 300, true);
    const [choosy, eager] = office.peers as [EndpointId, EndpointId];
    for (let round = 0; round < 10; round++) {
      for (const [peer, index] of office.due()) if (peer === eager) office.take(eager, [index]);
      office.nowMs += 200;
    }

    expect(new Set(office.offered.get(choosy)).size).toBe(300);
    expect(office.offered.get(eager)!.length).toBeLessThanOrEqual(301);
  });

  it("leaves its place to others when a peer goes", () => {
    const office = new Office(17, 500, true);
    office.due();
    const [last] = office.peers.filter((peer) => !office.offered.has(peer));
    const [gone] = office.offered.keys();
    office.site.left(gone!);
    office.seeding.left(gone!);
    office.due();

    expect(office.offered.has(last!)).toBe(true);
  });
});
