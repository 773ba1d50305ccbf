/** The fluid model against cases worked out by hand, the fit, and a small fleet from end to end. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fitLine, valueAt } from "../../scripts/simulate/extrapolation.ts";
import { maxMinRates, shareOrigin } from "../../scripts/simulate/fluid.ts";
import { runScenario } from "../../scripts/simulate/run-scenario.ts";
import { parseScenario } from "../../scripts/simulate/scenario.ts";
import { WanLine } from "../../scripts/simulate/wan-line.ts";
import { EventQueue, START_MS } from "../../scripts/simulate/event-queue.ts";
import { officeScenario } from "./office.ts";

describe("the fluid model", () => {
  it("gives slow lines all they can take and shares the rest evenly", () => {
    expect(maxMinRates([1, 2, 10, 10], 13)).toEqual([1, 2, 5, 5]);
    expect(maxMinRates([4, 4], 100)).toEqual([4, 4]);
    expect(maxMinRates([5, 5, 5], 6)).toEqual([2, 2, 2]);
  });

  it("hands what a finished site leaves to the others", () => {
    // Both get 5/ms until the short one ends at 20; then the long one has its line of 8/ms to itself.
    const sites = [
      { startMs: 0, sizeBytes: 100, lineBytesPerMs: 8 },
      { startMs: 0, sizeBytes: 260, lineBytesPerMs: 8 },
    ];

    expect(shareOrigin(sites, 10)).toEqual([20, 40]);
  });

  it("shares anew when a site begins", () => {
    // Alone at 10/ms for 10 ms; then 5/ms each: the first has 100 left and ends at 30.
    const sites = [
      { startMs: 0, sizeBytes: 200, lineBytesPerMs: 10 },
      { startMs: 10, sizeBytes: 100, lineBytesPerMs: 10 },
    ];

    expect(shareOrigin(sites, 10)).toEqual([30, 30]);
  });

  it("carries every byte, never faster than a line or the origin allows", () => {
    const site = fc.record({
      startMs: fc.integer({ min: 0, max: 100 }),
      sizeBytes: fc.integer({ min: 1, max: 1000 }),
      lineBytesPerMs: fc.integer({ min: 1, max: 20 }),
    });
    fc.assert(
      fc.property(fc.array(site, { minLength: 1, maxLength: 12 }), (sites) => {
        const ends = shareOrigin(sites, 30);

        const bytes = sites.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
        expect(Math.max(...ends)).toBeGreaterThanOrEqual(bytes / 30 - 1);
        for (const [at, { startMs, sizeBytes, lineBytesPerMs }] of sites.entries()) {
          expect(ends[at]! - startMs).toBeGreaterThanOrEqual(sizeBytes / lineBytesPerMs - 1e-3 - 1);
        }
      }),
    );
  });
});

describe("a WAN line", () => {
  it("shares its rate among the transfers under way", () => {
    const queue = new EventQueue();
    const line = new WanLine(queue, 10);
    const ends: [string, number][] = [];
    const transfer = (name: string, sizeBytes: number) => ({
      sizeBytes,
      onPart: () => undefined,
      onEnd: () => ends.push([name, queue.nowMs - START_MS]),
    });

    line.begin(transfer("long", 300));
    queue.planIn(10, () => line.begin(transfer("short", 50)));
    while (queue.runNext());

    // Alone until 10, at half rate until the short one ends at 20, then alone again.
    expect(ends).toEqual([
      ["short", 20],
      ["long", 35],
    ]);
    expect(line.carriedBytes).toBeCloseTo(350);
  });
});

describe("the extrapolation", () => {
  it("finds the line through exact points and never falls", () => {
    const line = fitLine([
      [50, 10],
      [100, 15],
    ]);

    expect(valueAt(line, 1000)).toBeCloseTo(105);
    expect(
      fitLine([
        [50, 10],
        [100, 8],
      ]),
    ).toEqual({ constant: 9, slope: 0 });
  });
});

describe("a simulated fleet", () => {
  const fleet = parseScenario({
    ...officeScenario({ endpoints: 5, fragments: 300, hasDp: true }),
    sites: [
      {
        name: "branch",
        count: 200,
        endpoints: 5,
        hasDp: true,
        wanMbitPerSec: { from: 2, to: 100 },
        lanMbitPerSec: 1000,
      },
    ],
    origin: { mbitPerSec: 1000 },
    sample: { sitesPerStratum: 2, rateBands: 2, fragmentCounts: [16, 32] },
  });

  it("says what it simulated, and gives the same result for the same seed", () => {
    const result = runScenario(fleet, 9);

    expect(result.fleet).toMatchObject({
      sites: 200,
      endpoints: 1000,
      simulatedSites: 4,
      simulatedFragments: [16, 32],
      wholeFragments: 301,
    });
    expect(runScenario(fleet, 9)).toEqual(result);
  });

  it("is never faster than the bound and not much slower without faults", () => {
    const outcome = runScenario(fleet, 9).fleet!;

    expect(outcome.makespanRatio).toBeGreaterThan(1);
    expect(outcome.makespanRatio).toBeLessThan(1.2);
    expect(outcome.goodWanShare).toBe(1);
  });
});
