import { describe, expect, it } from "vitest";
import {
  containerStanding,
  isPurgeDue,
  runtimeText,
  type JobTimes,
} from "../../../coordinator/core/intent/container-standing.ts";
import { checkSchedule, planScheduleOf } from "../../../coordinator/core/intent/intent-schedule.ts";
import type { PlanCatalog, PlanPackage } from "../../../coordinator/core/plan/plan-model.ts";
import { restartEdge } from "../../../coordinator/core/plan/restart-edges.ts";
import { checkArchiveType } from "../../../coordinator/publish/archive-type.ts";
import { parseDigest, parsePackageName, parsePackageVersion } from "../../../protocol/ids.ts";
import type { PackageRules } from "../../../protocol/package-rules.ts";
import type { JobState } from "../../../protocol/report.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

function known(ref: string, rules: PackageRules): PlanPackage {
  const [name = "", version = ""] = ref.split("@");
  return {
    name: parsePackageName(name),
    version: parsePackageVersion(version),
    manifest: parseDigest("a".repeat(64)),
    isActive: true,
    level: 5,
    hasContent: false,
    rules,
    createdMs: 0,
  };
}

function catalog(all: readonly PlanPackage[]): PlanCatalog {
  return {
    get: ({ name, version }) => all.find((one) => one.name === name && one.version === version),
    versions: (name) => all.filter((one) => one.name === name),
  };
}

function job(state: JobState, startedMs?: number, endedMs?: number): JobTimes {
  return { state, startedMs, endedMs };
}

describe("run times of a container", () => {
  it("OCO-25 counts from the container's start to the end of the last job, with ~ while one is open", () => {
    const jobs = [job("succeeded", 30, 100), job("failed", 50, 3_700_030)];
    const closed = containerStanding(jobs, 30, 9_999_999);
    const open = containerStanding([...jobs, job("executing", 60)], 30, 7_200_030);

    expect(runtimeText(closed.totalMs, false)).toBe("1:01:40");
    expect(runtimeText(open.totalMs, open.endedMs === undefined)).toBe("~2:00:00");
  });

  it("OCO-26 counts from the first job's start, which may be later than the container's", () => {
    const jobs = [
      job("succeeded", 30 * MINUTE_MS, 50 * MINUTE_MS),
      job("succeeded", 40 * MINUTE_MS, HOUR_MS),
    ];

    const { totalMs, effectiveMs } = containerStanding(jobs, 0, 5 * HOUR_MS);

    expect([totalMs, effectiveMs]).toEqual([HOUR_MS, 30 * MINUTE_MS]);
  });

  it.each([
    [[job("waiting")], 100, 50, "scheduled"],
    [[job("waiting")], 0, 50, "waiting"],
    [[job("waiting"), job("downloading", 1)], 0, 50, "running"],
    [[job("succeeded", 1, 2), job("alreadyInstalled", 1, 2)], 0, 50, "succeeded"],
    [[job("succeeded", 1, 2), job("expired", undefined, 9)], 0, 50, "failed"],
  ] as const)("tells the state of %j", (jobs, startMs, nowMs, state) => {
    expect(containerStanding(jobs, startMs, nowMs).state).toBe(state);
  });

  it("OCO-38 is purged by the limit of how it ended, and never while a job is open", () => {
    const limits = { succeededMs: 4 * HOUR_MS, failedMs: 48 * HOUR_MS };
    const due = (jobs: readonly JobTimes[], nowMs: number) =>
      isPurgeDue(containerStanding(jobs, 0, nowMs), nowMs, limits);

    expect(due([job("succeeded", 0, 0)], 4 * HOUR_MS - 1)).toBe(false);
    expect(due([job("succeeded", 0, 0)], 4 * HOUR_MS)).toBe(true);
    expect(due([job("failed", 0, 0)], 47 * HOUR_MS)).toBe(false);
    expect(due([job("failed", 0, 0)], 48 * HOUR_MS)).toBe(true);
    expect(due([job("failed", 0, 0), job("waiting")], 9999 * HOUR_MS)).toBe(false);
  });
});

describe("schedules", () => {
  it("fills in what the documents give as defaults", () => {
    expect(planScheduleOf({}, "Europe/Berlin")).toMatchObject({
      priority: 0,
      attemptLimit: 3,
      restartTimeoutMin: 20,
      uninstallsOld: true,
      abortScope: "container",
      abortsAfterFailed: false,
      wantsWake: false,
      zone: "Europe/Berlin",
    });
  });

  it("reads instants with an offset, and a zone of its own wins", () => {
    const schedule = { start: "2026-12-24T18:00:00+01:00", zone: "UTC" };

    expect(planScheduleOf(schedule, "Europe/Berlin")).toMatchObject({
      startMs: Date.UTC(2026, 11, 24, 17),
      zone: "UTC",
    });
  });

  it.each([
    { start: "2026-12-24" },
    { start: "2026-12-24T18:00:00Z", end: "2026-12-24T18:00:00Z" },
    { timeFrames: "6:00-7:00,noon" },
    { addressRanges: "10.0.0.0/8,nowhere" },
    { zone: "Mars/Olympus" },
    { shutdown: true },
  ])("refuses %j", (schedule) => {
    expect(() => checkSchedule(schedule)).toThrow(/is not valid: expected/u);
  });
});

describe("restarts in chains", () => {
  const edge = { name: parsePackageName("acme/b"), actionSet: "install" } as const;

  it.each([
    ["restart", {}, true],
    ["shutdown", {}, true],
    ["restartAgent", {}, false],
    ["none", {}, false],
    ["restart", { allowsRestart: true }, false],
    ["restart", { versions: ">=2" }, false],
    ["restart", { versions: "<2" }, true],
  ] as const)(
    "ZEN-20 a dependent with post action %s behind the edge %j",
    (postAction, more, isRefused) => {
      const a = known("acme/a@1", { dependencies: [{ ...edge, ...more }] });
      const b = known("acme/b@1", { postAction });
      const packages = catalog([a, b]);

      expect(restartEdge(a, [b], packages) !== undefined).toBe(isRefused);
      expect(restartEdge(b, [a], packages) !== undefined).toBe(isRefused);
    },
  );
});

describe("archives", () => {
  it.each([
    ["a.zip", ["linux"], true],
    ["a.ZIP", ["linux"], true],
    ["a.tar.gz", ["win32"], true],
    ["a.tgz", ["win32"], true],
    ["a.zip", ["win32"], false],
    ["a.tar.gz", ["linux"], false],
    ["a.zip", ["linux", "win32"], false],
    ["a.zip", undefined, false],
    ["a.zip", ["darwin"], false],
    ["folder", ["linux"], false],
  ] as const)("OCS-20 %s for %j", (source, os, isRefused) => {
    const check = () => checkArchiveType(source, os === undefined ? undefined : [...os]);

    if (isRefused) expect(check).toThrow(/does not fit a package for/u);
    else expect(check).not.toThrow();
  });
});
