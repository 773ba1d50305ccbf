/** What follows from the end of a job: restarts, errors, and the look of the next run. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { jobFixture, memoryPackage, packageOf, type JobFixture } from "./job-fixture.ts";
import { fileRule, notingOn, shell } from "./noting-packages.ts";

let node: JobFixture;
beforeEach(async () => {
  node = await jobFixture({ retryBaseMs: 1 });
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
});

const { noting, notes } = notingOn(() => node);

describe("restarts", () => {
  it("OCO-14 restarts at once where nobody is logged in, and executes nothing more until then", async () => {
    node.directAll([
      { pack: noting("driver", { postAction: "restart" }), change: { job: "driver" } },
      { pack: noting("next"), change: { job: "next" } },
    ]);

    const held = await node.reported(({ job, reason }) => job === "next" && reason !== undefined);

    expect(node.machine.orders).toEqual([["restart", 0]]);
    expect(held.reason).toBe("waits for a restart of the system");
    expect(await notes()).toEqual(["driver"]);
  });

  it("OCO-14 gives a logged-in user the time of the job", async () => {
    node.machine.isUsed = true;
    node.direct(noting("driver", { postAction: "restart" }), { restartTimeoutMin: 7 });

    await node.machine.told();

    expect(node.machine.orders).toEqual([["restart", 7]]);
  });

  it("OCO-14 never restarts where the time is negative, and goes on", async () => {
    node.directAll([
      {
        pack: noting("driver", { postAction: "restart" }),
        change: { job: "driver", restartTimeoutMin: -1 },
      },
      { pack: noting("next"), change: { job: "next" } },
    ]);

    await node.ended("next");

    expect(node.machine.orders).toEqual([]);
  });

  it("keeps the gate shut over restarts of the agent, and opens it when the system has restarted", async () => {
    const exitCodes = [{ code: 10, outcome: "successRebootRequired" as const }];
    const orders = [
      { pack: noting("driver", { exitCodes }, "exit 10"), change: { job: "driver" } },
      { pack: noting("next"), change: { job: "next" } },
    ];
    node.directAll(orders);
    const first = await node.ended("driver");
    node = await node.restarted();
    node.directAll(orders);
    await node.reported(({ job, reason }) => job === "next" && reason !== undefined);
    const before = await notes();

    node.machine.boot = "boot-2";
    node = await node.restarted();
    node.directAll(orders);
    await node.ended("next");

    expect(first).toMatchObject({ state: "succeeded", outcome: "successRebootRequired" });
    expect(first.exitCode).toBe(10);
    expect(before).toEqual(["driver"]);
    expect(await notes()).toEqual(["driver", "next"]);
    expect(node.machine.orders).toEqual([]);
  });

  it("tells the operators where the system cannot be restarted, and keeps the gate shut", async () => {
    node.machine.isBroken = true;
    node.directAll([
      { pack: noting("driver", { postAction: "restart" }), change: { job: "driver" } },
      { pack: noting("next"), change: { job: "next" } },
    ]);

    const held = await node.reported(({ job, reason }) => job === "next" && reason !== undefined);
    await node.quiet();

    expect(held.reason).toBe("waits for a restart of the system");
    expect(node.refusals).toEqual(["POWER_COMMAND_FAILED"]);
    expect(await notes()).toEqual(["driver"]);
  });

  it("asks for no restart when a package that wants one is taken off", async () => {
    const uninstall = shell("true");

    await node.run(noting("driver", { uninstall, postAction: "restart" }), {
      operation: "uninstall",
    });
    await node.quiet();

    expect(node.machine.orders).toEqual([]);
  });

  it("OCO-8 shuts an endpoint that was woken down after its last job, and once", async () => {
    const shutdownAfter = true;
    const orders = [
      { pack: noting("one"), change: { job: "one", shutdownAfter } },
      { pack: noting("two"), change: { job: "two", shutdownAfter } },
    ];
    node.directAll(orders);
    await node.ended("two");
    node = await node.restarted();
    node.directAll(orders);
    await node.machine.told();
    node = await node.restarted();
    node.directAll(orders);

    node.machine.boot = "boot-2";
    node = await node.restarted();
    node.directAll(orders);
    await node.driver[Symbol.asyncDispose]();

    expect(node.machine.orders).toEqual([["shutdown", 0]]);
  });

  it("OCO-9 leaves an endpoint on that was not woken", async () => {
    await node.run(noting("one"));
    await node.driver[Symbol.asyncDispose]();

    expect(node.machine.orders).toEqual([]);
  });

  it("restarts the agent where a package asks for it, after its end is written down", async () => {
    const report = await node.run(noting("agent", { postAction: "restartAgent" }));
    await node.machine.told();

    expect(report.state).toBe("succeeded");
    expect(node.machine.agentRestarts).toBeGreaterThan(0);
    expect(node.journal.state.open).toBeUndefined();
  });
});

describe("errors of the agent", () => {
  it("OCO-44 OCO-46 OCO-47 reports -9999 with the system's words, the class and a number for the log", async () => {
    const action = { ...shell("x"), command: ["no-such-command-here"], shell: false };

    const report = await node.run(memoryPackage(action));

    expect(report).toMatchObject({ state: "failed", systemCode: -9999, outcome: "failed" });
    expect(report.reason).toMatch(/ENOENT.*\(DeployError, trace [0-9a-f]{8}\)$/u);
    expect(report.exitCode).toBeUndefined();
  });

  it("OCO-45 gives up a download without a byte, shows -9999, and succeeds when it is tried again", async () => {
    await node[Symbol.asyncDispose]();
    node = await jobFixture({ retryBaseMs: 20, stallMs: 50 });
    const pack = memoryPackage({ kind: "store", path: "app" }, [{ path: "a", text: "a" }]);
    node.exchange.isCut = true;
    node.direct(pack);

    const cut = await node.reported(({ systemCode }) => systemCode !== undefined);
    node.exchange.isCut = false;
    const report = await node.ended("job");

    expect(cut).toMatchObject({ state: "waiting", systemCode: -9999 });
    expect(cut.reason).toContain("FETCH_STALLED");
    expect(report).toMatchObject({ state: "succeeded", attempt: 1 });
  });

  it("OCO-45 runs a job that an operator schedules anew after -9999", async () => {
    const tool = join(node.dataDir, "tool.sh");
    const pack = memoryPackage({ ...shell("x"), command: [tool], shell: false });
    const failed = await node.run(pack);
    await writeFile(tool, "#!/bin/sh\nexit 0\n", { mode: 0o755 });

    node.direct(pack, { revision: "cccccccccccccccc" });
    const report = await node.reported(({ revision, outcome }) => revision[0] === "c" && !!outcome);

    expect(failed.systemCode).toBe(-9999);
    expect(report.state).toBe("succeeded");
    await rm(tool);
  });
});

describe("a look at what was done", () => {
  it("SE-19 installs again what somebody took off, and says why", async () => {
    const path = join(node.dataDir, "store", "app");
    const pack = noting("app", { detection: [fileRule("app")] }, `touch ${path}`);
    const signal = new AbortController().signal;
    node.direct(pack, { attemptLimit: 3 });
    await node.ended("job");
    await node.quiet();
    const before = await node.driver.review(signal);
    await rm(path);

    const after = await node.driver.review(signal);
    await node.driver.act(after);
    await node.reported(({ attempt, outcome }) => attempt === 2 && outcome === "success");

    expect(before.drifted).toEqual([]);
    expect(before.software).toEqual([{ name: "acme/app", version: "1", source: "rule" }]);
    expect(after.drifted).toHaveLength(1);
    const drift = node.reports.find(({ reason }) => reason?.includes("no longer there"));
    expect(drift).toMatchObject({ state: "waiting" });
    expect(await notes()).toEqual(["app", "app"]);
  });

  it("does not take an older version that a newer one replaced for drift", async () => {
    const one = memoryPackage({ kind: "store", path: "app" }, [{ path: "v1", text: "1" }]);
    const two = memoryPackage({ kind: "store", path: "app" }, [{ path: "v2", text: "2" }]);
    node.directAll([
      {
        pack: packageOf(one, "acme/app@1", { detection: [fileRule("app/v1")] }),
        change: { job: "one" },
      },
      {
        pack: packageOf(two, "acme/app@2", { detection: [fileRule("app/v2")] }),
        change: { job: "two" },
      },
    ]);
    await node.ended("two");

    const review = await node.driver.review(new AbortController().signal);

    expect(review.drifted).toEqual([]);
    expect(review.software.map(({ version }) => version)).toEqual(["2"]);
  });

  it("takes a job that was given up for done when its package turns up", async () => {
    const pack = noting("app", { detection: [fileRule("app")] }, "exit 1");
    await node.run(pack);
    await node.quiet();
    await writeFile(join(node.dataDir, "store", "app"), "");

    await node.driver.act(await node.driver.review(new AbortController().signal));

    const report = await node.reported(({ state }) => state === "alreadyInstalled");
    expect(report.attempt).toBe(1);
  });
});
