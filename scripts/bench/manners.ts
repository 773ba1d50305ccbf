/**
 * A foreground TCP flow on an office line during a background rollout (distribution 6, scenario 10): what it
 * loses, what everybody waits longer, and what the rollout gets of the line when it is alone.
 *
 *   npm run bench -- manners [--wan 20mbit] [--mb 120] [--hosts 3] [--class background] [--json]
 *
 * Real processes in network namespaces; bytes by the kernel's counters of the line. Needs root.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { CORE_SHARE_MAX, withCoreShare } from "../../test/support/core-load.ts";
import { publish } from "../../test/support/deployments.ts";
import { COORDINATOR_HOST, Lab } from "../../test/support/lab.ts";
import { Fleet, until, writeNoise } from "../../test/support/processes.ts";
import { requireLab, type BenchOptions } from "../bench-options.ts";
import { percentile, startEcho, startFlow, type Echo } from "./manners/line-users.ts";

const REF = "bench/noise@1";
const SITE = "office0";
const SOLO_MS = 12_000;
/** The controller looks for the line's rate meanwhile. */
const WARM_UP_MS = 6000;
const IDLE_MS = 12_000;
const SHARED_MS = 20_000;
const RECOVERY_MS = 6000;

interface Figures {
  /** The foreground flow's rate beside the rollout ÷ alone. */
  readonly foregroundShare: number;
  /** Median round trip beside the foreground flow: with the rollout minus without. */
  readonly addedDelayBusyMs: number;
  /** Median and 95 % round trip while only the rollout uses the line, minus the idle line's. */
  readonly addedDelayIdleMs: number;
  readonly addedDelayIdle95Ms: number;
  /** Bytes over the line while only the rollout uses it ÷ the line's rate. */
  readonly backgroundShare: number;
  /** The same from a second after the foreground flow has ended. */
  readonly recoveredShare: number;
  /** The busiest core's share of busy time meanwhile: a machine without time to spare measures itself. */
  readonly coreShare: number;
}

const EXPECTED: Readonly<Record<keyof Figures, readonly ["least" | "most", number]>> = {
  foregroundShare: ["least", 0.9],
  addedDelayBusyMs: ["most", 80],
  addedDelayIdleMs: ["most", 80],
  addedDelayIdle95Ms: ["most", 120],
  backgroundShare: ["least", 0.85],
  recoveredShare: ["least", 0.5],
  coreShare: ["most", CORE_SHARE_MAX],
};

const FIGURE_NAMES = [
  "foregroundShare",
  "addedDelayBusyMs",
  "addedDelayIdleMs",
  "addedDelayIdle95Ms",
  "backgroundShare",
  "recoveredShare",
  "coreShare",
] as const satisfies readonly (keyof Figures)[];

export async function run({ isJson, args }: BenchOptions): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      wan: { type: "string", default: "20mbit" },
      mb: { type: "string", default: "120" },
      hosts: { type: "string", default: "3" },
      class: { type: "string", default: "background" },
    },
  });
  await requireLab();
  const course = {
    wan: values.wan,
    sizeBytes: Number(values.mb) * 1_000_000,
    hosts: Number(values.hosts),
    trafficClass: values.class,
  };
  const figures = await measured(course);
  if (isJson) console.log(JSON.stringify({ course, figures }));
  else printTable(figures);
  if (missed(figures).length > 0) process.exitCode = 1;
}

interface Course {
  readonly wan: string;
  readonly sizeBytes: number;
  readonly hosts: number;
  readonly trafficClass: string;
}

async function measured(course: Course): Promise<Figures> {
  // The last host is the user whose traffic comes first.
  await using lab = await Lab.build({ sites: 1, hosts: course.hosts + 1, wan: course.wan });
  await using fleet = await Fleet.start({ host: COORDINATOR_HOST, prefix: lab.headOffice });
  await startOffice(fleet, lab, course);
  const user = lab.host(0, course.hosts);
  await using echo = await startEcho(lab.headOffice, user);
  await sleep(2000);
  const idleMs = percentile(echo.since(echo.nowMs() - 2000), 50);
  const solo = await flowFor(lab, user, echo, SOLO_MS);

  await fleet.command(["deploy", REF, "--to", "all"]);
  await until("the first bytes on the line", 60_000, async () => {
    const before = await lineBytes(lab);
    await sleep(300);
    return (await lineBytes(lab)) - before > 30_000 ? true : undefined;
  });
  await sleep(WARM_UP_MS);
  const { value, coreShare } = await withCoreShare(async () => {
    const alone = await shareFor(lab, echo, course, IDLE_MS);
    const both = await flowFor(lab, user, echo, SHARED_MS);
    await sleep(1000);
    return { alone, both, after: await shareFor(lab, echo, course, RECOVERY_MS) };
  });
  const { alone, both, after } = value;
  return {
    foregroundShare: rounded(both.bytesPerSec / solo.bytesPerSec),
    addedDelayBusyMs: rounded(both.delayMs - solo.delayMs),
    addedDelayIdleMs: rounded(alone.delayMs - idleMs),
    addedDelayIdle95Ms: rounded(alone.delay95Ms - idleMs),
    backgroundShare: rounded(alone.share),
    recoveredShare: rounded(after.share),
    coreShare: rounded(coreShare),
  };
}

async function startOffice(fleet: Fleet, lab: Lab, course: Course): Promise<void> {
  await fleet.command(["site", "create", SITE, "--subnet", lab.subnet(0)]);
  await fleet.command(["site", "limit", SITE, `--${course.trafficClass}`]);
  const names: string[] = [];
  for (let host = 0; host < course.hosts; host++) {
    const name = `h${host}`;
    const listen = `${lab.address(0, host)}:4001`;
    await fleet.startNode({ name, site: SITE, listen, prefix: lab.host(0, host), checkIn: "2s" });
    names.push(name);
  }
  await fleet.joined(names);
  const path = join(fleet.folder, "noise.bin");
  await writeNoise(path, course.sizeBytes, 7);
  await publish(fleet, REF, path, ["--action", "store", "--path", "noise"]);
  await fleet.command(["package", "activate", REF]);
}

interface FlowFigures {
  readonly bytesPerSec: number;
  readonly delayMs: number;
}

/** A TCP flow from the head office to the user; its first second is its start and does not count. */
async function flowFor(
  lab: Lab,
  user: readonly string[],
  echo: Echo,
  durationMs: number,
): Promise<FlowFigures> {
  await using flow = await startFlow(lab.headOffice, user);
  await sleep(1000);
  const begin = { atMs: echo.nowMs(), bytes: flow.bytes() };
  await sleep(durationMs);
  const seconds = (echo.nowMs() - begin.atMs) / 1000;
  return {
    bytesPerSec: (flow.bytes() - begin.bytes) / seconds,
    delayMs: percentile(echo.since(begin.atMs), 50),
  };
}

interface ShareFigures {
  readonly share: number;
  readonly delayMs: number;
  readonly delay95Ms: number;
}

async function shareFor(
  lab: Lab,
  echo: Echo,
  course: Course,
  durationMs: number,
): Promise<ShareFigures> {
  const begin = { atMs: echo.nowMs(), bytes: await lineBytes(lab) };
  await sleep(durationMs);
  const bytes = (await lineBytes(lab)) - begin.bytes;
  const seconds = (echo.nowMs() - begin.atMs) / 1000;
  const delays = echo.since(begin.atMs);
  return {
    share: (bytes * 8) / seconds / bitsPerSecond(course.wan),
    delayMs: percentile(delays, 50),
    delay95Ms: percentile(delays, 95),
  };
}

async function lineBytes(lab: Lab): Promise<number> {
  return (await lab.wanBytes(0)).down;
}

function missed(figures: Figures): readonly (keyof Figures)[] {
  return FIGURE_NAMES.filter((name) => {
    const [word, bound] = EXPECTED[name];
    // A figure that is not a number is missed too.
    return !(word === "least" ? figures[name] >= bound : figures[name] <= bound);
  });
}

function printTable(figures: Figures): void {
  console.log("figure               seen      expected");
  const isMissed = new Set(missed(figures));
  for (const name of FIGURE_NAMES) {
    const [word, bound] = EXPECTED[name];
    const verdict = isMissed.has(name) ? "   MISSED" : "";
    console.log(
      `${name.padEnd(20)} ${String(figures[name]).padEnd(9)} at ${word} ${bound}${verdict}`,
    );
  }
}

function bitsPerSecond(rate: string): number {
  const found = /^(\d+)mbit$/u.exec(rate);
  if (found === null) throw new Error(`no rate such as 20mbit: ${rate}`);
  return Number(found[1]) * 1_000_000;
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
