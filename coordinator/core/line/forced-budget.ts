/**
 * How many second copies of fragments may cross a site's line. A moment without a neighbour costs a handful;
 * a site that stays split needs a copy for each of its islands, as fast as its line carries them: every full
 * period doubles the next one.
 */

export interface ForcedBudget {
  sinceMs: number;
  count: number;
  /** For this period. */
  limit: number;
}

export interface ForcedSettings {
  /** Of the first period, and of one after a quiet time. */
  readonly forcedLimit: number;
  readonly forcedPeriodMs: number;
  /** No line of an office carries more in a period. */
  readonly forcedLimitMax: number;
}

export function newForcedBudget({ forcedLimit }: ForcedSettings): ForcedBudget {
  return { sinceMs: Number.NEGATIVE_INFINITY, count: 0, limit: forcedLimit };
}

/** How long there are no more; 0 where there still are. */
export function untilForcedMs(
  { sinceMs, count, limit }: ForcedBudget,
  { nowMs, settings }: { readonly nowMs: number; readonly settings: ForcedSettings },
): number {
  return count < limit ? 0 : Math.ceil(sinceMs + settings.forcedPeriodMs - nowMs);
}

/** Begins a new period where the old one is over. */
export function renewForced(budget: ForcedBudget, settings: ForcedSettings, nowMs: number): void {
  const { forcedLimit, forcedPeriodMs, forcedLimitMax } = settings;
  const passedMs = nowMs - budget.sinceMs;
  if (passedMs < forcedPeriodMs) return;
  const isNext = passedMs < 2 * forcedPeriodMs;
  const isFull = budget.count >= budget.limit;
  const limit = isFull ? 2 * budget.limit : Math.ceil(budget.limit / 2);
  budget.limit = isNext ? Math.min(Math.max(limit, forcedLimit), forcedLimitMax) : forcedLimit;
  // Whole periods side by side: requests that come late do not make them longer.
  budget.sinceMs = isNext ? budget.sinceMs + forcedPeriodMs : nowMs;
  budget.count = 0;
}
