/**
 * From a sample of short packages to the whole one: what a site loses in time, sends twice and asks the
 * coordinator is a straight line over the number of fragments, fitted per stratum by least squares.
 * The constant part is what happens once (start, end, faults), the slope what every fragment costs.
 */

export interface Line {
  readonly constant: number;
  readonly slope: number;
}

/** Through points of at least two different x; falling lines are made flat: no cost is negative. */
export function fitLine(points: readonly (readonly [x: number, y: number])[]): Line {
  const meanX = mean(points.map(([x]) => x));
  const meanY = mean(points.map(([, y]) => y));
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const common = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const slope = spread === 0 ? 0 : Math.max(0, common / spread);
  return { constant: meanY - slope * meanX, slope };
}

export function valueAt({ constant, slope }: Line, x: number): number {
  return Math.max(0, constant + slope * x);
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
