import { describe, expect, it } from "vitest";
import { a, b, c, d, dp, granted, range, Site } from "../../support/gate-site.ts";

describe("lease gate", () => {
  it("grants a free fragment once and names its holder to the next", () => {
    const site = new Site();

    expect(granted(site.ask(a, [7]))).toEqual([7]);
    expect(site.ask(b, [7])).toMatchObject({
      grants: [],
      leased: [{ index: 7, holder: a, isServed: false }],
    });
    expect(granted(site.ask(b, [8]))).toEqual([8]);
  });

  it("frees all leases of a holder that is silent for 5 s, and none of one that receives bytes", () => {
    const site = new Site();
    site.ask(a, [1, 2]);
    site.ask(b, [3, 4]);
    for (let part = 0; part < 5; part++) {
      site.nowMs += 1000;
      site.tell("progress", a, 1);
    }

    expect(granted(site.ask(c, [1, 2, 3, 4]))).toEqual([3, 4]);
    expect(site.ask(c, [2]).leased).toEqual([{ index: 2, holder: a, isServed: false }]);
    site.nowMs += 5000;
    expect(granted(site.ask(c, [1, 2]))).toEqual([1, 2]);
  });

  it("keeps the leases of a holder on a slow line through four of its gaps", () => {
    const site = new Site();
    site.ask(a, [1, 2]);
    site.tell("begin", a, 1);
    // Three holders share 0.2 Mbit/s: a part of 64 KiB takes 8 s.
    for (let part = 0; part < 3; part++) {
      site.nowMs += 8000;
      site.tell("progress", a, 1);
    }
    site.nowMs += 31_000;
    expect(site.ask(b, [2]).grants).toEqual([]);
    site.nowMs += 1000;
    expect(granted(site.ask(b, [2]))).toEqual([2]);
  });

  it("lets a token begin as long as nobody else was granted or sent its fragment", () => {
    const site = new Site();
    site.ask(a, [1, 2, 3]);
    expect(granted(site.tell("begin", a, 1))).toEqual([1]);
    expect(granted(site.tell("begin", b, 2))).toEqual([]);
    site.nowMs += 60_000;
    // Its leases have ended: what nobody took since is still its own.
    site.ask(b, [2]);
    expect(granted(site.tell("begin", a, 2))).toEqual([]);
    expect(granted(site.tell("begin", a, 3))).toEqual([3]);
    expect(site.ask(c, [3]).leased).toEqual([{ index: 3, holder: a, isServed: false }]);
    site.tell("served", a, 3);
    expect(granted(site.tell("begin", a, 3))).toEqual([]);
  });

  it("grants no more than an asker takes, and names the holders of those before", () => {
    const site = new Site();
    site.ask(a, [1, 2]);
    const answer = site.ask(b, [1, 2, 3, 4, 5, 6], { most: 2 });

    expect(granted(answer)).toEqual([3, 4]);
    expect(answer.leased.map(({ index }) => index)).toEqual([1, 2]);
  });

  it("tells how many endpoints hold leases", () => {
    const site = new Site();

    expect(site.ask(a, [1]).holders).toBe(1);
    expect(site.ask(b, [2]).holders).toBe(2);
    site.tell("served", a, 1);
    expect(site.ask(b, [3]).holders).toBe(1);
  });

  it("marks served what a holder fetched elsewhere, and only what it holds", () => {
    const site = new Site();
    site.ask(a, [1, 2]);
    site.ask(b, [3]);
    site.ask(a, [], { done: [1, 3] });

    expect(site.ask(c, [1, 2, 3]).leased).toEqual([
      { index: 1, holder: a, isServed: true },
      { index: 2, holder: a, isServed: false },
      { index: 3, holder: b, isServed: false },
    ]);
  });

  it("marks served what was done under a forced lease, or under one that ended and nobody took", () => {
    const site = new Site();
    site.tell("served", a, 1);
    site.nowMs += 2000;
    site.ask(b, [1], { force: "holderUnreachable" });
    site.ask(b, [], { done: [1] });
    site.ask(c, [2, 3]);
    site.nowMs += 60_000;
    site.ask(a, [3]);
    site.ask(c, [], { done: [2, 3] });

    expect(site.ask(c, [1, 2, 3]).leased).toEqual([
      { index: 1, holder: b, isServed: true },
      { index: 2, holder: c, isServed: true },
      { index: 3, holder: a, isServed: false },
    ]);
  });

  it("grants nothing for 30 s to a holder that two endpoints passed by, while others hold leases", () => {
    const site = new Site();
    for (const index of [1, 2]) site.tell("served", a, index);
    site.nowMs += 2000;
    const force = { force: "holderUnreachable" } as const;
    site.ask(b, [1], force);
    site.ask(a, [50]);
    site.ask(c, [60]);
    expect(granted(site.ask(a, [51]))).toEqual([51]);
    site.ask(c, [2], force);

    expect(site.ask(a, [52]).grants).toEqual([]);
    expect(site.ask(a, [1], force).grants).toEqual([]);
    for (let part = 0; part < 30; part++) {
      site.nowMs += 1000;
      for (const holder of [b, c]) site.tell("progress", holder, holder === c ? 60 : 1);
    }
    expect(granted(site.ask(a, [52]))).toEqual([52]);
  });

  it("sends again without pause what a holder was sent that two endpoints passed by", () => {
    const site = new Site();
    const all = Array.from({ length: 40 }, (_none, at) => at);
    for (const index of all) site.tell("served", a, index);
    site.nowMs += 2000;
    const force = { force: "holderUnreachable" } as const;
    site.ask(b, [0], force);
    expect(site.ask(b, all.slice(2)).grants).toEqual([]);
    site.ask(c, [1], force);

    expect(granted(site.ask(b, all.slice(2)))).toHaveLength(32);
  });

  it("grants to a distrusted holder where nobody else fetches: a site of islands goes on", () => {
    const site = new Site();
    for (const index of [1, 2]) site.tell("served", a, index);
    site.nowMs += 2000;
    const force = { force: "holderUnreachable" } as const;
    site.ask(b, [1], force);
    site.ask(c, [2], force);

    expect(granted(site.ask(a, [3]))).toEqual([3]);
  });

  it("grants a released fragment at once", () => {
    const site = new Site();
    site.ask(a, [1]);
    site.ask(a, [], { release: [1] });

    expect(granted(site.ask(b, [1]))).toEqual([1]);
  });

  it("never grants a served fragment without force", () => {
    const site = new Site();
    site.ask(a, [1]);
    site.tell("served", a, 1);
    site.nowMs += 3_600_000;

    expect(site.ask(b, [1])).toMatchObject({ grants: [], leased: [{ holder: a, isServed: true }] });
  });

  it("sends a fragment again to the holder that lost it, and counts that as forced", () => {
    const site = new Site();
    site.ask(a, [1]);
    site.tell("served", a, 1);

    expect(site.ask(a, [1]).grants).toEqual([]);
    site.nowMs += 2000;
    expect(granted(site.ask(a, [1]))).toEqual([1]);
    expect(site.state.forced.holderUnreachable).toBe(1);
  });

  it("sends all that a holder lost again without the pause between forced fragments", () => {
    const site = new Site();
    const lost = Array.from({ length: 30 }, (_none, index) => index);
    for (const index of lost) site.tell("served", a, index);
    site.nowMs += 2000;

    expect(granted(site.ask(a, lost))).toEqual(lost);
    expect(granted(site.ask(b, [30]))).toEqual([30]);
  });

  it("sends nobody to an endpoint that has given up what it was sent", () => {
    const site = new Site();
    site.tell("served", a, 1);
    site.tell("served", b, 2);
    site.ask(a, [], { isGone: true });

    expect(site.ask(c, [1, 2])).toMatchObject({
      grants: [{ index: 1 }],
      leased: [{ index: 2, holder: b, isServed: true }],
    });
  });

  it("bounds a holder's leases and the number of holders", () => {
    const site = new Site();

    expect(granted(site.ask(a, range(0)))).toHaveLength(32);
    expect(granted(site.ask(a, range(32)))).toHaveLength(32);
    expect(site.ask(a, range(64)).grants).toEqual([]);
    site.ask(b, [100]);
    site.ask(c, [200]);
    expect(site.ask(d, [300])).toMatchObject({ grants: [], leased: [] });
    expect(site.ask(d, [300]).retryAfterMs).toBeGreaterThanOrEqual(1000);
    // A holder whose wishes are all taken has not to wait before it asks for others.
    expect(site.ask(b, [200]).retryAfterMs).toBe(0);
    expect(granted(site.ask(b, [110]))).toEqual([110]);
  });

  it("leaves the line to a DP that fetches, and opens it when the DP stalls", () => {
    const site = new Site();
    site.dps = [dp];

    expect(site.ask(a, [0])).toMatchObject({ grants: [], leased: [{ index: 0, holder: dp }] });
    expect(
      granted(
        site.ask(
          dp,
          Array.from({ length: 32 }, (_none, at) => at),
        ),
      ),
    ).toHaveLength(32);
    site.nowMs += 2900;
    expect(site.ask(a, [40]).grants).toEqual([]);
    site.nowMs += 200;
    expect(granted(site.ask(a, [40]))).toEqual([40]);
    expect(site.ask(a, [5])).toMatchObject({
      grants: [],
      leased: [{ holder: dp, isServed: false }],
    });
  });

  it("names the rest of a stalled DP's time, and gives the line away at once when its transfer breaks", () => {
    const site = new Site();
    site.dps = [dp];
    site.ask(dp, [0, 1]);
    site.nowMs += 2000;
    expect(site.ask(a, [7]).retryAfterMs).toBe(1000);
    site.tell("broken", dp, 0);

    expect(granted(site.ask(a, [7]))).toEqual([7]);
    expect(site.ask(a, [0]).leased).toEqual([{ index: 0, holder: dp, isServed: false }]);
  });

  it("forces past an unreachable holder only after 2 s, and counts it", () => {
    const site = new Site();
    site.ask(a, [1]);
    const force = { force: "holderUnreachable" } as const;

    expect(site.ask(b, [1], force).grants).toEqual([]);
    site.nowMs += 2000;
    expect(granted(site.ask(b, [1], force))).toEqual([1]);
    site.tell("served", a, 1);
    expect(site.ask(c, [1], force).grants).toEqual([]);
    site.nowMs += 2000;
    expect(granted(site.ask(c, [1], force))).toEqual([1]);
    expect(site.state.forced).toEqual({ holderUnreachable: 2, noProgress: 0 });
  });

  it("lets what a slow line was sent arrive before it forces: six gaps between two fragments", () => {
    const site = new Site();
    site.ask(a, range(0));
    for (let index = 0; index < 20; index++) {
      site.nowMs += 1000;
      site.tell("served", a, index);
    }
    const force = { force: "holderUnreachable" } as const;

    site.nowMs += 5000;
    expect(site.ask(b, [19], force).grants).toEqual([]);
    site.nowMs += 1000;
    expect(granted(site.ask(b, [19], force))).toEqual([19]);
  });

  it("forces for want of progress only after 30 s without a served fragment", () => {
    const site = new Site();
    const force = { force: "noProgress" } as const;
    site.ask(a, [1]);
    site.tell("served", a, 1);
    site.nowMs += 29_999;
    expect(site.ask(b, [1], force).grants).toEqual([]);
    site.nowMs += 1;
    expect(granted(site.ask(b, [1], force))).toEqual([1]);
  });

  it("lets 4 forced fragments pass in the first 2.5 s, and twice as many after each full period", () => {
    const site = new Site();
    const all = range(0);
    for (const index of all) site.tell("served", a, index);
    site.nowMs += 2000;
    const force = { force: "holderUnreachable" } as const;

    const periods = [all, all.slice(4), all.slice(12)].map((want) => {
      const count = granted(site.ask(b, want, force)).length;
      expect(granted(site.ask(b, [31], force))).toHaveLength(0);
      site.nowMs += 2500;
      return count;
    });

    expect(periods).toEqual([4, 8, 16]);
  });
});
