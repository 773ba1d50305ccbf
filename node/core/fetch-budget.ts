/**
 * What one fetch of a package may move before it is given up: sharing among peers must never turn into more
 * traffic than a few copies, whatever goes wrong with it.
 */

/** Three times the package: bad or double fragments of a whole copy, and then some. */
const BUDGET_FACTOR = 3;
const BUDGET_SLACK_BYTES = 16 * 1024 * 1024;

export class FetchBudget {
  readonly limitBytes: number;
  #spentBytes = 0;

  constructor(wireBytes: number) {
    this.limitBytes = BUDGET_FACTOR * wireBytes + BUDGET_SLACK_BYTES;
  }

  /** Counts bytes that came in, good or bad; returns whether the fetch has to end. */
  spend(sizeBytes: number): boolean {
    this.#spentBytes += sizeBytes;
    return this.#spentBytes > this.limitBytes;
  }
}
