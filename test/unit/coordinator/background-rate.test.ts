import { describe, expect, it } from "vitest";
import {
  newRate,
  RATE_DEFAULTS,
  stepRate,
  type RateState,
} from "../../../coordinator/core/line/background-rate.ts";
import { Random } from "../../../scripts/simulate/random.ts";
import { driveLine } from "../../support/slow-line.ts";

const OFFICE = { bytesPerSec: 2_500_000, baseMs: 20, depthMs: 200 };

function isLate(second: number): boolean {
  return second >= 20 && second < 50;
}

function fed(state: RateState, rttsMs: readonly number[], fromMs: number, everyMs = 200): number {
  let nowMs = fromMs;
  for (const rttMs of rttsMs) {
    nowMs += everyMs;
    const usedBytesPerSec = state.rateBytesPerSec;
    stepRate(state, { type: "sample", prober: "one", rttMs, usedBytesPerSec }, nowMs);
  }
  return nowMs;
}

describe("background rate", () => {
  it("uses an idle office line to more than 90 % with less than 80 ms of queue", () => {
    const { idleShare, queueMeanMs } = driveLine({ line: OFFICE, seconds: 60, warmUpSeconds: 3 });

    expect(idleShare).toBeGreaterThan(0.9);
    expect(queueMeanMs).toBeLessThan(80);
  });

  it.each(["loss", "rate"] as const)(
    "leaves a flow that is driven by %s at least 90 %% of an office line",
    (flow) => {
      const { foregroundShare } = driveLine({
        line: OFFICE,
        seconds: 60,
        foreground: isLate,
        flow,
      });

      expect(foregroundShare).toBeGreaterThan(0.9);
    },
  );

  it("does not push a flow aside that keeps its own queue short and gives way step by step", () => {
    // Late processes made this controller take the line for slower than it is just before the flow came.
    const random = new Random(94);
    const line = { bytesPerSec: 2_875_000, baseMs: 10, depthMs: 367 };
    for (let drawn = 0; drawn < 3; drawn++) random.next();
    const noise = Array.from({ length: 1000 }, () =>
      random.next() < 0.97 ? random.below(7) : 50 + random.below(251),
    );

    const { foregroundShare } = driveLine({
      line,
      seconds: 75,
      noiseMs: (count) => noise[count] ?? 0,
      warmUpSeconds: 32,
      flow: "rate",
      foreground: isLate,
    });

    expect(foregroundShare).toBeGreaterThan(0.85);
  });

  it("does not take what it sends too much after a look at the base for somebody else's", () => {
    const far = { ...OFFICE, baseMs: 60 };

    const { idleShare, rateMinBytesPerSec } = driveLine({
      line: far,
      seconds: 300,
      warmUpSeconds: 5,
    });

    expect(idleShare).toBeGreaterThan(0.95);
    expect(rateMinBytesPerSec).toBeGreaterThanOrEqual(RATE_DEFAULTS.startBytesPerSec);
  });

  it("begins low, doubles quickly, and stops growing at the first sign of a queue", () => {
    const state = newRate();
    stepRate(state, { type: "begin" }, 0);

    const quietMs = fed(state, [20, 20, 20, 20], 0);
    const grown = state.rateBytesPerSec;
    fed(state, [70], quietMs);

    expect(grown).toBeGreaterThan(4 * RATE_DEFAULTS.startBytesPerSec);
    expect(state.rateBytesPerSec).toBe(grown);
  });

  it("halves above twice the target", () => {
    const state = newRate();
    stepRate(state, { type: "begin" }, 0);
    const quietMs = fed(state, [20, 20, 20, 20, 20, 20, 60, 60], 0);
    const before = state.rateBytesPerSec;

    fed(state, [180, 180, 180], quietMs);

    expect(state.rateBytesPerSec).toBeLessThan(0.55 * before);
  });

  it("takes one late process for what it is, not for a queue", () => {
    const state = newRate();
    stepRate(state, { type: "begin" }, 0);
    const quietMs = fed(state, [20, 20, 20, 20], 0);
    const before = state.rateBytesPerSec;

    fed(state, [320, 20], quietMs);

    expect(state.rateBytesPerSec).toBeGreaterThan(before);
  });

  it("measures each node against its own shortest round trip", () => {
    const state = newRate();
    stepRate(state, { type: "begin" }, 0);
    const quietMs = fed(state, [20, 20], 0);
    stepRate(state, { type: "glance", prober: "wifi", rttMs: 45 }, quietMs);

    for (const [at, rttMs] of [85, 85].entries()) {
      const usedBytesPerSec = state.rateBytesPerSec;
      const nowMs = quietMs + 200 * (at + 1);
      stepRate(state, { type: "sample", prober: "wifi", rttMs, usedBytesPerSec }, nowMs);
    }

    expect(state.queueMs).toBe(40);
  });

  it("does not grow a rate that nobody uses", () => {
    const state = newRate();
    stepRate(state, { type: "begin" }, 0);
    const before = state.rateBytesPerSec;
    for (let nowMs = 200; nowMs < 4000; nowMs += 200) {
      stepRate(state, { type: "sample", prober: "one", rttMs: 20, usedBytesPerSec: 1000 }, nowMs);
    }

    expect(state.rateBytesPerSec).toBe(before);
  });

  it("slows down step by step while no measurement comes, and never below the floor", () => {
    const state = newRate();
    stepRate(state, { type: "begin" }, 0);

    stepRate(state, { type: "tick" }, 2000);
    const once = state.rateBytesPerSec;
    for (let nowMs = 3000; nowMs < 60_000; nowMs += 1000) stepRate(state, { type: "tick" }, nowMs);

    expect(once).toBe(RATE_DEFAULTS.startBytesPerSec / 2);
    expect(state.rateBytesPerSec).toBe(RATE_DEFAULTS.minBytesPerSec);
  });

  it("begins the next transfer on a known line at half of what the line carried", () => {
    const { state } = driveLine({ line: OFFICE, seconds: 20 });

    stepRate(state, { type: "begin" }, 30_000);

    expect(state.rateBytesPerSec).toBeGreaterThan(0.35 * OFFICE.bytesPerSec);
    expect(state.rateBytesPerSec).toBeLessThan(0.65 * OFFICE.bytesPerSec);
  });
});
