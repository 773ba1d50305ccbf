/**
 * The simulator against the lab (distribution 6): the same offices, lines and bytes, once by real
 * processes in network namespaces and once by the scheduler under virtual time.
 *
 *   npm run bench -- validate [--hosts 2,4,8] [--wan 5,20] [--fault none,kill,slow] [--dp no,yes]
 *                             [--seconds 15] [--runs 3] [--json]
 *
 * Each line carries what it can in `--seconds`. Completion should agree within 5 %, bytes over the line
 * within 1 % (the share of messages, which the simulator does not count, is shown), what agents send by a
 * Kolmogorov-Smirnov distance below 0.15, or below what so few runs leave to chance. Needs root.
 */
import { parseArgs } from "node:util";
import { DeployError } from "../../protocol/errors.ts";
import { CORE_SHARE_MAX } from "../../test/support/core-load.ts";
import { requireLab, type BenchOptions } from "../bench-options.ts";
import { median } from "../simulate/extrapolation.ts";
import type { Course, Figures } from "./swarm/course.ts";
import { runRawTcp } from "./swarm/raw-tcp.ts";
import {
  CELL_FAULTS,
  chanceDistance,
  distributionDistance,
  LAN_MBIT_PER_SEC,
  type Cell,
} from "./validate/cell.ts";
import { runInLab, type LabRun } from "./validate/lab-cell.ts";
import { runSimulated } from "./validate/simulated-cell.ts";

const BYTES_PER_MBIT = 125_000;
const TIME_TOLERANCE = 0.05;
const WAN_TOLERANCE = 0.01;
const UPLOAD_TOLERANCE = 0.15;
/** Virtual runs cost nothing: enough of them for a smooth distribution. */
const SEEDS = Array.from({ length: 100 }, (_none, at) => at + 1);

interface Ratios {
  readonly time: number;
  readonly wan: number;
}

interface Compared extends Cell {
  readonly lab: Ratios;
  readonly simulator: Ratios;
  /** Of the lab's bytes over the line, what is no package content: the simulator does not count it. */
  readonly messages: number;
  /** Lowest and highest of the simulator's runs. */
  readonly simulatedTimes: readonly [number, number];
  /** Kolmogorov-Smirnov distance of the agents' uploads, and from how many in the lab. */
  readonly uploadDistance: number;
  readonly uploadCount: number;
  /** So far apart lie as many runs of the simulator and all of them, in 19 of 20 draws. */
  readonly chanceDistance: number;
  readonly coreShare: number;
}

export async function run({ isJson, args }: BenchOptions): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      hosts: { type: "string", default: "2,4,8" },
      wan: { type: "string", default: "5,20" },
      fault: { type: "string", default: "none,kill,slow" },
      dp: { type: "string", default: "no" },
      seconds: { type: "string", default: "15" },
      runs: { type: "string", default: "3" },
    },
  });
  const cells = cellsOf(values);
  const runCount = numberOf("--runs", values.runs);
  await requireLab();
  const all: Compared[] = [];
  const limits = new Map<string, Figures>();
  if (!isJson) printHead();
  for (const cell of cells) {
    const raw = limits.get(lineOf(cell)) ?? (await runRawTcp(courseOf(cell)));
    limits.set(lineOf(cell), raw);
    const one = await compared(cell, raw, runCount);
    all.push(one);
    if (!isJson) printRow(one);
  }
  if (isJson) console.log(JSON.stringify({ cells: all }));
  else printSum(all);
}

function lineOf({ wanMbitPerSec, sizeBytes }: Cell): string {
  return `${wanMbitPerSec} ${sizeBytes}`;
}

function courseOf({ hosts, wanMbitPerSec, sizeBytes }: Cell): Course {
  const wan = `${wanMbitPerSec}mbit`;
  return { sites: 1, hosts, sizeBytes, wan, lan: `${LAN_MBIT_PER_SEC}mbit` };
}

function cellsOf(flags: Readonly<Record<string, string>>): readonly Cell[] {
  const { hosts = "", wan = "", fault = "", dp = "", seconds = "" } = flags;
  const faults = CELL_FAULTS.filter((one) => fault.split(",").includes(one));
  if (faults.length !== fault.split(",").length) refuse(`--fault "${fault}"`, "none, kill or slow");
  const line = numberOf("--seconds", seconds);
  return numbersOf("--wan", wan).flatMap((wanMbitPerSec) =>
    numbersOf("--hosts", hosts).flatMap((hostCount) =>
      dp.split(",").flatMap((word) =>
        faults.map((one): Cell => {
          const sizeBytes = wanMbitPerSec * BYTES_PER_MBIT * line;
          return { hosts: hostCount, wanMbitPerSec, hasDp: word === "yes", fault: one, sizeBytes };
        }),
      ),
    ),
  );
}

async function compared(cell: Cell, raw: Figures, runCount: number): Promise<Compared> {
  const seen: LabRun[] = [];
  for (let round = 0; round < runCount; round++) seen.push(await runInLab(cell, raw));
  const simulated = SEEDS.map((seed) => runSimulated(cell, raw, seed));
  const uploads = seen.flatMap((one) => one.uploads);
  const times = simulated.map(({ time }) => time);
  return {
    ...cell,
    lab: { time: median(seen.map(({ time }) => time)), wan: median(seen.map((one) => one.wan)) },
    simulator: { time: median(times), wan: median(simulated.map((one) => one.wan)) },
    messages: median(seen.map((one) => one.messages)),
    simulatedTimes: [Math.min(...times), Math.max(...times)],
    uploadDistance: distributionDistance(
      uploads,
      simulated.flatMap((one) => one.uploads),
    ),
    uploadCount: uploads.length,
    chanceDistance: chanceDistance(
      simulated.map((one) => one.uploads),
      runCount,
    ),
    coreShare: Math.max(...seen.map(({ coreShare }) => coreShare)),
  };
}

function printHead(): void {
  console.log("over the raw stream           lab           simulator            difference");
  console.log("hosts Mbit/s DP   fault   time   wan    time   wan   (times)        time     wan");
}

function printRow(one: Compared): void {
  const { hosts, wanMbitPerSec, hasDp, fault, lab, simulator, simulatedTimes } = one;
  const place = `${String(hosts).padEnd(5)} ${String(wanMbitPerSec).padEnd(6)} ${hasDp ? "yes" : "no "}  ${fault.padEnd(5)}`;
  const figures = [lab, simulator].map(({ time, wan }) => `${time.toFixed(3)} ${wan.toFixed(4)}`);
  const spread = simulatedTimes.map((time) => time.toFixed(3)).join("-");
  const { time, wan } = partedBy(one);
  const uploads = `KS ${one.uploadDistance.toFixed(2)} of ${one.uploadCount} (chance ${one.chanceDistance.toFixed(2)})`;
  console.log(
    `${place}  ${figures.join("  ")} (${spread})  ${percent(time)} ${percent(wan)} (messages ${percent(one.messages)})  ${uploads}  ` +
      `core ${one.coreShare.toFixed(2)}  ${verdictOf(one)}`,
  );
}

function printSum(all: readonly Compared[]): void {
  const valid = all.filter(({ coreShare }) => coreShare <= CORE_SHARE_MAX);
  const agreeing = valid.filter((one) => missesOf(one).length === 0);
  console.log(
    `${agreeing.length} of ${valid.length} cells agree; ${all.length - valid.length} more were bound by the CPU`,
  );
}

/** Lab against simulator, 0 for the same. */
function partedBy({ lab, simulator }: Compared): Ratios {
  return { time: lab.time / simulator.time - 1, wan: lab.wan / simulator.wan - 1 };
}

function missesOf(one: Compared): readonly string[] {
  const { time, wan } = partedBy(one);
  // A few runs lie apart from many by chance: only what is beyond that says something.
  const uploadLimit = Math.max(UPLOAD_TOLERANCE, one.chanceDistance);
  return [
    ...(Math.abs(time) > TIME_TOLERANCE ? ["time"] : []),
    ...wanMisses(wan, one),
    ...(one.uploadDistance >= uploadLimit ? ["uploads"] : []),
  ];
}

function wanMisses(wan: number, { messages, lab, simulator }: Compared): readonly string[] {
  if (Math.abs(wan) <= WAN_TOLERANCE) return [];
  const content = (lab.wan - messages) / simulator.wan - 1;
  return Math.abs(content) > WAN_TOLERANCE ? ["wan"] : ["wan, by messages alone"];
}

function verdictOf(one: Compared): string {
  const misses = missesOf(one);
  const isCoarse =
    one.uploadDistance >= UPLOAD_TOLERANCE && one.uploadDistance < one.chanceDistance;
  return [
    misses.length === 0 ? "agree" : `apart: ${misses.join(", ")}`,
    ...(isCoarse ? ["too few runs for the uploads"] : []),
    ...(one.coreShare > CORE_SHARE_MAX ? ["bound by CPU"] : []),
  ].join("; ");
}

function percent(share: number): string {
  return `${share < 0 ? "" : "+"}${(share * 100).toFixed(1)} %`;
}

function numbersOf(flag: string, text: string): readonly number[] {
  return text.split(",").map((word) => numberOf(flag, word));
}

function numberOf(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) refuse(`${flag} "${text}"`, "whole numbers from 1");
  return value;
}

function refuse(what: string, expected: string): never {
  throw new DeployError("INPUT_INVALID", { what, expected });
}
