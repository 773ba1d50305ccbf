/** What the comparison of simulator and lab counts with, on the simulator's side. */
import { describe, expect, it } from "vitest";
import {
  chanceDistance,
  distributionDistance,
  inUnitsOfAverage,
  type Cell,
  type CellFault,
} from "../../scripts/bench/validate/cell.ts";
import { runSimulated } from "../../scripts/bench/validate/simulated-cell.ts";

function cell(fault: CellFault, hosts = 4): Cell {
  return { hosts, wanMbitPerSec: 20, hasDp: false, fault, sizeBytes: 20_000_000 };
}

describe("a comparison with the lab", () => {
  it("measures how far apart two distributions are", () => {
    expect(distributionDistance([1, 2, 3], [3, 1, 2])).toBe(0);
    expect(distributionDistance([1, 2], [5, 6, 7])).toBe(1);
    expect(distributionDistance([1, 2, 3, 4], [3, 4, 5, 6])).toBe(0.5);
    expect(inUnitsOfAverage([1, 2, 3])).toEqual([0.5, 1, 1.5]);
  });

  it("knows how far a few runs lie apart by chance", () => {
    const runs = Array.from({ length: 100 }, (_none, seed) => [seed % 10, (seed * 7) % 10]);

    expect(chanceDistance(runs, 1)).toBeGreaterThan(chanceDistance(runs, 10));
    expect(chanceDistance(runs, 100)).toBe(0);
  });

  it("takes the goodput of the line from the raw stream, so that ratios mean the same", () => {
    const [near, far] = [1.04, 1.3].map((time) => runSimulated(cell("none"), { time }, 1).time);

    expect(near).toBeLessThan(1.03);
    expect(Math.abs(near! / far! - 1)).toBeLessThan(0.01);
  });

  it("waits for the survivors where an agent is killed, for all where one is slow", () => {
    const whole = runSimulated(cell("none"), { time: 1.04 }, 1);
    const killed = runSimulated(cell("kill"), { time: 1.04 }, 1);
    const slow = runSimulated(cell("slow"), { time: 1.04 }, 1);

    expect([whole, killed, slow].map(({ uploads }) => uploads.length)).toEqual([4, 3, 4]);
    expect(Math.min(...slow.uploads)).toBeLessThan(Math.min(...whole.uploads));
  });
});
