/** One cell of the comparison: which office, which line, what happens to it, and what one run showed. */

export const CELL_FAULTS = ["none", "kill", "slow"] as const;
export type CellFault = (typeof CELL_FAULTS)[number];

export const LAN_MBIT_PER_SEC = 200;
export const SLOW_MBIT_PER_SEC = 2;
/** Of the package, over the office's line, when an agent is killed. */
export const KILL_AT_SHARE = 0.5;
/** Nodes check in by themselves so often; the first that knows the package tells the others by its JOIN. */
export const CHECK_IN_SEC = 5;

/** Of the draws that chance is measured by. */
const USUAL_SHARE = 0.95;

export interface Cell {
  /** Agents; a DP is a host of its own. */
  readonly hosts: number;
  readonly wanMbitPerSec: number;
  readonly hasDp: boolean;
  readonly fault: CellFault;
  readonly sizeBytes: number;
}

/** Both ratios over what a raw TCP stream needs on the same line. */
export interface CellRun {
  /** Last of the agents that are waited for. */
  readonly time: number;
  readonly wan: number;
  /** What each agent that is waited for sent, in units of their average. */
  readonly uploads: readonly number[];
}

/** The first agents are the ones that something happens to: killed or slow. */
export function struckCount({ hosts, fault }: Cell): number {
  if (fault === "none") return 0;
  return fault === "kill" ? 1 : Math.max(1, Math.round(hosts / 5));
}

/** Shares of the average: headers and acknowledgements on real ports weigh on all alike. */
export function inUnitsOfAverage(bytes: readonly number[]): readonly number[] {
  const average = bytes.reduce((sum, value) => sum + value, 0) / bytes.length;
  return bytes.map((value) => (average === 0 ? 0 : value / average));
}

/** Kolmogorov and Smirnov: the largest distance between two empirical distributions. */
export function distributionDistance(one: readonly number[], other: readonly number[]): number {
  const distances = [...one, ...other].map((limit) =>
    Math.abs(shareBelow(one, limit) - shareBelow(other, limit)),
  );
  return Math.max(0, ...distances);
}

/**
 * How far a draw of `drawCount` runs lies from all runs in 19 of 20 cases: what one run's agents send adds up
 * to the same, so that the usual tables, which are for independent values, do not hold.
 */
export function chanceDistance(runs: readonly (readonly number[])[], drawCount: number): number {
  const all = runs.flat();
  const drawStarts = Array.from(
    { length: Math.floor(runs.length / drawCount) },
    (_none, at) => at * drawCount,
  );
  const distances = drawStarts
    .map((start) => distributionDistance(runs.slice(start, start + drawCount).flat(), all))
    .toSorted((one, other) => one - other);
  return distances[Math.floor(USUAL_SHARE * distances.length)] ?? 1;
}

function shareBelow(values: readonly number[], limit: number): number {
  return values.filter((value) => value <= limit).length / values.length;
}
