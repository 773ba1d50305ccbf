import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  newRate,
  RATE_DEFAULTS,
  stepRate,
  type RateEvent,
} from "../../../coordinator/core/line/background-rate.ts";
import { driveLine, type LineOptions } from "../../support/slow-line.ts";

const MBIT = 125_000;

const lines: fc.Arbitrary<LineOptions> = fc.record({
  bytesPerSec: fc.integer({ min: 2, max: 100 }).map((mbit) => mbit * MBIT),
  baseMs: fc.integer({ min: 2, max: 30 }),
  // Shallower queues than twice the target hide from any control by delay.
  depthMs: fc.integer({ min: 150, max: 400 }),
});

/** As far as a line across a continent, or one by radio. */
const farLines = fc
  .tuple(lines, fc.integer({ min: 2, max: 60 }))
  .map(([line, baseMs]) => ({ ...line, baseMs }));

/** Processes that are late by a few milliseconds, and now and then by a lot. */
const noises = fc
  .infiniteStream(
    fc.oneof(
      { weight: 97, arbitrary: fc.integer({ min: 0, max: 6 }) },
      { weight: 3, arbitrary: fc.integer({ min: 50, max: 300 }) },
    ),
  )
  .map((stream) => {
    const drawn: number[] = [];
    return (count: number): number => {
      while (drawn.length <= count) drawn.push(Number(stream.next().value));
      return drawn[count] ?? 0;
    };
  });

const events: fc.Arbitrary<RateEvent> = fc.oneof(
  fc.record({
    type: fc.constant("sample" as const),
    prober: fc.constantFrom("a", "b", "c"),
    rttMs: fc.double({ min: 0, max: 5000, noNaN: true }),
    usedBytesPerSec: fc.double({ min: 0, max: 1e8, noNaN: true }),
  }),
  fc.record({
    type: fc.constant("glance" as const),
    prober: fc.constantFrom("a", "b", "c"),
    rttMs: fc.double({ min: 0, max: 5000, noNaN: true }),
  }),
  fc.constant({ type: "tick" as const }),
  fc.constant({ type: "begin" as const }),
);

const flows = fc.constantFrom("loss" as const, "rate" as const);

function isMiddle(second: number): boolean {
  return second >= 20 && second < 50;
}

describe("background rate", () => {
  it("never starves and never runs away, whatever it is told", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(events, fc.integer({ min: 0, max: 3000 })), { maxLength: 300 }),
        (steps) => {
          const state = newRate();
          let nowMs = 0;
          for (const [event, gapMs] of steps) {
            nowMs += gapMs;
            stepRate(state, event, nowMs);
            expect(state.rateBytesPerSec).toBeGreaterThanOrEqual(RATE_DEFAULTS.minBytesPerSec);
            expect(state.rateBytesPerSec).toBeLessThanOrEqual(1.25e9);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it("fills a line that nobody else uses, with a queue around the target", () => {
    fc.assert(
      fc.property(farLines, noises, (line, noiseMs) => {
        const { idleShare, queueMeanMs } = driveLine({
          line,
          seconds: 120,
          noiseMs,
          warmUpSeconds: 5,
        });

        expect(idleShare).toBeGreaterThan(0.85);
        expect(queueMeanMs).toBeLessThan(80);
      }),
      { numRuns: 60 },
    );
  });

  it("leaves the line to other flows and takes it back after them", () => {
    fc.assert(
      fc.property(lines, noises, flows, (drawn, noiseMs, flow) => {
        // Where the way is much shorter than the target queue, a sender of this kind now and then starves.
        const baseMs = flow === "rate" ? Math.max(drawn.baseMs, 10) : drawn.baseMs;
        const line = { ...drawn, baseMs };
        // What counts begins 12 s after the flow: a sender that keeps its own queue short may take a queue
        // that it met for the length of the line, and looks again only after 10 s.
        const drive = { line, seconds: 75, noiseMs, warmUpSeconds: 32, flow };
        const { foregroundShare, idleShare } = driveLine({ ...drive, foreground: isMiddle });

        expect(foregroundShare).toBeGreaterThan(0.85);
        expect(idleShare).toBeGreaterThan(0.5);
      }),
      { numRuns: 60 },
    );
  });
});
