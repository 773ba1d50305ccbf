/** Whole life cycles through real processes: intent by the command line, endpoints that act on it. */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parseEndpointDetail, parseWhy, type EndpointDetail } from "../../protocol/page-api.ts";
import type { IntentFile } from "../../protocol/intent.ts";
import { endpointOf, jobOf, publish, writeZip } from "../support/deployments.ts";
import { Fleet, until } from "../support/processes.ts";

const NAMES = ["dp", "one", "two", "three"];
const SCRIPT = ["--action", "execute", "--shell", "--capture-exit-code", "--command"];
let fleet: Fleet;
let folder: string;

beforeAll(async () => {
  fleet = await Fleet.start();
  folder = join(fleet.folder, "proofs");
  await mkdir(folder);
  const power = join(folder, "power.sh");
  await writeFile(power, `#!/bin/sh\necho "$1 $2" >> ${folder}/power\n`, { mode: 0o755 });
  await fleet.command(["site", "create", "office", "--subnet", "127.11.1.0/24"]);
  for (const [index, name] of NAMES.entries()) {
    const flags = ["--run-interval", "3s", "--power-command", power];
    const listen = `127.11.1.${index + 11}:0`;
    await fleet.startNode({ name, site: "office", listen, flags });
  }
  await fleet.joined(NAMES);
  await fleet.command(["dp", "enable", "dp"]);
});

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
});

/** Publishes and activates a shell script. */
async function publishScript(ref: string, text: string, flags: readonly string[] = []) {
  await publish(fleet, ref, undefined, [...SCRIPT, text, ...flags]);
  await fleet.command(["package", "activate", ref]);
}

async function apply(intent: Omit<IntentFile, "v">): Promise<void> {
  const path = join(folder, "intent.json");
  await writeFile(path, JSON.stringify({ v: 1, ...intent }));
  await fleet.command(["apply", "-f", path]);
}

async function linesOf(name: string): Promise<readonly string[]> {
  const text = await readFile(join(folder, name), "utf8").catch(() => "");
  return text.split("\n").filter((line) => line !== "");
}

async function reasonOf(endpoint: string, name: string): Promise<string | undefined> {
  const why = parseWhy(await fleet.json(["why", endpoint, name]));
  return why.jobs[0]?.reasons.map(({ code }) => code).join(" > ");
}

async function detailOf(endpoint: string): Promise<EndpointDetail> {
  return parseEndpointDetail(await fleet.json(["endpoint", "show", endpoint]));
}

const names = (...endpoints: readonly string[]) => endpoints as never;

it("SE-15 SE-16 SE-17 SE-18 SE-19 SE-20 keeps a wish up by runs: two failures, success, and again when it is removed", async () => {
  const installed = join(folder, "app-installed");
  const text = `echo try >> ${folder}/tries; [ $(wc -l < ${folder}/tries) -gt 2 ] && touch ${installed}`;
  await publishScript("acme/wish@1", text, ["--detect", `file=${installed}`]);
  await apply({
    endpointGroups: [{ name: "wishers", endpoints: names("one") }],
    packageGroups: [{ name: "wishes", entries: [{ name: "acme/wish", version: "1" } as never] }],
    assignments: [
      { packageGroup: "wishes", endpointGroup: "wishers", schedule: { attemptLimit: 10 } },
    ],
  });

  const job = await jobOf(fleet, "one", "acme/wish@1");
  const detected = await until("the scan after it", 20_000, async () => {
    const detail = await detailOf("one");
    return detail.detected.some(({ name }) => name === "acme/wish") ? detail : undefined;
  });
  await rm(installed);
  const again = await until("the repair", 40_000, async () => {
    const lines = await linesOf("tries");
    return lines.length >= 4 ? lines.length : undefined;
  });

  expect(job).toMatchObject({ attempt: 3, outcome: "success" });
  expect(again).toBe(4);
  const actions = detected.runs
    .toReversed()
    .flatMap(({ entries }) => entries)
    .filter((one) => one.package === "acme/wish@1");
  expect(actions.map(({ outcome }) => outcome)).toEqual(["failed", "failed", "success"]);
  for (const { entries } of detected.runs) {
    expect(entries.at(-1)?.step).toBe("rescan");
  }
});

function ruledBy(...endpoints: readonly string[]): Omit<IntentFile, "v"> {
  return {
    endpointGroups: [{ name: "ruled", endpoints: names(...endpoints) }],
    packageGroups: [
      { name: "rule-packages", entries: [{ name: "acme/ruled", version: "1" } as never] },
    ],
    rules: [
      { name: "nightly", endpointGroup: "ruled", packageGroup: "rule-packages", isEnabled: true },
    ],
  };
}

it("OCO-27 OCO-31 OCO-32 follows a rule whose group changes", async () => {
  await publishScript("acme/ruled@1", `echo ran >> ${folder}/ruled`);
  await apply(ruledBy("one"));
  await jobOf(fleet, "one", "acme/ruled@1");

  await apply(ruledBy("one", "two"));
  await jobOf(fleet, "two", "acme/ruled@1");

  const three = await endpointOf(fleet, "three");
  expect(await linesOf("ruled")).toEqual(["ran", "ran"]);
  expect(three.jobs.filter((job) => job.package === "acme/ruled")).toEqual([]);
});

it("OCO-21 OCO-5 holds a container outside its time frame with a reason, and runs it when the frame is moved", async () => {
  await publishScript("acme/framed@1", `echo ran >> ${folder}/framed`);
  // A frame of an hour that lies half a day away.
  const hour = (new Date().getUTCHours() + 12) % 24;
  const closed = `${hour}:00-${(hour + 1) % 24}:00`;
  const target = ["--endpoint", "two", "--package", "acme/framed@1", "--zone", "UTC"];
  await fleet.command(["container", "create", "framed", ...target, "--time-frames", closed]);
  const reason = await reasonOf("two", "acme/framed");
  const before = await linesOf("framed");

  await fleet.command([
    "container",
    "edit",
    "framed",
    "--time-frames",
    "0:00-23:59",
    "--zone",
    "UTC",
  ]);
  await jobOf(fleet, "two", "acme/framed@1");

  expect([reason, before]).toEqual(["outsideTimeFrame", []]);
  expect(await linesOf("framed")).toEqual(["ran"]);
});

it("OCO-48 ends the sequence of a container with -8888 at its first failed job", async () => {
  await publishScript("acme/first@1", "exit 7");
  await publishScript("acme/second@1", `echo ran >> ${folder}/second`);
  const packages = ["--package", "acme/first@1", "--package", "acme/second@1"];
  const mode = ["--sequence-mode", "abortAfterFailed", "--abort-scope", "endpoint"];
  const limits = ["--endpoint", "two", "--attempt-limit", "1"];
  await fleet.command(["container", "create", "sequence", ...packages, ...mode, ...limits]);

  const second = await jobOf(fleet, "two", "acme/second@1", ({ state }) => state === "failed");

  expect(second.systemCode).toBe(-8888);
  expect(await linesOf("second")).toEqual([]);
});

it("stops a rollout at its error threshold, and the next ring gets nothing", async () => {
  await publishScript("acme/rolled@1", `echo ran >> ${folder}/rolled; exit 9`);
  await apply({
    endpointGroups: [
      { name: "early", endpoints: names("one") },
      { name: "everybody", endpoints: names("one", "two", "three") },
    ],
    packageGroups: [{ name: "rolled", entries: [{ name: "acme/rolled", version: "1" } as never] }],
    rollouts: [
      {
        name: "spring",
        packageGroup: "rolled",
        endpointGroup: "everybody",
        rings: [{ name: "early", endpointGroup: "early", errorPercent: 10 }, { name: "rest" }],
        schedule: { attemptLimit: 1 },
      },
    ],
  });

  await jobOf(fleet, "one", "acme/rolled@1", ({ state }) => state === "failed");
  const reason = await until("the stop", 20_000, async () => {
    const code = await reasonOf("three", "acme/rolled");
    return code?.includes("rolloutStopped") === true ? code : undefined;
  });

  expect(reason).toContain("rolloutStopped");
  expect(await linesOf("rolled")).toEqual(["ran"]);
});

it("ZEN-7 ZEN-11 ZEN-13 brings a chain of four levels, dependents first, through the DP", async () => {
  const chain = ["d", "c", "b", "a"];
  for (const [index, name] of chain.entries()) {
    const below = index === 0 ? [] : ["--depends", `acme/chain-${chain[index - 1]}`];
    const source = await writeZip(join(folder, `${name}.zip`), {
      "setup.sh": `#!/bin/sh\necho ${name} >> ${folder}/chain\n`,
      "data.bin": name.repeat(200_000),
    });
    const flags = ["--action", "launch", "--command", "setup.sh", ...below];
    await publish(fleet, `acme/chain-${name}@1`, source, flags);
    await fleet.command(["package", "activate", `acme/chain-${name}@1`]);
  }

  await fleet.command(["deploy", "acme/chain-a@1", "--to", "endpoint:three"]);
  await jobOf(fleet, "three", "acme/chain-a@1");

  expect(await linesOf("chain")).toEqual(chain);
  const three = await endpointOf(fleet, "three");
  const own = three.jobs.filter((job) => job.package.startsWith("acme/chain-"));
  expect(own.map(({ state }) => state)).toEqual(chain.map(() => "succeeded"));
  expect(three.dp).toBe("dp");
});

function noted(name: string): readonly string[] {
  return ["--on-launch", `sh -c 'echo ${name} >> ${folder}/launched'`];
}

it("ZEN-19 ZEN-17 launches on the endpoint with the launch actions of dependents, also when the coordinator is away", async () => {
  await publishScript("acme/tool-base@1", "true", noted("base"));
  await publishScript("acme/tool@1", "true", [...noted("tool"), "--depends", "acme/tool-base"]);
  await fleet.command(["deploy", "acme/tool@1", "--to", "endpoint:one"]);
  await jobOf(fleet, "one", "acme/tool@1");
  const launch = async () =>
    fleet.run(["launch", "acme/tool", "--data", fleet.nodeFolder("one"), "--json"]);

  const first = await launch();
  await fleet.coordinator?.stop();
  const second = await launch();
  await fleet.startCoordinator();

  expect([first.exitCode, second.exitCode, second.stderr]).toEqual([0, 0, ""]);
  expect(await linesOf("launched")).toEqual(["base", "tool", "base", "tool"]);
});

it("ZEN-17 installs and launches offline what was only cached, dependents first", async () => {
  for (const [name, ...flags] of [
    ["cached-base"],
    ["cached", "--depends", "acme/cached-base"],
  ] as const) {
    const source = await writeZip(join(folder, `${name}.zip`), {
      "setup.sh": `#!/bin/sh\necho install ${name} >> ${folder}/launched-offline\n`,
      "data.bin": name.repeat(50_000),
    });
    const launch = ["--on-launch", `sh -c 'echo launch ${name} >> ${folder}/launched-offline'`];
    const action = ["--action", "launch", "--command", "setup.sh", ...launch, ...flags];
    await publish(fleet, `acme/${name}@1`, source, action);
    await fleet.command(["package", "activate", `acme/${name}@1`]);
  }
  const start = new Date(Date.now() + 86_400_000).toISOString();
  const target = ["--endpoint", "one", "--package", "acme/cached@1"];
  await fleet.command(["container", "create", "later", ...target, "--start", start, "--precache"]);
  const node = fleet.nodes.get("one");
  await until("the cached content", 20_000, async () => {
    const log = (await node?.log()) ?? "";
    const isHeld = ({ name }: { readonly name: string }) =>
      log.split("\n").some((line) => line.includes("job.held") && line.includes(`${name}@1`));
    return [{ name: "acme/cached" }, { name: "acme/cached-base" }].every(isHeld) || undefined;
  });

  await fleet.coordinator?.stop();
  const launched = await fleet.run(["launch", "acme/cached", "--data", fleet.nodeFolder("one")]);
  await fleet.startCoordinator();

  expect(launched).toMatchObject({ exitCode: 0, stderr: "" });
  expect(await linesOf("launched-offline")).toEqual([
    "install cached-base",
    "launch cached-base",
    "install cached",
    "launch cached",
  ]);
});

it("OCO-14 tells the system to restart at once where nobody is logged in, and executes nothing more", async () => {
  await publishScript("acme/driver@1", "true", ["--post-action", "restart"]);
  await publishScript("acme/after@1", `echo ran >> ${folder}/after`);
  await fleet.command(["deploy", "acme/driver@1", "--to", "endpoint:three"]);
  await jobOf(fleet, "three", "acme/driver@1");
  const orders = await until("the restart", 10_000, async () => {
    const lines = await linesOf("power");
    return lines.length === 0 ? undefined : lines;
  });

  await fleet.command(["deploy", "acme/after@1", "--to", "endpoint:three"]);
  const held = await jobOf(fleet, "three", "acme/after@1", ({ reason }) =>
    (reason ?? "").includes("restart"),
  );

  expect(orders).toEqual(["-r now"]);
  expect(held.state).toBe("waiting");
  expect(await linesOf("after")).toEqual([]);
});

it("restarts the agent in its own process where a package asks for it, and goes on", async () => {
  const before = fleet.nodes.get("two")?.pid;
  await publishScript("acme/agent@2", "true", ["--post-action", "restartAgent"]);
  await publishScript("acme/afterwards@1", "true");

  await fleet.command(["deploy", "acme/agent@2", "--to", "endpoint:two"]);
  await jobOf(fleet, "two", "acme/agent@2");
  await fleet.command(["deploy", "acme/afterwards@1", "--to", "endpoint:two"]);
  await jobOf(fleet, "two", "acme/afterwards@1");

  const log = (await fleet.nodes.get("two")?.log()) ?? "";
  expect(log.split("node.started").length - 1).toBe(2);
  expect(fleet.nodes.get("two")?.pid).toBe(before);
  expect(fleet.nodes.get("two")?.isRunning).toBe(true);
});
