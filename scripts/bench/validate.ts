/**
 * The simulator against the lab (distribution 6): the same offices, lines and bytes, once by real
 * processes in network namespaces and once by the scheduler under virtual time.
 *
 *   npm run bench -- validate [--hosts 2,4,8] [--wan 5,20] [--mb 12] [--runs 3] [--json]
 *
 * Links of the simulator come from the raw TCP stream of the same run and are never tuned on a swarm's
 * result. Completion should agree within 5 %, bytes over the line within 1 %. Needs root.
 */
import { parseArgs } from "node:util";
import { FRAGMENT_AVERAGE_BYTES } from "../../protocol/limits.ts";
import { requireLab, type BenchOptions } from "../bench-options.ts";
import { runScenario } from "../simulate/run-scenario.ts";
import { parseScenario } from "../simulate/scenario.ts";
import { runBranchline } from "./swarm/branchline.ts";
import { medianOf, type Course, type Figures } from "./swarm/course.ts";
import { runRawTcp } from "./swarm/raw-tcp.ts";

/** Content-defined fragments come out a fifth above their average setting (distribution 4.3). */
const FRAGMENT_MEAN_BYTES = Math.round(FRAGMENT_AVERAGE_BYTES * 1.2);
const LAN_MBIT_PER_SEC = 200;
const SEED = 1;

interface Cell {
  readonly hosts: number;
  readonly wanMbitPerSec: number;
  readonly hasDp: boolean;
  readonly lab: Ratios;
  readonly simulator: Ratios;
}

/** Both over what the raw stream needed on the same line. */
interface Ratios {
  readonly time: number;
  readonly wan: number;
}

export async function run({ isJson, args }: BenchOptions): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      hosts: { type: "string", default: "2,4,8" },
      wan: { type: "string", default: "5,20" },
      mb: { type: "string", default: "12" },
      runs: { type: "string", default: "3" },
    },
  });
  await requireLab();
  const cells: Cell[] = [];
  for (const wanMbitPerSec of numbers(values.wan)) {
    for (const hosts of numbers(values.hosts)) {
      const size = { hosts, wanMbitPerSec, sizeBytes: Number(values.mb) * 1_000_000 };
      for (const hasDp of [false, true]) {
        const cell = await compared(size, hasDp, Number(values.runs));
        console.error(JSON.stringify(cell));
        cells.push(cell);
      }
    }
  }
  if (isJson) console.log(JSON.stringify({ cells }));
  else printTable(cells);
}

interface Size {
  readonly hosts: number;
  readonly wanMbitPerSec: number;
  readonly sizeBytes: number;
}

async function compared(size: Size, hasDp: boolean, runCount: number): Promise<Cell> {
  const { hosts, wanMbitPerSec, sizeBytes } = size;
  const lan = `${LAN_MBIT_PER_SEC}mbit`;
  const course: Course = { sites: 1, hosts, sizeBytes, wan: `${wanMbitPerSec}mbit`, lan };
  const raw = await runRawTcp(course);
  const runs: Figures[] = [];
  for (let round = 0; round < runCount; round++) runs.push(await runBranchline(course, { hasDp }));
  const seen = medianOf(runs);
  const lab = { time: seen.time / raw.time, wan: seen.wan / raw.wan };
  return { hosts, wanMbitPerSec, hasDp, lab, simulator: simulated(size, hasDp, raw) };
}

function simulated(size: Size, hasDp: boolean, raw: Figures): Ratios {
  const { hosts, wanMbitPerSec, sizeBytes } = size;
  const scenario = parseScenario({
    about: "One cell of the lab.",
    package: { bytes: sizeBytes, fragmentBytes: FRAGMENT_MEAN_BYTES },
    sites: [
      {
        name: "office",
        count: 1,
        // The lab's DP is a host of its own.
        endpoints: hosts + (hasDp ? 1 : 0),
        hasDp,
        wanMbitPerSec,
        lanMbitPerSec: LAN_MBIT_PER_SEC,
      },
    ],
    start: { endpointSpreadSec: 0.1, siteSpreadSec: 0 },
    links: { lanLatencyMs: 0.5, wanLatencyMs: 1, goodput: 1 / raw.time },
    origin: { mbitPerSec: 10_000 },
    runs: 5,
    seed: SEED,
  });
  const [office] = runScenario(scenario, SEED).classes;
  return { time: office?.timeRatio.median ?? NaN, wan: office?.wanRatio.median ?? NaN };
}

function printTable(cells: readonly Cell[]): void {
  console.log("over the raw stream     lab            simulator      difference");
  console.log("hosts  WAN Mbit/s  DP   time   wan     time   wan     time     wan");
  for (const { hosts, wanMbitPerSec, hasDp, lab, simulator } of cells) {
    const place = `${String(hosts).padEnd(6)} ${String(wanMbitPerSec).padEnd(11)} ${hasDp ? "yes" : "no "}`;
    const figures = [lab, simulator].map(
      ({ time, wan }) => `${time.toFixed(3)}  ${wan.toFixed(3)}`,
    );
    const parted = [lab.time / simulator.time, lab.wan / simulator.wan].map(percent);
    console.log(`${place}  ${figures.join("   ")}   ${parted.join("   ")}`);
  }
}

function percent(ratio: number): string {
  const value = (ratio - 1) * 100;
  return `${value < 0 ? "" : "+"}${value.toFixed(1)} %`;
}

function numbers(text: string): readonly number[] {
  return text.split(",").map(Number);
}
