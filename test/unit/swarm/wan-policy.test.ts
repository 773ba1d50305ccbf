/** When a node asks for leases, for how many, and when it leaves the line to others. */
import { describe, expect, it } from "vitest";
import { WanPolicy, type WanPlace } from "../../../node/core/exchange/wan-policy.ts";
import { endpointIdOf, parseDigest } from "../../../protocol/ids.ts";
import type { LeaseAnswer } from "../../../protocol/lease.ts";

const [dp, peer] = [1, 2].map((seed) => endpointIdOf(new Uint8Array(32).fill(seed))) as [
  ReturnType<typeof endpointIdOf>,
  ReturnType<typeof endpointIdOf>,
];
const alone: WanPlace = { role: "agent", dp: undefined, rank: 0, siteSize: 1 };
const NOTHING: LeaseAnswer = { grants: [], leased: [], retryAfterMs: 0, holders: 0 };

function granting(indices: readonly number[], holders = 1): LeaseAnswer {
  const digest = parseDigest("0".repeat(64));
  const grants = indices.map((index) => ({ index, digest, token: "t", ttlMs: 600_000 }));
  return { ...NOTHING, grants, holders };
}

class Node {
  readonly policy: WanPolicy;
  nowMs = 10_000;
  missing: number[];
  near = false;
  constructor(place: Partial<WanPlace> = {}, count = 1000, chance = 0) {
    this.policy = new WanPolicy({ ...alone, ...place }, chance, this.nowMs);
    this.missing = Array.from({ length: count }, (_none, at) => at);
  }
  wish(isSlow = false) {
    const indices = () => this.missing.filter((index) => !this.policy.holds(index));
    const missing = { count: this.missing.length, indices, isNear: () => this.near };
    return this.policy.nextWish(missing, isSlow, this.nowMs);
  }
  answer(answer: LeaseAnswer, tookMs = 20) {
    this.nowMs += tookMs;
    this.policy.answered(answer, this.nowMs);
  }
  /** A fragment from a neighbour, so many milliseconds later. */
  progress(gapMs: number, index = -1) {
    this.nowMs += gapMs;
    this.policy.progressed(index, this.nowMs);
  }
  fetches() {
    const begun: number[] = [];
    for (;;) {
      const fetch = this.policy.nextFetch(this.nowMs);
      if (fetch === undefined) return begun;
      begun.push(fetch.index);
    }
  }
}

/** From the first answer that another was sent the only fragment; every later one says the same. */
function forcedAfterMs(node: Node): number {
  const sent = { ...NOTHING, leased: [{ index: 0, holder: peer, isServed: true }] };
  node.wish();
  node.answer(sent);
  const sinceMs = node.nowMs;
  for (; node.nowMs - sinceMs < 30_000; node.nowMs += 20) {
    const wish = node.wish();
    if (wish?.force !== undefined) break;
    if (wish !== undefined) node.answer(sent, 0);
  }
  return node.nowMs - sinceMs;
}

/** How long a node of that rank keeps still when the site falls silent. */
function patienceOf(rank: number, gapMs: number): number {
  const node = new Node({ rank, siteSize: 16 });
  for (let index = 0; index < 100; index++) node.progress(gapMs);
  for (let waitedMs = 0; ; waitedMs += 50, node.nowMs += 50) {
    if (node.wish() !== undefined || waitedMs > 60_000) return waitedMs;
  }
}

/** Wishes of a node within 20 s of silence, each answered by nothing and so many holders. */
function wishCount(holders: number): number {
  const node = new Node({ rank: 3, siteSize: 32 });
  const endMs = node.nowMs + 20_000;
  let count = 0;
  for (; node.nowMs < endMs; node.nowMs += 50) {
    if (node.wish() === undefined) continue;
    count++;
    node.answer({ ...NOTHING, retryAfterMs: 1000, holders }, 0);
  }
  return count;
}

describe("lease wishes", () => {
  it("ask at once where nobody else is, for 32 fragments", () => {
    expect(new Node().wish()?.want).toHaveLength(32);
  });

  it("become smaller towards the end, so that no holder is left with the last ones", () => {
    expect(new Node({ siteSize: 16 }, 60).wish()?.most).toBe(10);
    expect(new Node({ siteSize: 16 }, 6).wish()?.most).toBe(4);
    expect(new Node({ role: "dp" }, 60).wish()?.most).toBe(32);
  });

  it("wait one step longer for each rank behind the three holders, by the pace of the line", () => {
    expect([0, 1, 2].map((rank) => patienceOf(rank, 100))).toEqual([0, 0, 0]);
    expect(patienceOf(5, 100)).toBeGreaterThan(patienceOf(4, 100));
    // 2 s between two fragments are the pace of a slow line, no reason to ask.
    expect(patienceOf(5, 2000)).toBeGreaterThanOrEqual(10_000);
  });

  it("do not wait longer after each outage: what forced fetches ration is no pace", () => {
    const node = new Node({ rank: 5, siteSize: 16 });
    for (let outage = 0; outage < 6; outage++) {
      for (let index = 0; index < 4; index++) node.progress(100);
      node.progress(17_000);
    }
    node.policy.stepDown();
    const silentMs = node.nowMs;
    while (node.wish() === undefined && node.nowMs - silentMs < 60_000) node.nowMs += 50;

    expect(node.nowMs - silentMs).toBeLessThanOrEqual(10_050);
  });

  it("take the word of the gate that all places are taken for progress of the site", () => {
    expect(wishCount(3)).toBeLessThan(wishCount(2));
    expect(wishCount(3)).toBeLessThanOrEqual(4);
  });

  it("of a large site that stands still on a slow line come one after another", () => {
    const waits = [4, 8, 20, 40].map((rank) => patienceOf(rank, 3000));

    expect(waits[0]).toBeLessThanOrEqual(10_050);
    expect(waits[1]).toBeGreaterThan(waits[0]!);
    expect(waits[2]).toBeGreaterThan(waits[1]! + 2000);
    expect(waits[3]).toBeGreaterThan(waits[2]! + 3500);
  });

  it("of a non-holder pause twice as long after each empty answer", () => {
    const node = new Node({ siteSize: 16 });
    const askedMs: number[] = [];
    for (const endMs = node.nowMs + 28_000; node.nowMs < endMs; node.nowMs += 50) {
      if (node.wish() === undefined) continue;
      askedMs.push(node.nowMs);
      node.answer({ ...NOTHING, retryAfterMs: 1000 }, 0);
    }
    const pauses = askedMs.slice(1).map((atMs, nth) => atMs - askedMs[nth]!);

    expect(pauses).toEqual([1000, 1400, 2800, 5600, 11_200]);
  });

  it("of a holder continue without any rank's wait", () => {
    const node = new Node({ rank: 9, siteSize: 16 });
    node.nowMs += 20_000;
    const want = node.wish()!.want;
    node.answer(granting(want));
    node.missing = node.missing.slice(32);
    node.progress(10);
    for (const index of want) node.policy.progressed(index, node.nowMs);

    expect(node.wish()?.want).toHaveLength(32);
  });

  it("wait for the DP 3 s, longer on a slow line, and not at all once its session broke", () => {
    const node = new Node({ dp, siteSize: 16 });
    for (let index = 0; index < 10; index++) node.progress(100);
    node.nowMs += 2900;
    expect(node.wish()).toBeUndefined();
    node.nowMs += 200;
    expect(node.wish()).toBeDefined();

    const slow = new Node({ dp, siteSize: 16 });
    for (let index = 0; index < 30; index++) slow.progress(2000);
    slow.nowMs += 6000;
    expect(slow.wish()).toBeUndefined();

    const left = new Node({ dp, siteSize: 16 });
    left.policy.dpLost();
    expect(left.wish()).toBeDefined();
  });

  it("of the first ranks look once for the place of a neighbour that is gone", () => {
    for (const [rank, waitsMs] of [
      [3, 1200],
      [4, undefined],
    ] as const) {
      const node = new Node({ rank, siteSize: 16 });
      for (let index = 0; index < 100; index++) node.progress(100);
      const isRefused = { ...NOTHING, retryAfterMs: 100, holders: 3 };
      if (node.wish() !== undefined) node.answer(isRefused, 0);
      node.progress(200);
      node.policy.neighbourLost(node.nowMs);
      let askedMs: number | undefined;
      for (let waitedMs = 0; waitedMs < 1500; waitedMs += 50, node.progress(50)) {
        if (node.wish() === undefined) continue;
        expect(askedMs).toBeUndefined();
        askedMs = waitedMs;
        node.answer(isRefused, 0);
      }
      expect(askedMs).toBe(waitsMs);
    }
  });

  it("do not force for a time in which the machine slept", () => {
    const node = new Node();
    node.nowMs += 60_000;
    node.policy.resumed(node.nowMs);
    expect(node.wish()).not.toHaveProperty("force");

    const stuck = new Node();
    stuck.nowMs += 60_000;
    expect(stuck.wish()).toMatchObject({ force: "noProgress" });
  });

  it("force past a holder after 2 s where there is a session with it, after 1 s where there is none", () => {
    for (const [near, patienceMs] of [
      [true, 2000],
      [false, 1000],
    ] as const) {
      const node = new Node({}, 1);
      node.near = near;
      for (let index = 0; index < 10; index++) node.progress(100);

      const waitedMs = forcedAfterMs(node);
      expect(waitedMs).toBeGreaterThan(patienceMs);
      // It asks every two seconds.
      expect(waitedMs).toBeLessThan(patienceMs + 2100);
    }
  });

  it("force past no neighbour for 8 s while the pace of the line is not known", () => {
    const [stranger, neighbour] = [new Node({}, 1), new Node({}, 1)];
    neighbour.near = true;

    expect(forcedAfterMs(neighbour)).toBeGreaterThan(8000);
    // Nobody in an island of its own waits for long.
    expect(forcedAfterMs(stranger)).toBeLessThan(4000);
  });

  it("force past a holder only after eight gaps of a slow line: what was sent to it is on its way", () => {
    const node = new Node({}, 1);
    node.near = true;
    for (let index = 0; index < 100; index++) node.progress(1000);

    const waitedMs = forcedAfterMs(node);
    expect(waitedMs).toBeGreaterThan(7500);
    expect(waitedMs).toBeLessThan(10_500);
  });

  it("count a holder's time from when the origin has sent it the fragment, not from its lease", () => {
    const node = new Node({}, 1);
    node.near = true;
    for (let index = 0; index < 100; index++) node.progress(1000);
    node.wish();
    node.answer({ ...NOTHING, leased: [{ index: 0, holder: peer, isServed: false }] });
    node.nowMs += 9000;

    expect(node.wish()?.force).toBeUndefined();
    expect(forcedAfterMs(node)).toBeGreaterThan(7500);
  });

  it("to force go on without any rank's wait, and pause as the gate says once it grants no more", () => {
    const node = new Node({ rank: 9, siteSize: 16 }, 40);
    for (let index = 0; index < 10; index++) node.progress(100);
    const leased = node.missing.map((index) => ({ index, holder: peer, isServed: true }));
    while (node.wish() === undefined) node.nowMs += 50;
    node.answer({ ...NOTHING, leased });
    node.nowMs += 4000;

    for (const part of [0, 2, 4]) {
      expect(node.wish()).toMatchObject({ want: [part, part + 1], force: "holderUnreachable" });
      node.answer(granting([part, part + 1]));
      node.missing = node.missing.slice(2);
      for (const index of node.fetches()) node.progress(1, index);
    }
    expect(node.wish()?.force).toBe("holderUnreachable");
    node.answer({ ...NOTHING, leased: leased.slice(6, 8), retryAfterMs: 1500 });
    // In the meantime it asks for what may be free.
    expect(node.wish()?.force).toBeUndefined();
    node.answer({ ...NOTHING, leased: leased.slice(6) }, 1499);
    expect(node.wish()).toBeUndefined();
    node.nowMs += 1;
    expect(node.wish()).toMatchObject({ want: [6, 7], force: "holderUnreachable" });
  });

  it("give back what was not begun when the node cannot pass on what it fetches", () => {
    const node = new Node({ siteSize: 16 });
    node.answer(granting(node.wish()!.want));
    const begun = node.fetches();
    node.policy.stepDown();

    const wish = node.wish(true)!;
    expect(wish.want).toEqual([]);
    expect(wish.release).toHaveLength(32 - begun.length);
    expect(node.fetches()).toEqual([]);
    node.answer(NOTHING);
    expect(node.wish()).toBeUndefined();
  });

  it("of a large site that begins in the same second are spread", () => {
    const first = new Node({ siteSize: 200 }, 1000, 0);
    const last = new Node({ siteSize: 200 }, 1000, 0.99);

    expect(first.wish()).toBeDefined();
    expect(last.wish()).toBeUndefined();
    last.nowMs += 2000;
    expect(last.wish()).toBeDefined();
  });
});

describe("fragments in flight", () => {
  it("are two or three for a lone holder on a near line, one each for three holders", () => {
    const lone = new Node();
    lone.answer(granting(lone.wish()!.want));
    expect(lone.fetches().length).toBeGreaterThanOrEqual(2);
    expect(lone.fetches().length).toBeLessThanOrEqual(3);

    const third = new Node({ siteSize: 16 });
    for (let own = 0; own < 8; own++) {
      if (own % 4 === 0) third.answer(granting([own, own + 1, own + 2, own + 3], 3));
      third.fetches();
      for (const other of [100, 200]) third.progress(100, other + own);
      third.progress(100, own);
    }
    third.answer(granting([50, 51, 52], 3));
    expect(third.fetches()).toHaveLength(1);
  });

  it("have crossed the line within 2 s, however late the first answer came", () => {
    for (const [gapMs, holders, count] of [
      [250, 1, 8],
      [250, 3, 2],
      [1000, 1, 2],
      [1000, 3, 1],
    ] as const) {
      const node = new Node({ siteSize: 30 });
      for (let index = 0; index < 60; index++) node.progress(gapMs);
      node.policy.resumed(node.nowMs);
      node.wish();
      node.answer(granting(node.missing.slice(0, 32), holders), 800);
      expect(node.fetches()).toHaveLength(count);
    }
  });

  it("grow with rate times distance and stay bounded", () => {
    const node = new Node({ role: "dp" });
    const inFlight: number[] = [];
    for (let round = 0; round < 40; round++) {
      const wish = node.wish();
      if (wish !== undefined) node.answer(granting(wish.want), 100);
      inFlight.push(...node.fetches());
      node.progress(22, inFlight.shift());
      node.missing.shift();
    }

    expect(inFlight.length).toBeGreaterThanOrEqual(8);
    expect(inFlight.length).toBeLessThanOrEqual(28);
  });

  it("end where a neighbour turns out to have the fragment: the lease goes back", () => {
    const node = new Node();
    const want = node.wish()!.want;
    node.answer(granting(want));
    node.policy.isOnLan(want[5]!);

    expect(node.policy.holds(want[5]!)).toBe(false);
    node.policy.stepDown();
    expect(node.wish(true)?.release).toContain(want[5]);
  });
});
