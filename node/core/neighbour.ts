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
const FIRST_TIMEOUT_MS = 3000;
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
/** A peer that has never answered is believed for this long after the first request to it. */
const TRIAL_MS = 500;
/** Answers that take so many times longer than usual, and longer than this, make a peer a slow one. */
const SLOW_FACTOR = 4;
const SLOW_MIN_MS = 200;
/** A slow peer that was asked for nothing for this long may have recovered. */
const EXPLORE_AFTER_MS = 15_000;
/** A request given up is still in the peer's queue, as far as one can know, for so long. */
const LATE_FORGET_MS = 30_000;

/** Numbers in [0, 1) from a seed: the core's only source of chance. */
export type NextNumber = () => number;

/** How the next fragment to ask a peer for is chosen. */
export interface Choice {
  readonly isWanted: (index: number) => boolean;
  /** Will never be wanted again. */
  readonly isGone: (index: number) => boolean;
  readonly rarityOf: (index: number) => number;
  readonly next: NextNumber;
  /**
   * All that may be wanted, where that is little: a sample of what a peer has would hardly ever hit the pages
   * that a newcomer needs first.
   */
  readonly few: readonly number[] | undefined;
}

export class Neighbour {
  readonly peer: EndpointId;
  readonly isDp: boolean;
  readonly have: Bitmap;
  readonly inFlight = new Set<number>();
  /** It has answered a request. */
  isProven = false;
  /** Indices it has that may still be missing here; cleaned while picking. */
  private readonly candidates: number[] = [];
  private window = WINDOW;
  private answerMs: number | undefined;
  private answeredMs = Number.NEGATIVE_INFINITY;
  private pausedUntilMs = 0;
  private backoffMs = BACKOFF_MIN_MS;
  private strikes = 0;
  private misses = 0;
  private trialEndsMs: number | undefined;
  private isDoubted = false;
  /** Given up, by the time they were asked for. */
  private readonly late = new Map<number, number>();

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
    return this.misses < MISS_LIMIT && !this.isDoubted;
  }

  /** Whether its trial goes on: it has never answered and is still believed. */
  get isOnTrial(): boolean {
    return !this.isProven && !this.isDoubted;
  }

  /** Whether only what nobody else has is asked of it: once in a while it is tried with anything. */
  isSpared(usualMs: number, nowMs: number): boolean {
    return this.isSlow(usualMs) && nowMs - this.answeredMs < EXPLORE_AFTER_MS;
  }

  /** Whether it answers much more slowly than is usual in the site. */
  isSlow(usualMs: number): boolean {
    const { answerMs = 0 } = this;
    return answerMs > SLOW_MIN_MS && answerMs > SLOW_FACTOR * usualMs;
  }

  /** Ends the trial of a peer that had its time. */
  tried(nowMs: number): void {
    const isOver = this.trialEndsMs !== undefined && nowMs >= this.trialEndsMs;
    if (!this.isProven && isOver) this.isDoubted = true;
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

  /** Asking again what waits in a slow peer's queue would only lengthen the queue. */
  mayAsk(nowMs: number): boolean {
    if (this.candidates.length === 0 || nowMs < this.pausedUntilMs) return false;
    for (const [index, sinceMs] of this.late) {
      if (nowMs - sinceMs < LATE_FORGET_MS) break;
      this.late.delete(index);
    }
    return this.inFlight.size + this.late.size < (this.isProven ? this.window : 1);
  }

  /**
   * Takes the rarest of a random sample of what this peer has and `isWanted` accepts; undefined when
   * nothing fits.
   */
  pick(choice: Choice, nowMs: number): number | undefined {
    const best =
      choice.few === undefined ? this.bestOfSample(choice) : this.bestOf(choice.few, choice);
    if (best === undefined) return undefined;
    this.drop(this.candidates.indexOf(best));
    this.inFlight.add(best);
    this.trialEndsMs ??= nowMs + TRIAL_MS;
    return best;
  }

  private bestOf(
    indices: readonly number[],
    { isWanted, rarityOf, next }: Choice,
  ): number | undefined {
    let best: { index: number; rarity: number } | undefined;
    for (const index of indices) {
      if (!this.have.has(index) || !isWanted(index)) continue;
      // Of equals any may come first, or all nodes would ask for the same.
      const rarity = rarityOf(index) + next() / 2;
      if (best === undefined || rarity < best.rarity) best = { index, rarity };
    }
    return best?.index;
  }

  private bestOfSample({ isWanted, isGone, rarityOf, next }: Choice): number | undefined {
    let best: { index: number; rarity: number } | undefined;
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
      if (best === undefined || rarity < best.rarity) best = { index, rarity };
    }
    return best?.index;
  }

  /** An answer after its request was given up proves a slow peer, not a dead one. */
  answeredLate(index: number, nowMs: number): void {
    const sinceMs = this.late.get(index);
    if (sinceMs !== undefined) this.answered(index, sinceMs, nowMs);
  }

  /** Nobody waits for it any more. Returns whether a request that was given up is in its queue. */
  takenBack(index: number): boolean {
    return this.late.delete(index);
  }

  answered(index: number, sinceMs: number, nowMs: number): void {
    const tookMs = nowMs - sinceMs;
    this.answeredMs = nowMs;
    this.inFlight.delete(index);
    this.late.delete(index);
    this.isProven = true;
    this.isDoubted = false;
    this.answerMs =
      this.answerMs === undefined ? tookMs : this.answerMs + EWMA_WEIGHT * (tookMs - this.answerMs);
    this.window = WINDOW;
    this.backoffMs = BACKOFF_MIN_MS;
    this.misses = 0;
  }

  timedOut(index: number, sinceMs: number, nowMs: number): void {
    this.inFlight.delete(index);
    this.late.set(index, sinceMs);
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
    if (at < 0) return;
    const last = this.candidates.pop();
    if (last !== undefined && at < this.candidates.length) this.candidates[at] = last;
  }
}
