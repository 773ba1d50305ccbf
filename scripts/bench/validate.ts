/**
 * The simulator against the lab (distribution 6): the same offices, lines and bytes, once by real
 * processes in network namespaces and once by the scheduler under virtual time.
 *
 *   npm run bench -- validate [--hosts 2,4,8] [--wan 5,20] [--fault none,kill,slow] [--dp no,yes]
 *                             [--seconds 15] [--runs 3] [--json]
 *
 * Each line carries what it can in `--seconds`. Completion should agree within 5 %, bytes over the line
 * within 1 %, what agents send by a Kolmogorov-Smirnov distance below 0.15. Needs root.
 */
import { parseArgs } from "node:util";
import { DeployError } from "../../protocol/errors.ts";
import { CORE_SHARE_MAX } from "../../test/support/core-load.ts";
import { requireLab, type BenchOptions } from "../bench-options.ts";
import { median } from "../simulate/extrapolation.ts";
import type { Course } from "./swarm/course.ts";
import { runRawTcp } from "./swarm/raw-tcp.ts";
import { CELL_FAULTS, distributionDistance, LAN_MBIT_PER_SEC, type Cell } from "./validate/cell.ts";
import { runInLab, type LabRun } from "./validate/lab-cell.ts";
import { runSimulated } from "./validate/simulated-cell.ts";

const BYTES_PER_MBIT = 125_000;
const TIME_TOLERANCE = 0.05;
const WAN_TOLERANCE = 0.01;
const UPLOAD_TOLERANCE = 0.15;
/** Virtual runs cost nothing: enough of them for a smooth distribution. */
const SEEDS = Array.from({ length: 25 }, (_none, at) => at + 1);

interface Ratios {
  readonly time: number;
  readonly wan: number;
}

interface Compared extends Cell {
  readonly lab: Ratios;
  readonly simulator: Ratios;
  /** Lowest and highest of the simulator's runs. */
  readonly simulatedTimes: readonly [number, number];
  /** Kolmogorov-Smirnov distance of the agents' uploads, and from how many in the lab. */
  readonly uploadDistance: number;
  readonly uploadCount: number;
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
  if (!isJson) printHead();
  for (const cell of cells) {
    const one = await compared(cell, runCount);
    all.push(one);
    if (!isJson) printRow(one);
  }
  if (isJson) console.log(JSON.stringify({ cells: all }));
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

async function compared(cell: Cell, runCount: number): Promise<Compared> {
  const { hosts, wanMbitPerSec, sizeBytes } = cell;
  const wan = `${wanMbitPerSec}mbit`;
  const course: Course = { sites: 1, hosts, sizeBytes, wan, lan: `${LAN_MBIT_PER_SEC}mbit` };
  const raw = await runRawTcp(course);
  const seen: LabRun[] = [];
  for (let round = 0; round < runCount; round++) seen.push(await runInLab(cell, raw));
  const simulated = SEEDS.map((seed) => runSimulated(cell, raw, seed));
  const uploads = seen.flatMap((one) => one.uploads);
  const times = simulated.map(({ time }) => time);
  return {
    ...cell,
    lab: { time: median(seen.map(({ time }) => time)), wan: median(seen.map((one) => one.wan)) },
    simulator: { time: median(times), wan: median(simulated.map((one) => one.wan)) },
    simulatedTimes: [Math.min(...times), Math.max(...times)],
    uploadDistance: distributionDistance(
      uploads,
      simulated.flatMap((one) => one.uploads),
    ),
    uploadCount: uploads.length,
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
  const parted = [lab.time / simulator.time, lab.wan / simulator.wan].map((ratio) => ratio - 1);
  const [time = Number.NaN, wan = Number.NaN] = parted;
  const misses = [
    ...(Math.abs(time) > TIME_TOLERANCE ? ["time"] : []),
    ...(Math.abs(wan) > WAN_TOLERANCE ? ["wan"] : []),
    ...(one.uploadDistance >= UPLOAD_TOLERANCE ? ["uploads"] : []),
  ];
  const verdict = misses.length === 0 ? "agree" : `apart: ${misses.join(", ")}`;
  const bound = one.coreShare > CORE_SHARE_MAX ? ", bound by CPU" : "";
  const distance = `KS ${one.uploadDistance.toFixed(2)} of ${one.uploadCount}`;
  console.log(
    `${place}  ${figures.join("  ")} (${spread})  ${percent(time)} ${percent(wan)}  ${distance}  ` +
      `core ${one.coreShare.toFixed(2)}  ${verdict}${bound}`,
  );
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
