/** Whole runs on the driver of jobs: real files and processes, a clock of the test's own. */
import { EventEmitter, once } from "node:events";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, expect, it } from "vitest";
import { endpointIdOf } from "../../../protocol/ids.ts";
import type { Report, RunReport, ScanReport } from "../../../protocol/report.ts";
import { RunCycle } from "../../../node/scan/run-cycle.ts";
import {
  jobFixture,
  memoryPackage,
  packageOf,
  RUN_FIELDS,
  type JobFixture,
} from "./job-fixture.ts";

const INTERVAL_MS = 200;
let node: JobFixture;
let stop: AbortController;
let running: Promise<void>;
let isOffline = false;
let checkIns: number;
/** Tells each check-in and each report to whoever waits. */
const happened = new EventEmitter();

beforeEach(async () => {
  node = await jobFixture();
  start();
});
afterEach(async () => {
  await stopped();
  await node[Symbol.asyncDispose]();
});

function start(): void {
  stop = new AbortController();
  checkIns = 0;
  const { driver, journal, machine } = node;
  const cycle = new RunCycle({
    endpoint: endpointIdOf(Buffer.alloc(32, 7)),
    intervalMs: INTERVAL_MS,
    journal,
    outbox: {
      post: async (report, ...records) => {
        await journal.append(...records, { type: "report", report });
        happened.emit("step");
      },
    },
    software: async () => machine.software(),
    review: async (signal) => driver.review(signal),
    checkIn: async () => {
      checkIns += 1;
      happened.emit("step");
      if (isOffline) throw new Error("no network");
    },
    act: async (review) => driver.act(review),
    isQuiet: () => driver.isQuiet,
    now: () => Date.now(),
    log: pino({ level: "silent" }),
  });
  node.listen((activity) => cycle.noticed(activity));
  running = cycle.run(stop.signal);
}

async function stopped(): Promise<void> {
  stop.abort();
  await running;
}

/** `count` whole runs from now on: each check-in begins one, and ends the one before. */
async function moreRuns(count: number): Promise<void> {
  const last = checkIns + count + 1;
  for (;;) {
    if (checkIns >= last) return;
    await once(happened, "step");
  }
}

function posted(): readonly Report[] {
  return [...node.journal.state.outbox.values()];
}

async function until<T extends Report>(
  isMeant: (report: Report) => report is T,
  count = 1,
): Promise<readonly T[]> {
  for (;;) {
    const found = posted().filter(isMeant);
    if (found.length >= count) return found;
    await once(happened, "step");
  }
}

const isScan = (report: Report): report is ScanReport => report.kind === "scan";
const isRun = (report: Report): report is RunReport => report.kind === "run";
const isLogOfAction = (report: Report): report is RunReport =>
  isRun(report) && report.entries.some(({ step }) => step === "action");

function installing(name: string, exitCode = 0) {
  const path = join(node.dataDir, "store", name);
  const command = [exitCode === 0 ? `touch ${path}` : `exit ${exitCode}`];
  const action = { kind: "execute" as const, command, shell: true, captureExitCode: true };
  const pack = memoryPackage({ ...action, ...RUN_FIELDS });
  return packageOf(pack, `acme/${name}@1`, { detection: [{ kind: "file", path }] });
}

it("SE-12 SE-16 SE-17 SE-18 tells each action once, after the run, with the scan that follows it", async () => {
  node.machine.installed = [{ name: "vim", version: "9", source: "dpkg" }];
  await until(isRun);
  node.direct(installing("app"));

  const [log] = await until(isLogOfAction);
  await until(isScan, 2);
  await until(isRun, 2);
  await moreRuns(2);

  expect(log?.entries.find(({ step }) => step === "action")).toMatchObject({
    package: "acme/app@1",
    text: "install",
    outcome: "success",
  });
  expect(log?.entries.at(-1)).toMatchObject({ step: "rescan", text: "2 found, changed" });
  expect(posted().filter(isLogOfAction)).toHaveLength(1);
  const scans = posted().filter(isScan);
  expect(scans.map(({ software }) => software.map(({ name }) => name))).toEqual([
    ["vim"],
    ["acme/app", "vim"],
  ]);
});

it("SE-19 scans, asks and installs again at the next run what somebody removed", async () => {
  const path = join(node.dataDir, "store", "app");
  node.direct(installing("app"), { attemptLimit: 3 });
  await until(isLogOfAction);

  await rm(path);
  const logs = await until(isLogOfAction, 2);

  const second = logs[1]?.entries.map(({ step }) => step) ?? [];
  expect(second.slice(0, 2)).toEqual(["scan", "wishlist"]);
  expect(second.slice(-2)).toEqual(["log", "rescan"]);
});

it("SE-20 SE-21 tries again at each run until the limit, and then no more", async () => {
  node.direct(installing("app", 1), { attemptLimit: 3 });

  await node.reported(({ state }) => state === "failed");
  await moreRuns(2);

  const attempts = node.reports.filter(({ outcome }) => outcome !== undefined);
  expect(attempts.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
});

it("goes on offline by the last wishlist, and keeps log and scan for later", async () => {
  isOffline = true;
  await until(isRun);
  node.direct(installing("app"));

  const [log] = await until(isLogOfAction);
  isOffline = false;

  expect(log?.entries.some(({ outcome }) => outcome === "success")).toBe(true);
  const [first] = posted().filter(isRun);
  expect(first?.entries[1]?.text).toContain("the last wishlist stands");
});

it("SE-17 loses no action to a restart between the action and its log, and tells it once", async () => {
  await stopped();
  node.direct(installing("app"));
  await node.ended("job");
  node = await node.restarted();
  const kept = node.journal.state.actions.length;

  start();
  node.direct(installing("app"));
  const logs = await until(isLogOfAction);

  expect(kept).toBe(1);
  expect(logs).toHaveLength(1);
  expect(node.journal.state.actions).toEqual([]);
});
