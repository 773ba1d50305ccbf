/** What the lines of a site carry: lease messages, the WAN near and far, the ports of DP and peers. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { outcomeOf, simulated } from "./office.ts";

const seeds = fc.integer({ min: 0, max: 0xffff_ffff });
const LEASE_BATCH = 32;

describe("lease messages of a site", () => {
  it("are bounded by the number of batches and a few per endpoint, on fast and slow lines", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 40 }),
        fc.integer({ min: 20, max: 200 }),
        fc.boolean(),
        fc.constantFrom(1, 5, 20, 100),
        seeds,
        (endpoints, fragments, hasDp, wanMbitPerSec, seed) => {
          const site = simulated({ endpoints, fragments, hasDp, wanMbitPerSec }, seed);

          expect(site.unfinished()).toEqual([]);
          // 10 for each batch of 32: smaller batches at the end, standby holders, refused wishes.
          const batches = Math.ceil(fragments / LEASE_BATCH);
          expect(site.origin.leaseCount).toBeLessThanOrEqual(10 * batches + 2 * endpoints + 12);
        },
      ),
      {
        numRuns: 25,
        // Slow lines whose first fragments come after many seconds, one after another to many nodes.
        examples: [
          [32, 27, false, 1, 4_014_775_869],
          [35, 109, false, 1, 1_714_104_561],
          [23, 25, false, 1, 759_779_239],
        ],
      },
    );
  });

  it("of a DP are one for each batch of 32 and a few for start and end", () => {
    const site = simulated({ endpoints: 30, fragments: 320, hasDp: true, wanMbitPerSec: 2 }, 1);

    expect(site.origin.leaseCount).toBeLessThanOrEqual(320 / LEASE_BATCH + 6);
  });

  it("are never followed by a token that is shown too late while nobody fails", () => {
    fc.assert(
      fc.property(fc.boolean(), fc.constantFrom(1, 20), seeds, (hasDp, wanMbitPerSec, seed) => {
        const site = simulated({ endpoints: 12, fragments: 80, hasDp, wanMbitPerSec }, seed);

        expect(site.origin.refusedCount).toBe(0);
        expect(new Set(site.origin.copies)).toEqual(new Set([1]));
      }),
      { numRuns: 10 },
    );
  });
});

describe("the WAN line", () => {
  it.each([
    ["near", { wanMbitPerSec: 20, wanLatencyMs: 10, fragments: 200 }, 1.03],
    ["slow", { wanMbitPerSec: 1, wanLatencyMs: 10, fragments: 60 }, 1.03],
    ["slow and far", { wanMbitPerSec: 2, wanLatencyMs: 50, fragments: 150 }, 1.03],
    ["far", { wanMbitPerSec: 100, wanLatencyMs: 50, fragments: 380 }, 1.09],
  ] as const)("that is %s is kept busy with a DP and without", (_name, line, limit) => {
    for (const hasDp of [true, false]) {
      const { timeRatio, wanRatio } = outcomeOf({ ...line, hasDp, endpoints: 16 }, 3);

      expect(timeRatio).toBeLessThan(limit);
      expect(wanRatio).toBeLessThan(1.001);
    }
  });

  it("carries nothing twice for laptops that slept while they were not fetching", () => {
    const faults = { laptops: { share: 0.3, awaySec: 60 } };
    const site = simulated({ endpoints: 30, hasDp: true, wanMbitPerSec: 2, faults }, 2);

    expect(site.returnedMs.size).toBeGreaterThan(0);
    expect(site.origin.gate.forced).toEqual({ holderUnreachable: 0, noProgress: 0 });
    expect(new Set(site.origin.copies)).toEqual(new Set([1]));
  });

  it("goes on within a second when the DP is killed", () => {
    const faults = { dp: { kind: "killed", atFraction: 0.5 } } as const;
    const office = { endpoints: 12, hasDp: true, fragments: 200 };

    const lostMs = outcomeOf({ ...office, faults }, 4).timeMs - outcomeOf(office, 4).timeMs;
    expect(lostMs).toBeLessThan(1000);
  });
});

describe("the ports of a LAN", () => {
  it("of a DP that is filling carry the package twice, however many endpoints there are", () => {
    const { dpUpload, timeRatio } = outcomeOf({ endpoints: 200, hasDp: true, fragments: 60 }, 1);

    expect(dpUpload).toBeLessThan(2.2);
    expect(timeRatio).toBeLessThan(1.05);
  });

  it("of a full DP carry it once: its peers do the rest", () => {
    const lan = { endpoints: 9, hasDp: true, isDpFull: true, lanMbitPerSec: 50, fragments: 200 };
    const { dpUpload, timeRatio, wanBytes } = outcomeOf(lan, 1);

    expect(dpUpload).toBeLessThan(1.2);
    expect(timeRatio).toBeLessThan(1.25);
    expect(wanBytes).toBe(0);
  });

  it("that are slow do not slow down the others, nor send twice over the line what is theirs", () => {
    const faults = { slow: { share: 0.2, uploadMbitPerSec: 2 } };
    for (const seed of [1, 2, 3, 5]) {
      const { timeRatio, wanRatio } = outcomeOf({ endpoints: 16, fragments: 380, faults }, seed);

      expect(timeRatio).toBeLessThan(1.12);
      expect(wanRatio).toBeLessThan(1.01);
    }
  });

  it("that are slow hold up the whole site where nobody has timeouts", () => {
    const faults = { slow: { share: 0.2, uploadMbitPerSec: 2 } };
    const office = { endpoints: 16, fragments: 380, faults, isWithoutTimeouts: true };

    expect(outcomeOf(office, 1).timeRatio).toBeGreaterThan(1.2);
  });
});
