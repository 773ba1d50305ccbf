/**
 * One site's line: its transfers take bytes in the order of asking, at one rate that may change meanwhile. The
 * rate is the operator's limit, or what the controller finds left by other traffic, or none.
 */
import type { SitePolicy } from "../../protocol/traffic.ts";
import { givesWay } from "../core/line/line-window.ts";
import { isSearching, newRate, stepRate, type RateState } from "../core/line/background-rate.ts";

/** What a line carries beside a payload: TLS records, TCP and IP headers. */
const OVERHEAD = 1.05;
/** Bytes that may follow each other without a pause: as much as the rate gives in this time. */
const BURST_MS = 10;
/** The rate may change while somebody waits. */
const WAIT_MAX_MS = 50;
/** A line without a transfer for this long begins anew. */
const IDLE_MS = 2000;
/** What is sent at once: this long on the line, at least one TLS record. */
const PACE_MS = 5;
const PACE_MIN_BYTES = 16 * 1024;
const PACE_MAX_BYTES = 128 * 1024;
/** One round trip in this time keeps the controller informed; twice as often while it searches. */
const PROBE_MS = 200;
/** Another node takes over from one that has been silent for this long. */
const PROBER_FRESH_MS = 800;
/** The other nodes look at the line this often, so that each knows it when its turn comes. */
const GLANCE_MS = 500;

interface Waiter {
  readonly sizeBytes: number;
  readonly resolve: () => void;
}

export interface LineSeen {
  readonly rateBytesPerSec: number;
  readonly queueMs: number;
}

export interface PacedLineSettings {
  readonly policy: () => SitePolicy | undefined;
  /** Milliseconds that never jump. */
  readonly nowMs: () => number;
}

export class PacedLine {
  readonly #settings: PacedLineSettings;
  readonly #rate: RateState = newRate();
  readonly #waiters: Waiter[] = [];
  /** The node that measures, and when it last did. */
  #prober: string | undefined;
  #probedMs = Number.NEGATIVE_INFINITY;
  #transferCount = 0;
  #idleSinceMs = Number.NEGATIVE_INFINITY;
  /** Bytes that may go now; below zero while the last ones are paid off. */
  #creditBytes = 0;
  #paidMs: number;
  #usedBytes = 0;
  #usedSinceMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(settings: PacedLineSettings) {
    this.#settings = settings;
    this.#paidMs = settings.nowMs();
    this.#usedSinceMs = this.#paidMs;
  }

  begin(): void {
    const nowMs = this.#settings.nowMs();
    if (this.#isIdle(nowMs)) stepRate(this.#rate, { type: "begin" }, nowMs);
    this.#transferCount++;
  }

  end(): void {
    this.#transferCount--;
    this.#idleSinceMs = this.#settings.nowMs();
  }

  /** How much to take at once, so that the line is shared finely; infinite where there is no limit. */
  paceBytes(): number {
    const bytesPerMs = this.#limitPerMs();
    if (bytesPerMs === Infinity) return Infinity;
    const paceBytes = Math.max(bytesPerMs * PACE_MS, PACE_MIN_BYTES);
    return Math.round(Math.min(paceBytes, PACE_MAX_BYTES));
  }

  /** Resolves when so many bytes may be sent, or at once when the signal has ended. */
  async take(sizeBytes: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    if (this.#waiters.length === 0 && this.#limitPerMs() === Infinity) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter: Waiter = { sizeBytes, resolve };
    const leave = (): void => {
      const at = this.#waiters.indexOf(waiter);
      if (at >= 0) this.#waiters.splice(at, 1);
      resolve();
    };
    this.#waiters.push(waiter);
    if (this.#timer === undefined) this.#pump();
    signal.addEventListener("abort", leave, { once: true });
    await promise;
    signal.removeEventListener("abort", leave);
  }

  /** A measured round trip; only those of one node at a time steer, so that they come evenly. */
  sample(prober: string, rttMs: number): void {
    const nowMs = this.#settings.nowMs();
    if (prober !== this.#prober) {
      stepRate(this.#rate, { type: "glance", prober, rttMs }, nowMs);
      return;
    }
    const elapsedMs = Math.max(nowMs - this.#usedSinceMs, 1);
    const usedBytesPerSec = (this.#usedBytes / elapsedMs) * 1000;
    stepRate(this.#rate, { type: "sample", prober, rttMs, usedBytesPerSec }, nowMs);
    this.#usedBytes = 0;
    this.#usedSinceMs = nowMs;
    if (this.#timer !== undefined) this.#pump();
  }

  /** How long a probe is held, undefined where the line needs none now. */
  probeEveryMs(prober: string): number | undefined {
    const nowMs = this.#settings.nowMs();
    if (!this.isAtWork) return undefined;
    const isStale = nowMs - this.#probedMs > PROBER_FRESH_MS;
    if (isStale) this.#prober = prober;
    if (prober !== this.#prober) return GLANCE_MS;
    this.#probedMs = nowMs;
    return isSearching(this.#rate) ? PROBE_MS / 2 : PROBE_MS;
  }

  /** Whether a node measures the line at present. */
  get isProbed(): boolean {
    return this.#settings.nowMs() - this.#probedMs < PROBER_FRESH_MS;
  }

  /** Whether the controller steers transfers right now. */
  get isAtWork(): boolean {
    return givesWay(this.#settings.policy()) && !this.#isIdle(this.#settings.nowMs());
  }

  /** What the controller found; undefined where it is not at work. */
  get seen(): LineSeen | undefined {
    const { rateBytesPerSec, queueMs } = this.#rate;
    return this.isAtWork ? { rateBytesPerSec, queueMs } : undefined;
  }

  #isIdle(nowMs: number): boolean {
    return this.#transferCount === 0 && nowMs - this.#idleSinceMs >= IDLE_MS;
  }

  #limitPerMs(): number {
    const policy = this.#settings.policy();
    const found = givesWay(policy) ? this.#rate.rateBytesPerSec * OVERHEAD : Infinity;
    return Math.min(policy?.downBytesPerSec ?? Infinity, found) / 1000;
  }

  #pump(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const nowMs = this.#settings.nowMs();
    if (givesWay(this.#settings.policy())) stepRate(this.#rate, { type: "tick" }, nowMs);
    const bytesPerMs = this.#limitPerMs();
    this.#pay(bytesPerMs, nowMs);
    while (this.#creditBytes >= 0) {
      const next = this.#waiters.shift();
      if (next === undefined) return;
      // Without a limit nothing has to be paid.
      if (bytesPerMs !== Infinity) this.#creditBytes -= next.sizeBytes * OVERHEAD;
      this.#usedBytes += next.sizeBytes;
      next.resolve();
    }
    const waitMs = Math.min(Math.max(-this.#creditBytes / bytesPerMs, 1), WAIT_MAX_MS);
    this.#timer = setTimeout(() => this.#pump(), waitMs);
  }

  #pay(bytesPerMs: number, nowMs: number): void {
    const paidBytes = (nowMs - this.#paidMs) * bytesPerMs;
    this.#paidMs = nowMs;
    if (bytesPerMs === Infinity) this.#creditBytes = 0;
    else this.#creditBytes = Math.min(this.#creditBytes + paidBytes, bytesPerMs * BURST_MS);
  }
}
