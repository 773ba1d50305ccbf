import { mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Action } from "../../../protocol/package-action.ts";
import { startTimeOf } from "../../../node/actions/process-table.ts";
import { storeTarget } from "../../../node/actions/store.ts";
import {
  jobFixture,
  memoryPackage,
  namesIn,
  RUN_FIELDS,
  script,
  textOf,
  type JobFixture,
} from "./job-fixture.ts";

let node: JobFixture;
beforeEach(async () => {
  node = await jobFixture();
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
});

const launch = (program: string, args: string[] = [], change = {}): Action => ({
  kind: "launch",
  program,
  args,
  ...RUN_FIELDS,
  ...change,
});
const execute = (command: string[], change = {}): Action => ({
  kind: "execute",
  command,
  shell: false,
  captureExitCode: false,
  ...RUN_FIELDS,
  ...change,
});

describe("launch", () => {
  it("OCS-25 unpacks into a temporary folder, runs the program there with its parameters, and removes the folder", async () => {
    const setup = script("setup.sh", 'pwd; echo "$1|$2"; cat data/hello.txt; ls');
    const pack = memoryPackage(launch("setup.sh", ["a b", "$HOME"]), [
      setup,
      { path: "data/hello.txt", text: "hello\n" },
    ]);

    const report = await node.run(pack);

    const folder = join(node.dataDir, "tmp", "job-aaaaaaaaaaaaaaaa-1");
    expect(report).toMatchObject({ state: "succeeded", outcome: "success", exitCode: 0 });
    expect(report.output?.split("\n")).toEqual([
      folder,
      "a b|$HOME",
      "hello",
      "data",
      "setup.sh",
      "",
    ]);
    await node.driver[Symbol.asyncDispose]();
    expect(await namesIn(node.dataDir, "tmp")).toEqual([]);
    expect(await namesIn(node.dataDir, "runs")).toEqual([]);
  });

  it("OCS-26 starts no program that is named with a path or lies in a subfolder", async () => {
    const pack = memoryPackage(launch("setup.sh"), [script("bin/setup.sh", "exit 0")]);

    const report = await node.run(pack);

    expect(report).toMatchObject({ state: "failed", systemCode: -9999 });
    expect(report.reason).toContain("top folder");
    expect(report.exitCode).toBeUndefined();
  });

  it("OCS-27 reports the program's exit code", async () => {
    const report = await node.run(memoryPackage(launch("x.sh"), [script("x.sh", "exit 3")]));

    expect(report).toMatchObject({ state: "failed", outcome: "failed", exitCode: 3 });
    expect(report.systemCode).toBeUndefined();
  });

  it("OCO-50 takes every exit code as success where the list is empty", async () => {
    const action = launch("x.sh", [], { successCodes: [] });

    const report = await node.run(memoryPackage(action, [script("x.sh", "exit 1")]));

    expect(report).toMatchObject({ state: "succeeded", exitCode: 1 });
  });

  it("BR-5 reports location, DP, manifest, content and action in this order", async () => {
    const report = await node.run(memoryPackage(launch("x.sh"), [script("x.sh", "exit 0")]));

    expect(report.trace.map((one) => one.step)).toEqual([
      "location",
      "dpChosen",
      "manifestVerified",
      "contentFetched",
      "contentVerified",
      "actionStarted",
      "actionEnded",
    ]);
    expect(report.bytes.dp).toBeGreaterThan(0);
  });

  it("gives the program no variable of the node's own environment", async () => {
    process.env["BRANCHLINE_SECRET_OF_TEST"] = "secret";

    const report = await node.run(memoryPackage(launch("x.sh"), [script("x.sh", "env")]));

    delete process.env["BRANCHLINE_SECRET_OF_TEST"];
    expect(report.output).toContain("BRANCHLINE_PACKAGE=acme/app\n");
    expect(report.output).toContain("BRANCHLINE_VERSION=1.2.3\n");
    expect(report.output).not.toContain("secret");
  });

  it("OCS-18 refuses files that are not what the publisher signed, and runs nothing", async () => {
    const pack = memoryPackage(launch("x.sh"), [script("x.sh", "exit 0")]);
    const bad = memoryPackage(launch("x.sh"), [script("x.sh", "exit 1")]);
    const wrongPages = pack.manifest.content!;
    const mixed = {
      fragments: new Map([...pack.fragments, ...bad.fragments]),
      manifest: {
        ...pack.manifest,
        content: { ...wrongPages, fragmentPages: bad.manifest.content!.fragmentPages },
      },
    };

    const report = await node.run(mixed);

    expect(report).toMatchObject({ state: "failed", systemCode: -9999 });
    expect(report.reason).toContain("SHA-256");
    expect(report.trace.map((one) => one.step)).not.toContain("actionStarted");
  });
});

describe("execute", () => {
  it("OCS-28 OCS-29 runs an installed command with the content in its folder", async () => {
    const pack = memoryPackage(execute(["cat", "a.txt"]), [
      { path: "a.txt", text: "from content" },
    ]);

    const report = await node.run(pack);

    expect(report).toMatchObject({ state: "succeeded", output: "from content" });
  });

  it("OCS-28 OCS-19 runs without content", async () => {
    const report = await node.run(memoryPackage(execute(["echo", "no content"])));

    expect(report).toMatchObject({ state: "succeeded", output: "no content\n" });
    expect(report.bytes).toEqual({ local: 0, peer: 0, dp: 0, origin: 0 });
  });

  it("OCS-29 runs an executable of its content", async () => {
    const report = await node.run(
      memoryPackage(execute(["tool"]), [script("tool", "echo from the package")]),
    );

    expect(report.output).toBe("from the package\n");
  });

  it("OCS-30 accepts an absolute path and starts in the temporary folder", async () => {
    const report = await node.run(memoryPackage(execute(["/bin/pwd"])));

    expect(report.output).toBe(`${join(node.dataDir, "tmp", "job-aaaaaaaaaaaaaaaa-1")}\n`);
  });

  it("OCS-31 reports no exit code, whatever it was", async () => {
    const report = await node.run(memoryPackage(execute(["sh", "-c", "exit 7"])));

    expect(report).toMatchObject({ state: "succeeded", outcome: "success" });
    expect(report.exitCode).toBeUndefined();
  });

  it("OCS-31 reports the exit code where the package asks for it (D3)", async () => {
    const action = execute(["exit 7"], { shell: true, captureExitCode: true });

    const report = await node.run(memoryPackage(action));

    expect(report).toMatchObject({ state: "failed", exitCode: 7 });
  });

  it("OCO-46 reports a command that cannot be started as -9999 with the system's words", async () => {
    const report = await node.run(memoryPackage(execute(["no-such-command-here"])));

    expect(report).toMatchObject({ state: "failed", systemCode: -9999 });
    expect(report.reason).toContain("ENOENT");
    expect(report.exitCode).toBeUndefined();
  });

  it("hands nothing to a shell unless the package says so", async () => {
    const report = await node.run(memoryPackage(execute(["echo", "$(id)", ";", "ls"])));

    expect(report.output).toBe("$(id) ; ls\n");
  });

  it("ends the whole tree at the time limit, also what left its parents", async () => {
    const pids = join(node.dataDir, "pids");
    const text = `(sleep 60 & echo $! >> ${pids}; exec setsid sh -c 'echo $$ >> ${pids}; sleep 60') & sleep 60`;
    const action = execute([text], { shell: true, timeoutSec: 1 });

    const report = await node.run(memoryPackage(action));

    expect(report).toMatchObject({ state: "failed", outcome: "failed" });
    expect(report.reason).toContain("COMMAND_TIMEOUT");
    const started = (await textOf(pids)).trim().split("\n").map(Number);
    expect(started.length).toBe(2);
    expect(await Promise.all(started.map(startTimeOf))).toEqual([undefined, undefined]);
  });

  it("keeps only the end of a flood of output", async () => {
    const action = execute(["yes 0123456789 | head -c 5000000; echo END"], { shell: true });

    const report = await node.run(memoryPackage(action));

    expect(report.output?.length).toBeLessThanOrEqual(8192);
    expect(report.output?.endsWith("END\n")).toBe(true);
  });
});

describe("store", () => {
  const files = [
    { path: "readme.txt", text: "one" },
    { path: "bin/tool", text: "two", isExecutable: true },
    { path: "empty", text: "" },
    { path: "big.txt", text: "0123456789".repeat(5000) },
  ];

  it("OCS-32 puts the files below the node's store folder with their content and modes", async () => {
    const report = await node.run(memoryPackage({ kind: "store", path: "acme/app" }, files));

    const target = join(node.dataDir, "store", "acme", "app");
    expect(report).toMatchObject({ state: "succeeded", outcome: "success" });
    expect(report.exitCode).toBeUndefined();
    for (const file of files) expect(await textOf(target, file.path)).toBe(file.text);
    expect((await stat(join(target, "bin/tool"))).mode & 0o777).toBe(0o755);
    expect((await stat(join(target, "readme.txt"))).mode & 0o777).toBe(0o644);
    expect(await namesIn(node.dataDir, "store", "acme")).toEqual(["app"]);
  });

  it("OCS-32 replaces an earlier version as a whole", async () => {
    const first = memoryPackage({ kind: "store", path: "app" }, [{ path: "old.txt", text: "old" }]);
    const second = memoryPackage({ kind: "store", path: "app" }, [
      { path: "new.txt", text: "new" },
    ]);

    await node.run(first);
    node.direct(second, { revision: "bbbbbbbbbbbbbbbb" });
    await node.reported((one) => one.revision === "bbbbbbbbbbbbbbbb" && one.outcome === "success");

    expect(await namesIn(node.dataDir, "store", "app")).toEqual(["new.txt"]);
    expect(await namesIn(node.dataDir, "store")).toEqual(["app"]);
  });

  it("OCS-32 stores at an absolute path and keeps a folder that others made", async () => {
    const other = await jobFixture();
    const target = join(other.dataDir, "foreign");
    await mkdir(target);
    await writeFile(join(target, "precious.txt"), "mine");

    await node.run(memoryPackage({ kind: "store", path: target }, files));

    expect(await textOf(target, "readme.txt")).toBe("one");
    expect(await textOf(other.dataDir, ".foreign.previous", "precious.txt")).toBe("mine");
    await other[Symbol.asyncDispose]();
  });

  it("OCS-33 refuses paths that leave the store or reach the node's own data", async () => {
    const refused = ["../x", "a/../../x", ".", "/", node.dataDir, join(node.dataDir, "trust")];
    refused.push(join(node.dataDir, ".."), join(node.dataDir, "store"), "/tmp");

    for (const path of refused) {
      await expect(storeTarget(path, node.dataDir), path).rejects.toMatchObject({
        code: "STORE_PATH_REFUSED",
      });
    }
  });
});
