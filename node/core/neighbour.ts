/**
 * What the scheduler knows of one peer that shares the package: what it has, how fast it answers, and
 * which of its fragments to ask for next.
 */
import type { Bitmap } from "../../protocol/bitmap.ts";
import type { EndpointId } from "../../protocol/ids.ts";

/** Requests in flight per neighbour: more only lengthens queues (distribution 5.4). */
const WINDOW = 2;
/** How many candidates are looked at for the rarest: a sample is as good and costs no sort. */
const SAMPLE_SIZE = 16;
const FIRST_TIMEOUT_MS = 5000;
const TIMEOUT_MIN_MS = 1000;
const TIMEOUT_MAX_MS = 20_000;
const BACKOFF_MIN_MS = 2000;
const BACKOFF_MAX_MS = 60_000;
const BUSY_PAUSE_MS = 150;
const EWMA_WEIGHT = 0.3;
/** The second bad fragment bans (trust S1). */
const STRIKE_LIMIT = 2;
/** After so many unanswered requests in a row, what a peer claims to have counts for nothing (trust S2). */
const MISS_LIMIT = 2;

/** Numbers in [0, 1) from a seed: the core's only source of chance. */
export type NextNumber = () => number;

export class Neighbour {
  readonly peer: EndpointId;
  readonly isDp: boolean;
  readonly have: Bitmap;
  readonly inFlight = new Set<number>();
  /** Indices it has that may still be missing here; cleaned while picking. */
  private readonly candidates: number[] = [];
  private window = WINDOW;
  private answerMs: number | undefined;
  private pausedUntilMs = 0;
  private backoffMs = BACKOFF_MIN_MS;
  private strikes = 0;
  private misses = 0;

  constructor(peer: EndpointId, isDp: boolean, have: Bitmap) {
    this.peer = peer;
    this.isDp = isDp;
    this.have = have;
    for (let index = 0; index < have.size; index++)
      if (have.has(index)) this.candidates.push(index);
  }

  get timeoutMs(): number {
    if (this.answerMs === undefined) return FIRST_TIMEOUT_MS;
    return Math.min(Math.max(4 * this.answerMs, TIMEOUT_MIN_MS), TIMEOUT_MAX_MS);
  }

  /** Whether its claims count as availability on the LAN. */
  get isCredible(): boolean {
    return this.misses < MISS_LIMIT;
  }

  /** Returns whether the peer had not announced it before. */
  announced(index: number): boolean {
    if (!this.have.add(index)) return false;
    this.candidates.push(index);
    return true;
  }

  /** Lost here after it was fetched or found: may be asked for again. */
  wantedAgain(index: number): void {
    if (this.have.has(index) && !this.candidates.includes(index)) this.candidates.push(index);
  }

  mayAsk(nowMs: number): boolean {
    return this.inFlight.size < this.window && nowMs >= this.pausedUntilMs;
  }

  /**
   * Takes the rarest of a random sample of what this peer has and `isWanted` accepts; undefined when
   * nothing fits. `isGone` marks indices that will never be wanted again.
   */
  pick(
    isWanted: (index: number) => boolean,
    isGone: (index: number) => boolean,
    rarityOf: (index: number) => number,
    next: NextNumber,
  ): number | undefined {
    let best: { index: number; at: number; rarity: number } | undefined;
    let looked = 0;
    while (looked < SAMPLE_SIZE && this.candidates.length > 0 && looked < this.candidates.length) {
      const at = Math.floor(next() * this.candidates.length);
      const index = this.candidates[at] ?? 0;
      if (isGone(index)) {
        this.drop(at);
        continue;
      }
      looked++;
      if (!isWanted(index)) continue;
      const rarity = rarityOf(index);
      if (best === undefined || rarity < best.rarity) best = { index, at, rarity };
    }
    // A drop may have moved the entry: look it up again before it is taken out.
    if (best !== undefined) {
      const at =
        this.candidates[best.at] === best.index ? best.at : this.candidates.indexOf(best.index);
      this.drop(at);
      this.inFlight.add(best.index);
    }
    return best?.index;
  }

  answered(index: number, tookMs: number): void {
    this.inFlight.delete(index);
    this.answerMs =
      this.answerMs === undefined ? tookMs : this.answerMs + EWMA_WEIGHT * (tookMs - this.answerMs);
    this.window = WINDOW;
    this.backoffMs = BACKOFF_MIN_MS;
    this.misses = 0;
  }

  timedOut(index: number, nowMs: number): void {
    this.inFlight.delete(index);
    this.candidates.push(index);
    this.misses++;
    this.window = 1;
    this.pausedUntilMs = nowMs + this.backoffMs;
    this.backoffMs = Math.min(this.backoffMs * 2, BACKOFF_MAX_MS);
  }

  busy(index: number, nowMs: number): void {
    this.inFlight.delete(index);
    this.candidates.push(index);
    this.pausedUntilMs = Math.max(this.pausedUntilMs, nowMs + BUSY_PAUSE_MS);
  }

  /** It does not have what it announced, or not intact. Returns whether that changes what it has. */
  lacks(index: number): boolean {
    this.inFlight.delete(index);
    return this.have.delete(index);
  }

  /** Bytes that do not match their digest. Returns whether the peer is to be banned. */
  struck(): boolean {
    this.window = 1;
    this.strikes++;
    return this.strikes >= STRIKE_LIMIT;
  }

  private drop(at: number): void {
    const last = this.candidates.pop();
    if (last !== undefined && at < this.candidates.length) this.candidates[at] = last;
  }
}
