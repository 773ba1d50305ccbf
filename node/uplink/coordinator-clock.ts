/**
 * The coordinator's time, as well as this endpoint knows it: conditions are written in it, and the clocks
 * of endpoints are wrong by minutes or years. Signed instants come with every check-in (trust M8, M19).
 */

/** Below this it is the way of the answer, not the clock. */
const SLACK_MS = 5000;

export class CoordinatorClock {
  readonly #signedMs: () => number;
  readonly #now: () => number;
  #offsetMs = 0;

  /** `signedMs`: the latest instant that the coordinator has signed, also before a restart. */
  constructor(signedMs: () => number, now: () => number) {
    this.#signedMs = signedMs;
    this.#now = now;
  }

  /** Right after an accepted answer. */
  set(): void {
    const offsetMs = this.#signedMs() - this.#now();
    this.#offsetMs = Math.abs(offsetMs) < SLACK_MS ? 0 : offsetMs;
  }

  /** Never before the latest signed instant: that one has been. */
  nowMs(): number {
    return Math.max(this.#now() + this.#offsetMs, this.#signedMs());
  }
}
