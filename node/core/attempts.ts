/**
 * How often a wish is tried: at most `attemptLimit` ended attempts per job and revision, with growing
 * pauses (SE-20…SE-23). A changed revision starts from nothing.
 */
import type { Outcome } from "../../protocol/outcome.ts";
import { isSuccess } from "./outcome.ts";

/**
 * An end without an attempt: nothing to do, not possible here, too late, or given up because an earlier
 * job of its sequence failed.
 */
export type QuietEnd = "alreadyInstalled" | "incompatible" | "expired" | "aborted";

/** What is remembered of one revision of one job, for ever: a job id is never used for another wish. */
export interface AttemptRecord {
  /** Attempts that have ended, in whatever way. */
  readonly attempts: number;
  readonly isDone: boolean;
  /** Level of its package, once its manifest has been read. */
  readonly level?: number;
  /** How it last ended without an attempt; an attempt or a drift clears it. */
  readonly end?: QuietEnd;
}

export const NO_ATTEMPTS: AttemptRecord = { attempts: 0, isDone: false };

/** Key of a record. */
export function wishKey(wish: { readonly job: string; readonly revision: string }): string {
  return `${wish.job}/${wish.revision}`;
}

export function afterAttempt(record: AttemptRecord, outcome: Outcome): AttemptRecord {
  const { end: _end, ...rest } = record;
  return { ...rest, attempts: rest.attempts + 1, isDone: rest.isDone || isSuccess(outcome) };
}

export function afterQuietEnd(record: AttemptRecord, end: QuietEnd): AttemptRecord {
  return { ...record, isDone: record.isDone || end === "alreadyInstalled", end };
}

/** What was done no longer holds (SE-19). The attempts stay counted: no loop outlives the limit. */
export function afterDrift(record: AttemptRecord): AttemptRecord {
  const { end: _end, ...rest } = record;
  return { ...rest, isDone: false };
}

export function isExhausted(record: AttemptRecord, attemptLimit: number): boolean {
  return !record.isDone && record.attempts >= attemptLimit;
}

/** A pause never grows beyond this. */
const RETRY_MAX_MS = 3_600_000;

/** Pause after the given number of failures. */
export function retryDelayMs(failureCount: number, baseMs: number): number {
  return Math.min(baseMs * 2 ** Math.min(Math.max(failureCount - 1, 0), 20), RETRY_MAX_MS);
}
