import { describe, expect, it } from "vitest";
import {
  codes,
  job,
  known,
  MONDAY_MS,
  planAt,
  type PLAIN,
  ruled,
  steps,
  waitingFor,
  wish,
  world,
} from "../../support/plan-world.ts";

const MINUTE_MS = 60_000;

describe("conditions", () => {
  const app = [known("a/app@1")];
  const at = (schedule: Partial<typeof PLAIN>, nowMs = MONDAY_MS, more = {}) =>
    planAt(world(app, [wish("a/app@1", { schedule })], more), nowMs);

  it("OCO-5 waits for a start in the future and says when it ends", () => {
    const startMs = MONDAY_MS + 10 * MINUTE_MS;
    const plan = at({ startMs });

    expect(steps(plan)).toEqual([]);
    expect(waitingFor(plan, "a/app")).toMatchObject({
      state: "waiting",
      reasons: [{ code: "beforeStart", endsMs: startMs }],
    });
    expect(plan.changesMs).toBe(startMs);
    expect(steps(at({ startMs }, startMs))).toEqual(["a/app@1"]);
  });

  it("OCO-5 brings the content before the start where that is asked for", () => {
    const startMs = MONDAY_MS + 10 * MINUTE_MS;

    expect(steps(at({ startMs, precaches: true }))).toEqual(["cache a/app@1"]);
    expect(codes(at({ startMs, precaches: true }), "a/app")).toEqual(["beforeStart"]);
  });

  it("OCO-6 expires what is unfinished at the end", () => {
    const endMs = MONDAY_MS + MINUTE_MS;

    expect(at({ endMs }).changesMs).toBe(endMs);
    expect(steps(at({ endMs }))).toEqual(["a/app@1"]);
    expect(steps(at({ endMs }, endMs))).toEqual([]);
    expect(waitingFor(at({ endMs }, endMs), "a/app")?.state).toBe("expired");
  });

  it("OCO-15 OCO-16 hands nothing out to an endpoint outside the address ranges, and again inside", () => {
    const schedule = { addressRanges: "10.2.0.0/16,!10.1.0.5,10.1.0.0/16" };

    expect(codes(at(schedule), "a/app")).toEqual(["outsideAddresses"]);
    const moved = { ...world([], []).endpoint, address: "10.1.0.6" };
    expect(steps(at(schedule, MONDAY_MS, { endpoint: moved }))).toEqual(["a/app@1"]);
  });

  it("OCO-21 hands out inside the time frames only, and knows when that changes", () => {
    const schedule = { timeFrames: "7:00-8:00,22:00-23:00" };
    const plan = at(schedule);

    expect(codes(plan, "a/app")).toEqual(["outsideTimeFrame"]);
    expect(plan.changesMs).toBe(MONDAY_MS + 30 * MINUTE_MS);
    expect(steps(at(schedule, plan.changesMs))).toEqual(["a/app@1"]);
  });

  it("limits execution to maintenance windows, not the transfer of content", () => {
    const windows = [{ name: "night", frames: "22:00-4:00", zone: "UTC" }];
    const plan = at({}, MONDAY_MS, { windows });

    expect(steps(plan)).toEqual(["cache a/app@1"]);
    expect(codes(plan, "a/app")).toEqual(["outsideWindow"]);
    expect(steps(at({}, MONDAY_MS - 3 * 60 * MINUTE_MS, { windows }))).toEqual(["a/app@1"]);
  });

  it("gives the conditions to the endpoint for its own check", () => {
    const schedule = {
      startMs: 1,
      endMs: MONDAY_MS + 1,
      addressRanges: "10.0.0.0/8",
      timeFrames: "6:00-7:00",
      jitterSec: 30,
    };
    const windows = [{ name: "w", frames: "5:00-9:00", zone: "Europe/Berlin" }];

    expect(at(schedule, MONDAY_MS, { windows }).instructions[0]?.conditions).toEqual({
      startMs: 1,
      endMs: MONDAY_MS + 1,
      addressRanges: "10.0.0.0/8",
      timeFrames: [
        { frames: "6:00-7:00", zone: "UTC" },
        { frames: "5:00-9:00", zone: "Europe/Berlin" },
      ],
      jitterSec: 30,
    });
  });

  it("hands out nothing of what is paused", () => {
    expect(codes(at({ isPaused: true }), "a/app")).toEqual(["paused"]);
  });

  it("lets another wish act where the first one may not", () => {
    const intents = [
      wish("a/app@1", { name: "night", schedule: { priority: 5, timeFrames: "1:00-2:00" } }),
      wish("a/app@1", { name: "day" }),
    ];
    const [instruction] = planAt(world(app, intents)).instructions;

    expect(instruction?.conditions).toBeUndefined();
    expect(instruction?.from).toContain("rule/day");
  });

  it("OCO-30 lists what a disabled rule would do, and hands out none of it", () => {
    const plan = planAt(world(app, [wish("a/app@1", { isPreview: true, name: "draft" })]));

    expect(steps(plan)).toEqual([]);
    expect(plan.waiting).toEqual([]);
    expect(plan.preview).toMatchObject([
      { ref: { name: "a/app" }, from: ["rule/draft"], reasons: [{ code: "disabled" }] },
    ]);
  });

  it("OCO-30 shows in the preview also why a job would wait", () => {
    const foreign = [ruled("a/app@1", { requirements: { os: ["win32"] } })];
    const plan = planAt(world(foreign, [wish("a/app@1", { isPreview: true })]));

    expect(plan.preview[0]?.reasons.map(({ code }) => code)).toEqual(["disabled", "requirement"]);
  });

  it("OCO-8 OCO-9 shuts down only what was woken for the container", () => {
    const schedule = { wantsWake: true, wantsShutdown: true };
    const intents = [job("a/app@1", "night", { schedule })];
    const woken = world(app, intents, { wokenFor: new Set(["night"]) });

    expect(planAt(world(app, intents)).instructions[0]?.shutdownAfter).toBeUndefined();
    expect(planAt(woken).instructions[0]?.shutdownAfter).toBe(true);
  });

  it("OCO-14 carries the restart timeout where it is not the usual one", () => {
    expect(at({ restartTimeoutMin: -1 }).instructions[0]?.restartTimeoutMin).toBe(-1);
    expect(at({}).instructions[0]).not.toHaveProperty("restartTimeoutMin");
  });
});
