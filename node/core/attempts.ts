/**
 * How often a wish is tried: at most `attemptLimit` ended attempts per job and revision, with growing
 * pauses (SE-20…SE-23). A changed revision starts from nothing, also one that was in force before.
 */
import type { Outcome } from "../../protocol/outcome.ts";
import { isSuccess } from "./outcome.ts";

/**
 * An end without an attempt: nothing to do, not possible here, too late, or given up because an earlier
 * job of its sequence failed.
 */
export type QuietEnd = "alreadyInstalled" | "incompatible" | "expired" | "aborted";

/**
 * What is remembered of one revision of one job: for ever where it was done, since a job id is never used
 * for another wish; else until the job is wished under another revision.
 */
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

/** Records of jobs that are wished under another revision now: what was not done begins anew (SE-23). */
export function outdatedKeys(
  records: ReadonlyMap<string, AttemptRecord>,
  wishes: readonly { readonly job: string; readonly revision: string }[],
): readonly string[] {
  const revisions = new Map(wishes.map(({ job, revision }) => [job, revision]));
  return [...records].flatMap(([key, { isDone }]) => {
    const { job, revision } = wishOfKey(key);
    const current = revisions.get(job);
    return isDone || current === undefined || current === revision ? [] : [key];
  });
}

/** The other way round; a revision has no slash. */
export function wishOfKey(key: string): { readonly job: string; readonly revision: string } {
  const at = key.lastIndexOf("/");
  return { job: key.slice(0, at), revision: key.slice(at + 1) };
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
