/** A launch asked for on the endpoint, through its socket, on real files and processes. */
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, expect, it } from "vitest";
import { parsePackageName } from "../../../protocol/ids.ts";
import type { Action } from "../../../protocol/package-action.ts";
import type { Dependency, PackageRules } from "../../../protocol/package-rules.ts";
import { askLaunch, LaunchDesk } from "../../../node/actions/launch-desk.ts";
import {
  jobFixture,
  memoryPackage,
  packageOf,
  RUN_FIELDS,
  script,
  textOf,
  type JobFixture,
  type Order,
} from "./job-fixture.ts";

let node: JobFixture;
let desk: LaunchDesk;
beforeEach(async () => {
  node = await jobFixture();
  const launch = node.driver.launch.bind(node.driver);
  desk = await LaunchDesk.open(node.dataDir, launch, pino({ level: "silent" }));
});
afterEach(async () => {
  await desk[Symbol.asyncDispose]();
  await node[Symbol.asyncDispose]();
});

const ask = async (name: string) =>
  askLaunch(node.dataDir, { name: parsePackageName(name) }, new AbortController().signal);

/** A package with content that notes its install, and its launches. */
function noting(name: string, dependencies: readonly string[] = [], exitCode = 0) {
  const path = join(node.dataDir, "notes");
  const onLaunch = {
    kind: "execute",
    command: [`echo launch ${name} >> ${path}`],
    shell: true,
    captureExitCode: true,
    ...RUN_FIELDS,
  } satisfies Action;
  const rules: PackageRules = {
    onLaunch,
    dependencies: dependencies.map((one): Dependency => ({
      name: parsePackageName(one),
      actionSet: "launch",
    })),
  };
  const launch = { kind: "launch", program: "setup.sh", args: [], ...RUN_FIELDS } satisfies Action;
  const setup = script("setup.sh", `echo install ${name} >> ${path}; exit ${exitCode}`);
  return packageOf(memoryPackage(launch, [setup]), `acme/${name}@1`, rules);
}

const cached = (pack: Order["pack"]): Order => ({
  pack,
  change: { job: `cache-${pack.manifest.name.slice(5)}`, purpose: "cache" },
});

async function notes(): Promise<readonly string[]> {
  return (await textOf(node.dataDir, "notes").catch(() => "")).trim().split("\n");
}

it("ZEN-13 ZEN-19 installs what is missing, dependents first, and runs all launch actions each time", async () => {
  node.directAll([{ pack: noting("b"), change: { job: "b" } }, cached(noting("a", ["acme/b"]))]);
  await node.ended("b");
  await node.quiet();

  const first = await ask("acme/a");
  const second = await ask("acme/a");

  expect(first.steps.map(({ operation, package: name }) => `${operation} ${name}`)).toEqual([
    "launch acme/b@1",
    "install acme/a@1",
    "launch acme/a@1",
  ]);
  expect(second.steps).toHaveLength(2);
  expect(await notes()).toEqual([
    "install b",
    "launch b",
    "install a",
    "launch a",
    "launch b",
    "launch a",
  ]);
});

it("ZEN-17 launches a package that was only cached, with its dependents, when nothing can be reached", async () => {
  node.directAll([
    cached(noting("c")),
    cached(noting("b", ["acme/c"])),
    cached(noting("a", ["acme/b", "acme/c"])),
  ]);
  await node.ended("cache-a");
  await node.quiet();
  const before = await notes();
  node.exchange.isCut = true;

  const answer = await ask("acme/a");

  expect(before).toEqual([""]);
  expect(answer.problem).toBeUndefined();
  expect(await notes()).toEqual([
    "install c",
    "launch c",
    "install b",
    "launch b",
    "install a",
    "launch a",
  ]);
});

it("ZEN-15 launches nothing above a dependent that fails, and says which", async () => {
  node.directAll([cached(noting("b", [], 3)), cached(noting("a", ["acme/b"]))]);
  await node.ended("cache-a");

  const answer = await ask("acme/a");
  await node.quiet();

  expect(answer.problem).toContain("acme/b@1 cannot be launched: it ended as failed");
  expect(await notes()).toEqual(["install b"]);
});

it("launches only what the orders of the endpoint name, dependents included", async () => {
  node.directAll([cached(noting("a", ["acme/missing"]))]);
  await node.ended("cache-a");

  const stranger = await ask("acme/stranger");
  const incomplete = await ask("acme/a");

  expect(stranger.problem).toContain("not among the orders of this endpoint");
  expect(incomplete.problem).toContain("acme/a > acme/missing");
  expect(await notes()).toEqual([""]);
});

it("spares the directive what a launch has installed, and forgets the launch afterwards", async () => {
  const later = { startMs: Date.now() + 3_600_000 };
  node.directAll([{ pack: noting("a"), change: { job: "a", conditions: later } }]);
  await node.reported(({ reason }) => reason?.includes("start") === true);

  await ask("acme/a");
  const report = await node.reported(({ job, state }) => job === "a" && state !== "waiting");
  await node.reported(({ job, state }) => job === "a" && state === "alreadyInstalled");

  expect(report.reason ?? "").not.toContain("start");
  expect(await notes()).toEqual(["install a", "launch a"]);
  const local = [...node.journal.state.records.keys()].filter((key) => key.startsWith("local-"));
  expect(local).toEqual([]);
});

it("says that no node runs where none does", async () => {
  await desk[Symbol.asyncDispose]();

  await expect(ask("acme/a")).rejects.toMatchObject({ code: "NODE_NOT_RUNNING" });
});
