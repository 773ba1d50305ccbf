/**
 * One rate for all that passes, in the order of asking: each taker is told how long to wait before its bytes
 * may go. No IO, no clock.
 */

/** Idle time that may be made up for at once. */
const BURST_MS = 50;

export class RateLimit {
  #bytesPerMs: number;
  /** When everything granted so far has gone out. */
  #paidUntilMs = Number.NEGATIVE_INFINITY;

  /** Undefined: no limit. */
  constructor(bytesPerSec: number | undefined) {
    this.#bytesPerMs = perMs(bytesPerSec);
  }

  /** In force for what asks from now on. */
  set(bytesPerSec: number | undefined): void {
    this.#bytesPerMs = perMs(bytesPerSec);
    if (this.#bytesPerMs === Infinity) this.#paidUntilMs = Number.NEGATIVE_INFINITY;
  }

  /** Takes the bytes and says after how long they may go. */
  delayMs(sizeBytes: number, nowMs: number): number {
    if (this.#bytesPerMs === Infinity) return 0;
    const startMs = Math.max(this.#paidUntilMs, nowMs - BURST_MS);
    this.#paidUntilMs = startMs + sizeBytes / this.#bytesPerMs;
    return Math.max(0, startMs - nowMs);
  }
}

function perMs(bytesPerSec: number | undefined): number {
  return bytesPerSec === undefined ? Infinity : bytesPerSec / 1000;
}
