/** The verbs of intent, typed as an operator types them, against a real coordinator. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildProgram, runProgram } from "../../../coordinator/cli/program.ts";
import { PROJECT_FOLDER } from "../../support/processes.ts";
import { memorySession } from "../../unit/cli/memory-session.ts";
import { newFleet, type TestFleet } from "../coordinator/fleet.ts";
import { activePackage, listen, type Listener } from "../coordinator/intent-fleet.ts";

const noNode = { node: () => Promise.resolve(), launch: () => Promise.resolve() };

let fleet: TestFleet;
let pc: Listener;
beforeAll(async () => {
  // The command line checks the coordinator's certificate by the real clock.
  fleet = await newFleet(Date.now());
  await fleet.site("berlin", "10.1.0.0/16");
  pc = await listen(fleet, "e1");
  await activePackage(fleet, "acme/lib@1", {});
  const dependencies = [{ name: "acme/lib", actionSet: "install" }];
  await activePackage(fleet, "acme/app@1", { dependencies });
  await activePackage(fleet, "acme/app@2", { dependencies });
});
afterAll(async () => fleet[Symbol.asyncDispose]());

interface Ended {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
}

async function cli(...args: readonly string[]): Promise<Ended> {
  const session = memorySession({ variables: { BRANCHLINE_DATA: fleet.dataDir } });
  const program = buildProgram(session, "1", noNode);
  const exitCode = await runProgram(program, args, session);
  return { exitCode, out: session.out(), err: session.err() };
}

async function json(...args: readonly string[]): Promise<unknown> {
  const ended = await cli(...args, "--json");
  expect(ended).toMatchObject({ exitCode: 0, err: "" });
  return JSON.parse(ended.out) as unknown;
}

describe("intent at the command line", () => {
  it("makes groups and links, and shows them as list and matrix", async () => {
    await json("endpoint-group", "set", "counters", "--endpoint", "e1");
    await json("endpoint-group", "set", "linux", "--query", "os = linux");
    await json(
      "package-group",
      "set",
      "office",
      "acme/app@1,attempt-limit=5",
      "acme/lib,ensure=latest",
    );
    const dry = await cli("assign", "office", "counters", "--priority", "-5", "--dry-run");
    const none = await json("assignments");
    await json("assign", "office", "counters", "--priority", "-5");
    const matrix = await cli("assignments", "--matrix");

    expect(dry.out).toContain("dry run: 1 object would change, nothing was done");
    expect(none).toMatchObject({ list: [] });
    expect(matrix.out.split("\n").map((line) => line.split(/ {2,}/u))).toEqual([
      ["PACKAGES \\ ENDPOINTS", "counters", "linux"],
      ["office", "x", "-"],
      [""],
    ]);
    expect(await json("endpoint-group", "show", "linux")).toMatchObject({ endpoints: ["e1"] });
    expect((await cli("package-group", "list")).out).toMatch(/acme\/app@1 +present +5/u);
  });

  it("tells why each wish waits, down to what ends it", async () => {
    const why = await cli("why", "e1", "acme/app");
    const data = await json("why", "e1");

    expect(why.out).toMatch(/^acme\/app@1 install: waiting/u);
    expect(why.out).toContain("wanted by wishlist/office x counters");
    expect(why.out).toMatch(/because .* Since .*; ends when .*\.\n/u);
    expect(data).toMatchObject({ endpoint: "e1" });
  });

  it("exports what it can apply again; diff ends with 0 where nothing differs and 1 where something does", async () => {
    const path = join(fleet.folder, "fleet.yaml");
    const exported = await cli("export");
    await writeFile(path, exported.out);

    const same = await cli("diff", "-f", path, "--prune");
    await writeFile(path, exported.out.replace("priority: -5", "priority: 8"));
    const other = await cli("diff", "-f", path);
    const planned = await cli("plan", "-f", path);
    const applied = await cli("apply", "-f", path);
    const again = await cli("apply", "-f", path);

    expect(same).toMatchObject({ exitCode: 0, out: "nothing to change\n" });
    expect(other.exitCode).toBe(1);
    expect(other.out).toMatch(/assignment +office x counters +update +schedule\.priority +1/u);
    expect(other.err).toContain("1 object of");
    expect(planned.exitCode).toBe(0);
    expect(applied.out).not.toContain("dry run");
    expect(again.out).toBe("nothing to change\n");
  });

  it("applies the example of the operator's guide, and it comes to rest", async () => {
    const guide = await readFile(join(PROJECT_FOLDER, "coordinator/OPERATING.md"), "utf8");
    const example = /```yaml\n(?<yaml>[\s\S]*?)```/u.exec(guide)?.groups?.["yaml"] ?? "";
    const path = join(fleet.folder, "guide.yaml");
    await writeFile(path, example);
    await listen(fleet, "berlin-01", "berlin", "10.1.0.11");
    await listen(fleet, "berlin-02", "berlin", "10.1.0.12");
    await activePackage(fleet, "acme/app@1.2.3", {});
    await activePackage(fleet, "acme/agent@1", {});
    const before = join(fleet.folder, "before.yaml");
    await writeFile(before, (await cli("export")).out);

    const first = await cli("apply", "-f", path);
    const again = await cli("diff", "-f", path);
    for (const name of ["rollout", "window", "rule"] as const) {
      await cli(
        name,
        "delete",
        { rollout: "office-everywhere", window: "nights", rule: "nightly" }[name],
      );
    }
    await json("apply", "-f", before);

    expect(first).toMatchObject({ exitCode: 0, err: "" });
    expect(first.out).toMatch(/rollout +office-everywhere +create +3/u);
    expect(again).toMatchObject({ exitCode: 0, out: "nothing to change\n" });
  });

  it("reads JSON as well, and says in one sentence what is wrong with a file", async () => {
    const path = join(fleet.folder, "fleet.json");
    await writeFile(path, JSON.stringify(await json("export")));
    const good = await cli("apply", "-f", path);
    await writeFile(path, "v: 1\nrules: [{name: r}]\n");
    const bad = await cli("apply", "-f", path);
    await writeFile(path, "v: 1\n  rules: [\n");
    const broken = await cli("apply", "-f", path);
    const bomb = "v: 1\na: &a [x,x]\nb: [*a,*a]\n";
    await writeFile(path, bomb);
    const aliases = await cli("apply", "-f", path);

    expect(good.out).toBe("nothing to change\n");
    for (const ended of [bad, broken, aliases]) {
      expect(ended.exitCode).toBe(1);
      expect(ended.err).toMatch(/^error: [^\n]+\nhint: [^\n]+\n$/u);
    }
  });

  it("OCO-3 OCO-25 OCO-35 makes containers, shows their jobs and run times, and uninstalls from everybody", async () => {
    await pc.obey();
    await json("container", "create", "c1", "--having", "acme/app@1", "--package", "acme/app@2");
    const shown = await cli("container", "show", "c1");
    await json("container", "edit", "c1", "--priority", "7");
    const edited = await json("container", "show", "c1");
    const uninstall = await json(
      "uninstall",
      "acme/app@1",
      "--everywhere",
      "--name",
      "u1",
      "--dry-run",
    );
    await json("container", "cancel", "c1");

    expect(shown.out).toMatch(/^c1: waiting, total run time ~0:00:00, effective ~?0:00:00\n/u);
    expect(shown.out).toMatch(/e1 +acme\/app@2 +install/u);
    expect(edited).toMatchObject({ schedule: { priority: 7 } });
    expect(uninstall).toMatchObject({
      isDryRun: true,
      changes: [{ name: "u1", endpointCount: 1 }],
    });
    expect((await cli("container", "list")).out).toContain("no container");
  });

  it("says in a dry run whom a deployment would reach, lists them, and takes one back", async () => {
    const dry = await cli("deploy", "acme/lib@1", "--to", "endpoint:e1", "--dry-run");
    const none = await json("deployment", "list");
    await json("deploy", "acme/lib@1", "--to", "all");
    const { deployments } = (await json("deployment", "list")) as { deployments: { id: string }[] };
    const cancelled = await cli("deployment", "cancel", deployments[0]!.id);

    expect(dry.out).toContain("1 endpoint right now\ndry run: nothing was done\n");
    expect(none).toEqual({ deployments: [] });
    expect(cancelled.out).toMatch(/deployment +[0-9a-f]{16} +delete/u);
    expect(await json("deployment", "list")).toEqual({ deployments: [] });
  });

  it("SE-5 gives a site a tenant and keeps its endpoints out of other tenants' groups", async () => {
    await json("site", "create", "rome", "--subnet", "10.9.0.0/16", "--tenant", "acme");
    await listen(fleet, "rome-1", "rome", "10.9.0.1");

    const mixed = await cli("endpoint-group", "add", "counters", "rome-1");
    const own = await json(
      "endpoint-group",
      "set",
      "acme",
      "--tenant",
      "acme",
      "--endpoint",
      "rome-1",
    );

    expect(mixed.exitCode).toBe(1);
    expect(mixed.err).toContain(
      "endpoint rome-1 belongs to tenant acme, the group counters to default",
    );
    expect(own).toMatchObject({ changes: [{ change: "create", endpointCount: 1 }] });
  });

  it("OCO-29 OCO-30 shows what a rule would do, and switches it", async () => {
    await json("rule", "set", "nightly", "--packages", "office", "--endpoints", "linux");
    const off = await cli("rule", "show", "nightly");
    await json("rule", "enable", "nightly");
    const list = await cli("rule", "list");
    await json("pause", "rule/nightly");
    await json("resume", "rule/nightly");
    await json("rule", "delete", "nightly");

    expect(off.out).toMatch(/^nightly: off; it would make \d+ jobs?\n/u);
    expect(list.out).toMatch(/nightly +on +office +linux/u);
    expect((await cli("rule", "show", "nightly")).err).toContain("there is no rule nightly");
  });

  it("runs a rollout in rings, and stops and resumes it", async () => {
    const rings = ["--ring", "it:group=counters,delay=24", "--ring", "rest:100,error=5"];
    await json("rollout", "set", "x", "--packages", "office", "--endpoints", "linux", ...rings);
    const status = await cli("rollout", "status", "x");
    await json("rollout", "stop", "x");
    const stopped = await cli("rollout", "list");
    await json("rollout", "resume", "x");
    await json("rollout", "delete", "x");

    expect(status.out).toMatch(/^x: running\nRING/u);
    expect(stopped.out).toMatch(/^x: stopped: an operator stopped it\n/u);
  });

  it("ZEN-2 ZEN-4 shows the tree of a package, and None for a leaf", async () => {
    const tree = await cli("package", "tree", "acme/app@1");
    const leaf = await cli("package", "tree", "acme/lib@1");
    const page = await cli("package", "show", "acme/lib@1");

    expect(tree.out).toBe("acme/app@1, 2 levels\n  install: acme/lib@1\n");
    expect(leaf.out).toBe("acme/lib@1\n  dependents  None\n");
    expect(page.out).toContain("dependents  None\n");
    expect((await cli("package", "show", "acme/app@1")).out).toContain(
      "dependents  acme/lib (see `branchline package tree acme/app@1`)",
    );
  });

  it("OCO-36 OCO-42 shows an endpoint, forgets a record, replaces a version, and retries nothing", async () => {
    const page = await cli("endpoint", "show", "e1");
    await json("endpoint", "forget", "e1", "acme/lib@1", "--dry-run");
    const replaced = await json("package", "replace", "acme/app@1", "2", "--dry-run");
    const retried = await cli("retry", "--package", "acme/app");

    expect(page.out).toContain("tenant default");
    expect(page.out).toMatch(/acme\/app@1/u);
    expect(replaced).toMatchObject({ changes: [{ name: "office", fields: ["entries"] }] });
    expect(retried.out).toBe("0 failed jobs get new attempts\n");
    expect((await cli("endpoint", "log", "e1")).out).toBe("no run reported yet\n");
    expect((await cli("endpoint", "software", "e1")).out).toBe("scanned never\n");
  });

  it.each([
    [["pause", "nightly"], /expected KIND\/NAME/u],
    [["assign", "office", "counters", "--priority", "500"], /whole number from -100 to 100/u],
    [
      ["package-group", "set", "x", "acme/app@1,attempts=3"],
      /the setting "attempts=3" of acme\/app/u,
    ],
    [
      ["rollout", "set", "x", "--packages", "p", "--endpoints", "e", "--ring", "a:lots"],
      /NAME:PERCENT/u,
    ],
    [["endpoint-group", "set", "x", "--query", "a", "--endpoint", "e1"], /given together/u],
  ])("refuses %j as wrong usage, with what it expected", async (args, expected) => {
    const ended = await cli(...args);

    expect(ended.exitCode).toBe(2);
    expect(ended.err).toMatch(expected);
    expect(ended.err).toMatch(/^error: [^\n]+\nhint: [^\n]+\n$/u);
  });
});
