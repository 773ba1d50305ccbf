/** Sizes of one package as the swarm sees it: index pages first, then content fragments. */
import { Random } from "./random.ts";

const FRAGMENTS_PER_PAGE = 1024;
const ENTRY_BYTES = 54;
/** Fragments end where their content says: equal ones would march in step over the line. */
const SIZE_SPREAD = 0.5;

export interface PackageShape {
  /** Content only: what every ratio is measured against. */
  readonly sizeBytes: number;
  readonly pageCount: number;
  /** Pages and content fragments. */
  readonly count: number;
  readonly sizes: Float64Array;
}

/** The same package for every seed. `fragmentBytes` is the average. */
export function packageShape(sizeBytes: number, fragmentBytes: number): PackageShape {
  const contentCount = Math.ceil(sizeBytes / fragmentBytes);
  const pageCount = Math.ceil(contentCount / FRAGMENTS_PER_PAGE);
  const count = pageCount + contentCount;
  const random = new Random(contentCount);
  const weights = Float64Array.from({ length: contentCount }, () =>
    random.between(1 - SIZE_SPREAD, 1 + SIZE_SPREAD),
  );
  const bytesPerWeight = sizeBytes / weights.reduce((sum, weight) => sum + weight, 0);
  const sizes = new Float64Array(count);
  for (let page = 0; page < pageCount; page++) {
    sizes[page] =
      ENTRY_BYTES * Math.min(FRAGMENTS_PER_PAGE, contentCount - page * FRAGMENTS_PER_PAGE);
  }
  for (const [at, weight] of weights.entries()) sizes[pageCount + at] = weight * bytesPerWeight;
  return { sizeBytes, pageCount, count, sizes };
}

export function* indicesFrom(from: number, to: number): Generator<number> {
  for (let index = from; index < to; index++) yield index;
}
