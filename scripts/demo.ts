/**
 * Two branch offices on one machine, without special rights: a coordinator, and per office one
 * distribution point and four agents, all real processes on loopback addresses. Deploys three packages
 * to all of them and shows where the bytes came from.
 */
import { mkdir, readdir, readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import AdmZip from "adm-zip";
import stringWidth from "string-width";
import { Type } from "typebox";
import type { SourceBytes } from "../protocol/check-in.ts";
import { parserOf } from "../protocol/json.ts";
import type { Status, StatusEndpoint, StatusSite } from "../protocol/operator-api.ts";
import type { JobState } from "../protocol/report.ts";
import { Fleet, PROJECT_FOLDER } from "../test/support/processes.ts";

const OFFICES = [
  { name: "north", network: "127.10.1" },
  { name: "south", network: "127.10.2" },
];
const AGENTS_PER_OFFICE = 4;
/** On a loaded 2-core machine; a free one needs about a third. */
const TIME_LIMIT_MS = 170_000;
const POLL_MS = 1000;
const PLAIN_PROGRESS_MS = 5000;
/** What crosses an office line, by package bytes: once, and one per cent for what is asked twice. */
const WAN_RATIO_MAX = 1.01;
const OPEN_STATES: readonly JobState[] = ["waiting", "downloading", "executing"];

interface Result {
  readonly endpoint: string;
  readonly package: string;
  readonly state: string;
  readonly exitCode?: number;
}

interface Outcome {
  readonly sites: readonly {
    readonly name: string;
    readonly wanRatio: number;
    readonly originBytes: number;
    readonly packageBytes: number;
    readonly bytes: SourceBytes;
  }[];
  readonly results: readonly Result[];
  readonly ok: boolean;
}

type Say = (line: string) => void;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      json: { type: "boolean", default: false },
      keep: { type: "boolean", default: false },
    },
  });
  const say: Say = values.json ? console.error : console.log;
  const interrupted = interruption();
  const starting = Fleet.start();
  const running = starting.then(async (fleet) => {
    const outcome = await deployEverywhere(fleet, say);
    if (values.json) console.log(JSON.stringify(outcome, undefined, 2));
    else printOutcome(outcome, say);
    if (values.keep) await keepRunning(fleet, say);
    return outcome.ok ? 0 : 1;
  });
  try {
    return await Promise.race([running, interrupted]);
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  } finally {
    const fleet = await starting.catch(() => undefined);
    await fleet?.[Symbol.asyncDispose]();
    await running.catch(() => undefined);
  }
}

/** Exit code of a shell for a program that Ctrl-C or a stop ended; then the `finally` above cleans up. */
async function interruption(): Promise<number> {
  return new Promise((resolve) => {
    process.once("SIGINT", () => resolve(130));
    process.once("SIGTERM", () => resolve(143));
    process.once("SIGHUP", () => resolve(129));
  });
}

async function deployEverywhere(fleet: Fleet, say: Say): Promise<Outcome> {
  say(`A coordinator runs at ${fleet.url}; its folder is ${fleet.folder}.`);
  await startOffices(fleet, say);
  const packages = await publishPackages(fleet, say);
  for (const ref of packages) {
    await fleet.command(["package", "activate", ref]);
    await fleet.command(["deploy", ref, "--to", "all"]);
  }
  say(`Deployed ${packages.join(", ")} to all ${nodeNames().length} endpoints.\n`);
  return outcomeOf(await settled(fleet, packages, say), packages);
}

async function startOffices(fleet: Fleet, say: Say): Promise<void> {
  for (const { name, network } of OFFICES) {
    await fleet.command(["site", "create", name, "--subnet", `${network}.0/24`]);
    const hosts = ["dp", ...Array.from({ length: AGENTS_PER_OFFICE }, (_none, at) => `${at + 1}`)];
    for (const [at, host] of hosts.entries()) {
      await fleet.startNode({
        name: `${name}-${host}`,
        site: name,
        listen: `${network}.${10 + at}:0`,
      });
    }
  }
  await fleet.joined(nodeNames());
  for (const { name } of OFFICES) await fleet.command(["dp", "enable", `${name}-dp`]);
  say(`Two offices joined: ${nodeNames().join(", ")}.`);
}

function nodeNames(): readonly string[] {
  const hosts = ["dp", ...Array.from({ length: AGENTS_PER_OFFICE }, (_none, at) => `${at + 1}`)];
  return OFFICES.flatMap(({ name }) => hosts.map((host) => `${name}-${host}`));
}

/** References of the three packages, one for each kind of action. */
async function publishPackages(fleet: Fleet, say: Say): Promise<readonly string[]> {
  const publish = async (ref: string, rest: readonly string[]): Promise<string> => {
    const [name = "", version = ""] = ref.split("@");
    say(`Publishing ${ref}: ${rest.join(" ")}`);
    await fleet.command(["package", "publish", "--name", name, "--version", version, ...rest]);
    return ref;
  };
  const runtime = await nodeRuntime();
  const archive = await greetingArchive(fleet);
  return [
    await publish(`demo/node-runtime@${runtime.version}`, [
      runtime.folder,
      "--action",
      "store",
      "--path",
      "node-runtime",
    ]),
    await publish("demo/greeting@1.0.0", [archive, "--action", "launch", "--command", "greet.sh"]),
    await publish("demo/uptime@1.0.0", ["--action", "execute", "--command", "uname -sr"]),
  ];
}

/** The Node runtime that this project depends on: large, real, and there on every machine. */
async function nodeRuntime(): Promise<{ readonly folder: string; readonly version: string }> {
  const folder = await realpath(join(PROJECT_FOLDER, "node_modules/node"));
  const text = await readFile(join(folder, "package.json"), "utf8");
  const value: unknown = JSON.parse(text);
  const { version } = parserOf("package.json", Type.Object({ version: Type.String() }))(value);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const hasLinks = entries.some((entry) => entry.isSymbolicLink());
  return { folder: hasLinks ? join(folder, "bin") : folder, version };
}

async function greetingArchive(fleet: Fleet): Promise<string> {
  const folder = join(fleet.folder, "packages");
  await mkdir(folder, { recursive: true });
  const zip = new AdmZip();
  const script = '#!/bin/sh\necho "Hello from $(hostname), in $(pwd)"\nexit 0\n';
  zip.addFile("greet.sh", Buffer.from(script), "", 0o755);
  const path = join(folder, "greeting.zip");
  await zip.writeZipPromise(path);
  return path;
}

/** Shows progress until no job is open any more, or time is up. */
async function settled(fleet: Fleet, packages: readonly string[], say: Say): Promise<Status> {
  const endMs = performance.now() + TIME_LIMIT_MS;
  const draw = progressPainter(say);
  for (;;) {
    const status = await fleet.status();
    const results = resultsOf(status, packages);
    draw(progressLines(status, results, packages));
    const isSettled = results.every(({ state }) => !OPEN_STATES.some((open) => open === state));
    if (isSettled || performance.now() > endMs) return status;
    await sleep(POLL_MS);
  }
}

/** On a terminal the table is drawn over itself; elsewhere it is printed every few seconds. */
function progressPainter(say: Say): (lines: readonly string[]) => void {
  const isTerminal = process.stdout.isTTY && process.env["TERM"] !== "dumb" && say === console.log;
  let drawnCount = 0;
  let lastMs = -Infinity;
  return (lines) => {
    if (isTerminal) {
      const back = drawnCount === 0 ? "" : `\u001B[${drawnCount}A\u001B[J`;
      process.stdout.write(`${back}${lines.join("\n")}\n`);
      drawnCount = lines.length;
      return;
    }
    if (performance.now() - lastMs < PLAIN_PROGRESS_MS) return;
    lastMs = performance.now();
    for (const line of lines) say(line);
  };
}

function progressLines(
  status: Status,
  results: readonly Result[],
  packages: readonly string[],
): readonly string[] {
  return status.sites.map((site) => {
    const members = status.endpoints.filter((endpoint) => endpoint.site === site.name);
    const isHere = (result: Result): boolean =>
      members.some(({ name }) => name === result.endpoint);
    const counts = packages.map((ref) => {
      const here = results.filter((result) => result.package === ref && isHere(result));
      const done = here.filter(({ state }) => state === "succeeded").length;
      return `${ref.split("@")[0]} ${done}/${here.length}`;
    });
    const { local, peer, dp, origin } = sumOfBytes(members);
    const sources = `line ${megabytes(origin)}, DP ${megabytes(dp)}, peers ${megabytes(peer)}`;
    return `${site.name}: ${counts.join("  ")}  [${sources}, own disk ${megabytes(local)}]`;
  });
}

function resultsOf(status: Status, packages: readonly string[]): readonly Result[] {
  return status.endpoints.flatMap((endpoint) =>
    packages.map((ref) => {
      const job = endpoint.jobs.find((each) => `${each.package}@${each.version}` === ref);
      return {
        endpoint: endpoint.name,
        package: ref,
        state: job?.state ?? "waiting",
        ...(job?.exitCode === undefined ? {} : { exitCode: job.exitCode }),
      };
    }),
  );
}

function outcomeOf(status: Status, packages: readonly string[]): Outcome {
  const results = resultsOf(status, packages);
  const sites = OFFICES.map(({ name }) => {
    const members = status.endpoints.filter((endpoint) => endpoint.site === name);
    return { name, ...lineOf(status.sites, name), bytes: sumOfBytes(members) };
  });
  const isComplete = results.length === nodeNames().length * packages.length;
  const isDone = results.every(({ state }) => state === "succeeded");
  const isOnce = sites.every(({ wanRatio }) => wanRatio > 0 && wanRatio <= WAN_RATIO_MAX);
  return { sites, results, ok: isComplete && isDone && isOnce };
}

function lineOf(
  sites: readonly StatusSite[],
  name: string,
): Pick<StatusSite, "wanRatio" | "originBytes" | "packageBytes"> {
  const site = sites.find((each) => each.name === name);
  return {
    wanRatio: site?.wanRatio ?? 0,
    originBytes: site?.originBytes ?? 0,
    packageBytes: site?.packageBytes ?? 0,
  };
}

function sumOfBytes(endpoints: readonly StatusEndpoint[]): SourceBytes {
  const sum = (source: keyof SourceBytes): number =>
    endpoints.reduce((total, { bytes }) => total + bytes[source], 0);
  return { local: sum("local"), peer: sum("peer"), dp: sum("dp"), origin: sum("origin") };
}

function printOutcome(outcome: Outcome, say: Say): void {
  const rows = outcome.results.map(({ endpoint, package: ref, state, exitCode }) => [
    endpoint,
    ref,
    state,
    exitCode === undefined ? "" : `exit code ${exitCode}`,
  ]);
  say("");
  printTable([["endpoint", "package", "result", ""], ...rows], say);
  say("");
  const offices = outcome.sites.map(({ name, bytes, wanRatio }) => [
    name,
    megabytes(bytes.origin),
    megabytes(bytes.dp),
    megabytes(bytes.peer),
    megabytes(bytes.local),
    `${wanRatio.toFixed(3)} x`,
  ]);
  const heads = [
    "office",
    "over the line",
    "from the DP",
    "from peers",
    "own disk",
    "line / packages",
  ];
  printTable([heads, ...offices], say);
  say(outcome.ok ? "\nEverything succeeded." : "\nerror: not everything succeeded, see above.");
}

function printTable(rows: readonly (readonly string[])[], say: Say): void {
  const columnCount = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columnCount }, (_none, at) =>
    Math.max(...rows.map((row) => stringWidth(row[at] ?? ""))),
  );
  for (const row of rows) {
    say(row.map((cell, at) => cell + " ".repeat((widths[at] ?? 0) - stringWidth(cell))).join("  "));
  }
}

async function keepRunning(fleet: Fleet, say: Say): Promise<void> {
  say("\nIt keeps running. Look at it from another terminal:");
  say(`  export BRANCHLINE_DATA=${fleet.dataFolder}`);
  say("  scripts/branchline status");
  say(`  tail -f ${join(fleet.folder, "logs/north-1.log")}`);
  say("Ctrl-C ends everything and removes the folder.");
  await Promise.all([...fleet.nodes.values()].map(async ({ ended }) => ended));
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

process.exitCode = await main();
