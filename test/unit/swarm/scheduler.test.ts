/** What the scheduler of one package does about single events; whole sites are in test/simulation. */
import { describe, expect, it } from "vitest";
import { rankInSite } from "../../../node/core/exchange/rendezvous.ts";
import {
  Scheduler,
  type SchedulerEffect,
  type SchedulerEvent,
} from "../../../node/core/exchange/scheduler.ts";
import type { WanPlace } from "../../../node/core/exchange/wan-policy.ts";
import { Bitmap } from "../../../protocol/bitmap.ts";
import { endpointIdOf, parseDigest, type EndpointId } from "../../../protocol/ids.ts";

const COUNT = 50;
const ANY_DIGEST = parseDigest("0".repeat(64));
const peers = Array.from({ length: 20 }, (_none, at) => endpointIdOf(Buffer.alloc(32, at + 1)));
const [one, two] = peers as [EndpointId, EndpointId];

class Node {
  readonly scheduler: Scheduler;
  readonly effects: SchedulerEffect[] = [];
  private readonly count: number;
  nowMs = 10_000;
  constructor(place: Partial<WanPlace> = {}, count = COUNT, sizes = new Uint32Array(count)) {
    const whole: WanPlace = { role: "agent", dp: undefined, rank: 0, siteSize: 8, ...place };
    this.count = count;
    this.scheduler = new Scheduler(sizes, whole, 7, this.nowMs);
  }
  step(event: SchedulerEvent, waitMs = 0): readonly SchedulerEffect[] {
    this.nowMs += waitMs;
    const effects = this.scheduler.step(event, this.nowMs);
    this.effects.push(...effects);
    return effects;
  }
  join(peer: EndpointId, indices: Iterable<number> = [], isDp = false) {
    const have = new Bitmap(this.count);
    for (const index of indices) have.add(index);
    return this.step({ type: "peerJoined", peer, isDp, have });
  }
  lease(indices: readonly number[]) {
    const grants = indices.map((index) => {
      return { index, digest: ANY_DIGEST, token: "t", ttlMs: 600_000 };
    });
    return this.step({ type: "leased", answer: { grants, leased: [], retryAfterMs: 0 } }, 20);
  }
}

function all(): Generator<number> {
  return range(0, COUNT);
}

function* range(from: number, to: number): Generator<number> {
  for (let index = from; index < to; index++) yield index;
}

function of<T extends SchedulerEffect["type"]>(effects: readonly SchedulerEffect[], type: T) {
  return effects.filter((effect) => effect.type === type) as Extract<
    SchedulerEffect,
    { type: T }
  >[];
}

describe("a scheduler", () => {
  it("asks for leases in the step that makes fragments known, without waiting for a tick", () => {
    const node = new Node();

    expect(of(node.step({ type: "known", indices: all() }), "askLease")).toHaveLength(1);
  });

  it("asks for the last 64 by their size, large ones first, and for those before in sequence", () => {
    const sizes = Uint32Array.from({ length: 100 }, (_none, at) => (at * 37) % 101);
    const node = new Node({}, 100, sizes);
    const [asked] = of(node.step({ type: "known", indices: range(0, 100) }), "askLease");
    const want = asked!.wish.want;
    const steps = want.slice(1).map((index, at) => (index - want[at]! + 100) % 100);
    expect(steps.every((step) => step === 1)).toBe(true);

    const later = new Node({}, 100, sizes);
    later.step({ type: "found", indices: range(0, 36) });
    const [last] = of(later.step({ type: "known", indices: range(0, 100) }), "askLease");

    const bySize = [...range(36, 100)].toSorted((a, b) => sizes[b]! - sizes[a]!);
    expect(last!.wish.want).toEqual(bySize.slice(0, 32));
  });

  it("asks first for leases of what has begun, and once for each", () => {
    const node = new Node();
    node.step({ type: "begun", indices: [41, 7, 9] });
    node.step({ type: "found", indices: [9] });

    const [asked] = of(node.step({ type: "known", indices: all() }), "askLease");

    expect(asked?.wish.want.slice(0, 2)).toEqual([41, 7]);
    expect(new Set(asked?.wish.want).size).toBe(asked?.wish.want.length);
    expect(asked?.wish.want).not.toContain(9);
  });

  it("never fetches over the WAN what no grant named", () => {
    const node = new Node();
    node.step({ type: "known", indices: all() });
    node.lease([3, 4]);
    for (let tick = 0; tick < 100; tick++) node.step({ type: "tick" }, 50);

    expect(of(node.effects, "fetchOrigin").map(({ index }) => index)).toEqual([3, 4]);
  });

  it("shows its fragments in a JOIN as an agent, and offers them as a DP", () => {
    const agent = new Node();
    agent.step({ type: "found", indices: all() });
    expect(agent.scheduler.claims.isFull).toBe(true);

    const dp = new Node({ role: "dp" });
    dp.step({ type: "found", indices: all() });
    expect(dp.scheduler.claims.count).toBe(0);
    expect(of(dp.join(one), "announce").flatMap(({ indices }) => indices).length).toBeGreaterThan(
      0,
    );
  });

  it("shows what it only offered when it stops being the DP", () => {
    const node = new Node({ role: "dp" });
    node.step({ type: "found", indices: all() });
    node.join(one);
    const place: WanPlace = { role: "agent", dp: undefined, rank: 0, siteSize: 8 };

    const [told] = of(node.step({ type: "placed", place }), "announce");
    expect(told?.indices).toHaveLength(COUNT);
    expect(node.scheduler.claims.isFull).toBe(true);
  });

  it("tells at once what arrives after a pause, and in one message what follows within 50 ms", () => {
    const node = new Node({ rank: 9 });
    node.step({ type: "known", indices: all() });
    node.join(one, all());
    node.join(two);
    const toTwo = (effects: readonly SchedulerEffect[]) =>
      of(effects, "announce")
        .filter((told) => told.peers.includes(two))
        .map(({ indices }) => indices);

    expect(toTwo(node.step({ type: "arrived", index: 1, source: one }))).toEqual([[1]]);
    expect(toTwo(node.step({ type: "arrived", index: 2, source: one }, 10))).toEqual([]);
    expect(toTwo(node.step({ type: "arrived", index: 3, source: one }, 10))).toEqual([]);
    expect(toTwo(node.step({ type: "tick" }, 30))).toEqual([[2, 3]]);
  });

  it("asks the peer that the origin has sent a fragment, announced or not", () => {
    const node = new Node();
    node.step({ type: "known", indices: all() });
    node.join(one);
    const leased = [{ index: 5, holder: one, isServed: true }];

    const effects = node.step(
      { type: "leased", answer: { grants: [], leased, retryAfterMs: 0 } },
      20,
    );
    expect(of(effects, "request")).toEqual([{ type: "request", peer: one, index: 5 }]);
  });

  it("asks a peer that has everything at once for the pages, all that a newcomer may ask for", () => {
    const node = new Node({}, 5000);
    node.step({ type: "known", indices: range(0, 5) });
    node.join(one, range(0, 5000));
    const asked = () => of(node.effects, "request").map(({ index }) => index);
    for (let answered = 0; answered < 5; answered++) {
      node.step({ type: "arrived", index: asked()[answered] ?? -1, source: one }, 10);
    }

    expect(asked().toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4]);
  });

  it("takes the word of a peer that answers slowly for what it was sent", () => {
    const node = new Node();
    node.step({ type: "known", indices: all() });
    node.join(one, [40]);
    node.lease([0, 1, 2, 3, 4, 5, 6, 7]);
    // It never answers: what it claims is no reason to wait for it.
    for (let tick = 0; tick < 30; tick++) node.step({ type: "tick" }, 50);
    for (let index = 0; index < 8; index++) {
      node.step({ type: "arrived", index, source: "origin" }, 300);
      node.step({ type: "peerHas", peer: one, indices: [index] }, 100);
    }

    expect(of(node.effects, "askLease").flatMap(({ wish }) => wish.release)).toEqual([]);
    expect(of(node.effects, "fetchOrigin")).toHaveLength(8);
  });

  it("gives its leases back when most of its neighbours turn away", () => {
    const node = new Node();
    node.step({ type: "known", indices: all() });
    for (const peer of peers.slice(0, 4)) node.join(peer);
    node.lease(Array.from({ length: 10 }, (_none, at) => at));
    for (const peer of peers.slice(0, 3)) node.step({ type: "peerLeft", peer });
    const begun = of(node.effects, "fetchOrigin").map(({ index }) => index);
    for (const index of begun) node.step({ type: "arrived", index, source: "origin" }, 50);
    for (let tick = 0; tick < 300; tick++) node.step({ type: "tick" }, 50);

    const released = of(node.effects, "askLease").flatMap(({ wish }) => wish.release);
    expect(new Set([...begun, ...released])).toEqual(new Set(range(0, 10)));
  });

  it("counts only what it wants itself: fragments for the LAN only keep nothing open", () => {
    const node = new Node();
    node.step({ type: "known", indices: range(0, 10) });
    node.step({ type: "known", indices: range(10, COUNT), isLanOnly: true });

    const wanted = of(node.effects, "askLease").flatMap(({ wish }) => wish.want);
    expect(Math.max(...wanted)).toBeLessThan(10);
  });
});

describe("the rank in a site", () => {
  it("is that among the neighbours in a small site, and scaled where they are a sample", () => {
    expect(rankInSite(3, 8, 16)).toBe(3);
    expect(rankInSite(3, 12, 26)).toBe(6);
    // Of 100 only one other has been heard of: not the second of the site.
    expect(rankInSite(1, 1, 100)).toBe(50);
    expect(rankInSite(0, 0, 100)).toBe(0);
  });
});
