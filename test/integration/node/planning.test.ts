/** The agent's side of planning on real files and processes, by hand-made directives. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Action } from "../../../protocol/package-action.ts";
import type { MemoryPackage } from "../../support/memory-content.ts";
import {
  jobFixture,
  memoryPackage,
  packageOf,
  RUN_FIELDS,
  script,
  type JobFixture,
} from "./job-fixture.ts";
import { fileRule, notingOn, notingPackage, shell } from "./noting-packages.ts";

let node: JobFixture;
beforeEach(async () => {
  node = await jobFixture({ retryBaseMs: 1 });
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
});

const { noting, notes } = notingOn(() => node);

/** Wants another state of the same package, and waits until that has failed too. */
async function failedAfterChange(pack: MemoryPackage): Promise<void> {
  node.direct(pack, { revision: "bbbbbbbbbbbbbbbb" });
  await node.reported(({ revision, outcome }) => revision.startsWith("b") && outcome === "failed");
}

describe("detection around an install", () => {
  it("SE-15 starts no installer and fetches nothing where the package is there", async () => {
    await writeFile(join(node.dataDir, "store", "app"), "");
    const launch = { kind: "launch", program: "x.sh", args: [], ...RUN_FIELDS } satisfies Action;
    const pack = memoryPackage(launch, [script("x.sh", "exit 1")]);

    const report = await node.run(packageOf(pack, "acme/app@1", { detection: [fileRule("app")] }));

    expect(report).toMatchObject({ state: "alreadyInstalled", outcome: "success", attempt: 0 });
    expect(report.bytes.dp).toBe(0);
    expect(report.trace.map(({ step }) => step)).not.toContain("actionStarted");
  });

  it("SE-15 installs it all the same where that is forced", async () => {
    await writeFile(join(node.dataDir, "store", "app"), "");

    await node.run(noting("app", { detection: [fileRule("app")] }), { force: true });

    expect(await notes()).toEqual(["app"]);
  });

  it("takes an install whose package is not found afterwards for a failed attempt", async () => {
    const report = await node.run(noting("app", { detection: [fileRule("absent")] }));

    expect(report).toMatchObject({ state: "failed", outcome: "failed", exitCode: 0, attempt: 1 });
    expect(report.reason).toContain("not found afterwards");
  });

  it("does not wait for ever for a detection command that hangs", async () => {
    const command = { kind: "command" as const, command: ["sleep", "60"], shell: false };

    const report = await node.run(noting("app", { detection: [{ ...command, timeoutSec: 1 }] }));

    expect(report.reason).toContain("not found afterwards");
  });

  it("does nothing for updateOnly where nothing is installed, and counts no attempt", async () => {
    const pack = noting("app", { detection: [fileRule("app")] });

    const report = await node.run(pack, { ensure: "updateOnly" });

    expect(report).toMatchObject({ state: "incompatible", attempt: 0 });
    expect(report.reason).toContain("only existing software is updated");
    expect(await notes()).toEqual([]);
  });

  it("ZEN-15 runs nothing on an endpoint that misses a requirement, fetches nothing, and says what", async () => {
    const pack = memoryPackage({ kind: "store", path: "app" }, [{ path: "a", text: "a" }]);
    const memoryBytes = 64 * 2 ** 30;

    const report = await node.run(packageOf(pack, "acme/app@1", { requirements: { memoryBytes } }));

    expect(report).toMatchObject({ state: "incompatible", outcome: "blocked", attempt: 0 });
    expect(report.reason).toContain("68719476736 bytes of memory");
    expect(report.bytes.dp).toBe(0);
  });
});

describe("uninstall and launch", () => {
  it("OCO-50 takes a package off by its own command and its own list of success codes", async () => {
    const uninstall = shell(`rm ${join(node.dataDir, "store", "app")}; exit 5`, [0, 5]);
    await writeFile(join(node.dataDir, "store", "app"), "");
    const pack = noting("app", { uninstall, detection: [fileRule("app")] });

    const report = await node.run(pack, { operation: "uninstall" });

    expect(report).toMatchObject({ state: "succeeded", operation: "uninstall", exitCode: 5 });
    expect(await notes()).toEqual([]);
  });

  it("OCO-37 reports an uninstall with a code that is not listed as failed", async () => {
    const uninstall = shell("exit 69", [0]);

    const report = await node.run(noting("app", { uninstall }), { operation: "uninstall" });

    expect(report).toMatchObject({ state: "failed", operation: "uninstall", exitCode: 69 });
  });

  it("is done with an uninstall of what is not there", async () => {
    const pack = noting("app", { uninstall: shell("exit 1"), detection: [fileRule("app")] });

    const report = await node.run(pack, { operation: "uninstall" });

    expect(report).toMatchObject({ state: "succeeded", reason: "it is not installed" });
  });

  it("OCO-44 reports an uninstall without a command as -9999 with a reason", async () => {
    const report = await node.run(noting("app"), { operation: "uninstall" });

    expect(report).toMatchObject({ state: "failed", systemCode: -9999 });
    expect(report.reason).toContain("UNINSTALL_IMPOSSIBLE");
  });

  it("ZEN-19 runs the launch action at every launch, and not the install", async () => {
    const notesPath = join(node.dataDir, "notes");
    const pack = noting("app", { onLaunch: shell(`echo launched >> ${notesPath}`) });

    await node.run(pack, { operation: "launch", job: "l1" });
    node.direct(pack, { operation: "launch", job: "l2" });
    await node.ended("l2");

    expect(await notes()).toEqual(["launched", "launched"]);
  });
});

describe("several jobs", () => {
  it("ZEN-13 installs dependents first, and ZEN-9 names the path where one fails", async () => {
    const [a, b, c] = [noting("a"), noting("b", {}, "exit 1"), noting("c")];
    node.directAll([
      { pack: a, change: { job: "a", after: ["b", "c"] } },
      { pack: b, change: { job: "b" } },
      { pack: c, change: { job: "c" } },
    ]);

    await node.ended("c");
    const held = await node.reported(
      ({ job, reason }) => job === "a" && reason?.includes("> acme/b") === true,
    );

    expect(held).toMatchObject({ state: "waiting" });
    expect(held.reason).toBe("waits for a dependency: acme/a@1 > acme/b@1");
    expect(await notes()).toEqual(["b", "c"]);
  });

  it("OCO-48 fails the rest of a sequence with -8888 without running it", async () => {
    const sequenceOf = { id: "c1", abort: true };
    node.directAll([
      { pack: noting("one", {}, "exit 1"), change: { job: "one", sequenceOf } },
      { pack: noting("two"), change: { job: "two", sequenceOf } },
      { pack: noting("three"), change: { job: "three", sequenceOf } },
    ]);

    const [two, three] = [await node.ended("two"), await node.ended("three")];

    for (const report of [two, three]) {
      expect(report).toMatchObject({ state: "failed", systemCode: -8888, attempt: 0 });
      expect(report.exitCode).toBeUndefined();
      expect(report.reason).toContain("acme/one@1 failed before it");
    }
    expect(await notes()).toEqual(["one"]);
  });

  it("OCO-49 runs the rest of a sequence that ignores failures", async () => {
    const sequenceOf = { id: "c1", abort: false };
    node.directAll([
      { pack: noting("one", {}, "exit 1"), change: { job: "one", sequenceOf } },
      { pack: noting("two"), change: { job: "two", sequenceOf } },
    ]);

    await node.ended("two");

    expect(await notes()).toEqual(["one", "two"]);
  });

  it("OCS-14 OCS-22 runs several orders of one answer in their order", async () => {
    node.directAll([
      { pack: noting("low", {}, "", 7), change: { job: "low", sequence: 2 } },
      { pack: noting("high", {}, "", 2), change: { job: "high", sequence: 0 } },
      { pack: noting("middle"), change: { job: "middle", sequence: 1 } },
    ]);

    await node.ended("low");

    expect(await notes()).toEqual(["high", "middle", "low"]);
  });

  it("OCS-23 runs nothing beside a failing level 0, names it, and goes on when it is withdrawn", async () => {
    const other = { pack: noting("other"), change: { job: "other" } };
    node.directAll([{ pack: noting("zero", {}, "exit 1", 0), change: { job: "zero" } }, other]);
    const held = await node.reported(({ job, reason }) => job === "other" && reason !== undefined);
    await node.ended("zero");
    const during = await notes();

    node.directAll([other]);
    await node.ended("other");

    expect(held.reason).toBe("blocked by acme/zero@1: it has level 0 and has not succeeded yet");
    expect(during).toEqual(["zero"]);
    expect(await notes()).toEqual(["zero", "other"]);
  });

  it("SE-21 SE-22 tries as often as the limit says, and shows the count and the reason", async () => {
    node.direct(noting("app", {}, "echo broken; exit 4"), { attemptLimit: 5 });

    const last = await node.reported(({ state }) => state === "failed");

    expect(await notes()).toEqual(Array.from({ length: 5 }, () => "app"));
    expect(last).toMatchObject({ attempt: 5, exitCode: 4, output: "broken\n" });
    expect(last.reason).toContain("exit code 4");
    const waiting = node.reports.filter(({ outcome, state }) => outcome && state === "waiting");
    expect(waiting.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4]);
  });

  it("SE-23 starts again when the desired state changes", async () => {
    const pack = noting("app", {}, "exit 1");
    await node.run(pack);

    await failedAfterChange(pack);

    expect(await notes()).toEqual(["app", "app"]);
  });

  it("SE-23 starts again when the desired state changes back, also after a restart", async () => {
    const pack = noting("app", {}, "exit 1");
    await node.run(pack);
    await failedAfterChange(pack);
    node = await node.restarted();

    const last = await node.run(pack);

    expect(last).toMatchObject({ state: "failed", attempt: 1 });
    expect(await notes()).toEqual(["app", "app", "app"]);
  });
});

describe("conditions checked by the agent", () => {
  it("OCO-6 expires a job whose end has passed, whatever the directive still says", async () => {
    node.direct(noting("app"), { conditions: { endMs: Date.now() - 1 } });

    const report = await node.reported(({ state }) => state === "expired");

    expect(report.attempt).toBe(0);
    expect(await notes()).toEqual([]);
  });

  it("OCO-15 runs nothing while the coordinator sees another address, and says so", async () => {
    node.direct(noting("app"), { conditions: { addressRanges: "10.0.0.0/8" } });

    const held = await node.reported(({ reason }) => reason !== undefined);

    expect(held).toMatchObject({ state: "waiting" });
    expect(held.reason).toContain("address of its ranges");
    expect(await notes()).toEqual([]);
  });

  it("executes by itself when the start comes, and brings the content before", async () => {
    const startMs = 1_000_400;
    // The clock stands until the wait has been seen, however slow the machine is.
    let nowMs = startMs - 400;
    await using own = await jobFixture({ now: () => nowMs });
    const pack = notingPackage(own, "app", {});
    own.direct(pack, { conditions: { startMs } });

    const held = await own.reported(({ reason }) => reason !== undefined);
    nowMs = startMs;
    const report = await own.ended("job");

    expect(held.reason).toContain("waits for its start");
    expect(report.trace.find(({ step }) => step === "actionStarted")?.atMs).toBeGreaterThanOrEqual(
      startMs,
    );
  });
});
