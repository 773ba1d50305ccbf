import { spawn } from "node:child_process";
import { once } from "node:events";
import { watch } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { attachRun } from "../../../node/actions/process-runner.ts";
import { jobFixture, memoryPackage, RUN_FIELDS, type JobFixture } from "./job-fixture.ts";

let node: JobFixture;
beforeEach(async () => {
  node = await jobFixture();
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
});

const shell = (text: string) =>
  memoryPackage({
    kind: "execute",
    command: [text],
    shell: true,
    captureExitCode: true,
    ...RUN_FIELDS,
  });

/** What a real process writes into a file, as soon as it is there. */
async function appears(path: string): Promise<string> {
  const folder = watch(dirname(path));
  try {
    for (;;) {
      // Listening begins before the look, so that no change falls between the two.
      const change = once(folder, "change");
      const text = await readFile(path, "utf8").catch(() => "");
      if (text.endsWith("\n")) return text;
      await change;
    }
  } finally {
    folder.close();
  }
}

describe("an agent that is killed", () => {
  it("does not take its command with it, and the next agent learns the end (trust X14)", async () => {
    const folder = join(node.dataDir, "runs", "killed");
    const started = join(node.dataDir, "started");
    const go = join(node.dataDir, "go");
    const script = `echo run >> ${started}; while [ ! -e ${go} ]; do sleep 0.05; done; exit 5`;
    const program = fileURLToPath(new URL("./agent-program.ts", import.meta.url));
    const agent = spawn(process.execPath, [program, folder, script], { stdio: "ignore" });
    await appears(started);

    agent.kill("SIGKILL");
    await once(agent, "exit");
    await writeFile(go, "go");
    const end = await attachRun(folder, new AbortController().signal);

    expect(end).toMatchObject({ kind: "exited", exitCode: 5 });
    expect(await readFile(started, "utf8")).toBe("run\n");
  });
});

describe("an agent that ends while a command runs", () => {
  it("leaves the command alone, attaches to it after the restart, and reports its exit code once", async () => {
    const go = join(node.dataDir, "go");
    const started = join(node.dataDir, "started");
    const pack = shell(`echo run >> ${started}; while [ ! -e ${go} ]; do sleep 0.05; done; exit 0`);
    node.direct(pack);
    await appears(started);

    node = await node.restarted();
    node.direct(pack);
    await writeFile(go, "go");
    const report = await node.reported((one) => one.outcome !== undefined);

    expect(report).toMatchObject({ state: "succeeded", exitCode: 0, attempt: 1 });
    expect(report.trace.map((one) => one.step).slice(-3)).toEqual([
      "contentVerified",
      "actionStarted",
      "actionEnded",
    ]);
    expect(await readFile(started, "utf8")).toBe("run\n");
  });

  it("reports a command whose runner died as interrupted, which counts as an attempt", async () => {
    const started = join(node.dataDir, "started");
    const pack = shell(`echo $PPID >> ${started}; sleep 30`);
    node.direct(pack);
    const runner = Number(await appears(started));

    const dataDir = node.dataDir;
    const next = node.restarted();
    process.kill(runner, "SIGKILL");
    node = await next;
    node.direct(pack);
    const report = await node.reported((one) => one.outcome !== undefined);

    expect(report).toMatchObject({ outcome: "interrupted", state: "failed", attempt: 1 });
    expect((await readFile(join(dataDir, "started"), "utf8")).trim()).toBe(String(runner));
  });

  it("never runs a finished job again after a restart, and serves its content instead", async () => {
    const pack = memoryPackage({ kind: "store", path: "app" }, [{ path: "a", text: "a" }]);
    await node.run(pack);

    node = await node.restarted();
    node.direct(pack);
    await node.driver[Symbol.asyncDispose]();

    expect(node.reports).toEqual([]);
    expect(node.exchange.served.length).toBe(1);
  });
});
