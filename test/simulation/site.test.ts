/** Laws of a whole site: the product's schedulers and lease gate in virtual time, with and without faults. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { simulateSite } from "../../scripts/simulate/site-outcome.ts";
import { castSite } from "../../scripts/simulate/casting.ts";
import { packageShape } from "../../scripts/simulate/package-shape.ts";
import type { SiteSimulation } from "../../scripts/simulate/site-simulation.ts";
import { officeScenario, outcomeOf, simulated } from "./office.ts";

/** Fragments that a holder has in flight at most (distribution 3.2 step 2). */
const HOLDER_WINDOW = 2;

const seeds = fc.integer({ min: 0, max: 0xffff_ffff });

function extraCopies({ origin }: SiteSimulation): number {
  return origin.copies.reduce((sum, copies) => sum + copies - 1, 0);
}

function forcedCount({ origin: { gate } }: SiteSimulation): number {
  return gate.forced.holderUnreachable + gate.forced.noProgress;
}

describe("a simulated site", () => {
  it("BR-7 fills every endpoint and carries each fragment over the WAN once, with and without a DP", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 16 }),
        fc.integer({ min: 1, max: 100 }),
        fc.boolean(),
        seeds,
        (endpoints, fragments, hasDp, seed) => {
          const site = simulated({ endpoints, fragments, hasDp }, seed);

          expect(site.unfinished()).toEqual([]);
          expect(new Set(site.origin.copies)).toEqual(new Set([1]));
          expect(forcedCount(site)).toBe(0);
        },
      ),
      { numRuns: 20 },
    );
  });

  it("fills a site of one endpoint at the speed of its line", () => {
    const site = simulated({ endpoints: 1, fragments: 100 }, 1);

    const [only] = site.nodes.values();
    const floorMs = (100 * 262_144) / ((20e6 * 0.955) / 8000);
    expect(site.unfinished()).toEqual([]);
    expect(new Set(site.origin.copies)).toEqual(new Set([1]));
    expect(only!.completeMs! - site.origin.gate.firstMs!).toBeLessThan(1.05 * floorMs);
  });

  it("fills two endpoints at the speed of their line, however slowly one of them sends", () => {
    const faults = { slow: { share: 0.5, uploadMbitPerSec: 2 } };
    // What the slow one fetches while it is alone can come through its port only: not for long here.
    const office = { endpoints: 2, fragments: 150, faults, startSpreadSec: 2 };
    const ratios = Array.from({ length: 40 }, (_none, seed) => outcomeOf(office, seed).timeRatio);

    expect(Math.max(...ratios)).toBeLessThan(1.1);
  });

  it("fills a site of 500 endpoints, each fragment over the WAN once", () => {
    const site = simulated({ endpoints: 500, fragments: 12, hasDp: true }, 1);

    expect(site.unfinished()).toEqual([]);
    expect(new Set(site.origin.copies)).toEqual(new Set([1]));
  });

  it("loses to a killed holder no more than its leases and what it alone had (distribution 3.3)", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), seeds, (deaths, seed) => {
        const holdersKilledAt = [0.25, 0.5, 0.75].slice(0, deaths);
        const site = simulated({ endpoints: 10, faults: { holdersKilledAt } }, seed);

        expect(site.unfinished()).toEqual([]);
        expect(extraCopies(site)).toBeLessThanOrEqual(
          deaths * (HOLDER_WINDOW + 1) + forcedCount(site),
        );
      }),
      { numRuns: 15 },
    );
  });

  it.each(["killed", "frozen"] as const)("goes on when its DP is %s half way", (kind) => {
    const faults = { dp: { kind, atFraction: 0.5 } };

    const site = simulated({ endpoints: 10, hasDp: true, faults }, 7);

    expect(site.unfinished()).toEqual([]);
    expect(extraCopies(site)).toBeLessThanOrEqual(3 + forcedCount(site));
  });

  it("fetches next to nothing twice when all programs are killed and start again", () => {
    const faults = { restart: { atFraction: 0.6, spreadSec: 5 } };
    const sites = Array.from({ length: 10 }, (_none, seed) =>
      simulated({ endpoints: 10, fragments: 100, faults }, seed),
    );

    expect(sites.flatMap((site) => site.unfinished())).toEqual([]);
    // What was on its way to three holders, and what one of them had not yet told of.
    expect(Math.max(...sites.map(extraCopies))).toBeLessThanOrEqual(5);
  });

  it.each([10, 100])("BR-4 fills two islands with a copy each at %i Mbit/s", (wanMbitPerSec) => {
    const faults = { split: { untilFraction: 10 } };
    const office = { endpoints: 8, fragments: 400, wanMbitPerSec, faults };
    const outcomes = Array.from({ length: 5 }, (_none, seed) => outcomeOf(office, seed));

    expect(Math.max(...outcomes.map(({ unfinished }) => unfinished))).toBe(0);
    expect(Math.max(...outcomes.map(({ wanRatio }) => wanRatio))).toBeLessThan(2.01);
    // The rest is what the site needs to be sure that it is split.
    const seconds = outcomes.map(({ timeMs, floorMs }) => (timeMs - 2 * floorMs) / 1000);
    expect(Math.max(...seconds)).toBeLessThan(12);
  });

  it("BR-4 carries no second copies any more once two islands are joined", () => {
    const faults = { split: { untilFraction: 0.3 } };
    const office = { endpoints: 8, fragments: 100, faults };
    const ratios = Array.from({ length: 10 }, (_none, seed) => outcomeOf(office, seed).wanRatio);

    expect(Math.max(...ratios)).toBeLessThan(1.3);
  });

  it("BR-3 finishes with a corrupt and a silent peer and refetches only what a convict had on its way", () => {
    const faults = { corrupt: { share: 0.125, fragmentShare: 0.3 }, silent: { share: 0.125 } };

    const site = simulated({ endpoints: 8, faults }, 3);

    expect(site.unfinished()).toEqual([]);
    expect(extraCopies(site)).toBeLessThanOrEqual(1);
    expect(site.banCount).toBeGreaterThan(0);
  });

  it("completes laptops that left with a closed lid and came back", () => {
    const faults = { laptops: { share: 0.5, awaySec: 5 } };

    const site = simulated({ endpoints: 8, hasDp: true, faults }, 5);

    expect(site.unfinished()).toEqual([]);
    expect(site.returnedMs.size).toBeGreaterThan(0);
  });

  it("gives the same outcome for the same seed, another for another", () => {
    const scenario = officeScenario({ endpoints: 6, fragments: 30 });
    const shape = packageShape(scenario.package.bytes, scenario.package.fragmentBytes);
    const outcomes = [1, 1, 2].map((seed) =>
      simulateSite(castSite(scenario, scenario.sites[0]!, { shape, wanBytesPerMs: 2000, seed })),
    );

    expect(outcomes[1]).toEqual(outcomes[0]);
    expect(outcomes[2]).not.toEqual(outcomes[0]);
  });
});
