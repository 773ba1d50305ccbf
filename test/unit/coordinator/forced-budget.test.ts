/** How many second copies a gate grants in a period, and when it grants more again. */
import { describe, expect, it } from "vitest";
import {
  newForcedBudget,
  renewForced,
  untilForcedMs,
} from "../../../coordinator/core/line/forced-budget.ts";

const settings = { forcedLimit: 4, forcedPeriodMs: 1000, forcedLimitMax: 20 };

/** The limits of periods that begin side by side, with so many grants in each. */
function limitsOf(counts: readonly number[]): readonly number[] {
  const budget = newForcedBudget(settings);
  return counts.map((count, at) => {
    renewForced(budget, settings, 1000 * at);
    const { limit } = budget;
    budget.count += Math.min(count, limit);
    return limit;
  });
}

describe("the budget of second copies", () => {
  it("doubles after each full period, up to its most", () => {
    expect(limitsOf([9, 9, 99, 99, 99])).toEqual([4, 8, 16, 20, 20]);
  });

  it("halves after a period that was not full, and is never less than at first", () => {
    expect(limitsOf([4, 8, 15, 0, 0])).toEqual([4, 8, 16, 8, 4]);
  });

  it("is as at first after a whole period without a question", () => {
    const budget = newForcedBudget(settings);
    renewForced(budget, settings, 0);
    budget.count = 4;
    renewForced(budget, settings, 1000);
    budget.count = 8;

    renewForced(budget, settings, 3000);

    expect(budget).toEqual({ sinceMs: 3000, count: 0, limit: 4 });
  });

  it("says how long there are no more", () => {
    const budget = newForcedBudget(settings);
    expect(untilForcedMs(budget, { nowMs: 0, settings })).toBe(0);
    renewForced(budget, settings, 0);
    budget.count = 4;

    expect(untilForcedMs(budget, { nowMs: 400, settings })).toBe(600);
    renewForced(budget, settings, 1000);
    expect(untilForcedMs(budget, { nowMs: 1000, settings })).toBe(0);
  });

  it("has periods of one length although requests come late", () => {
    const budget = newForcedBudget(settings);
    renewForced(budget, settings, 0);

    renewForced(budget, settings, 1700);
    renewForced(budget, settings, 2100);

    expect(budget.sinceMs).toBe(2000);
  });
});
