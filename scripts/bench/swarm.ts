/**
 * One package to every endpoint of one or more offices over slow lines: Branchline beside a libtorrent
 * swarm, a caching HTTP distribution point and one raw TCP stream, on the same links in the same run.
 *
 *   npm run bench -- swarm [--cells 1x10,1x30,3x8] [--mb 25] [--line-mbit 20] [--port-mbit 200] [--runs 5]
 *                          [--only raw-tcp,http-dp,libtorrent,branchline,branchline-dp,branchline-fresh] [--json]
 *
 * Branchline's nodes have had a small package before, like any that have run for a day; branchline-fresh, which
 * runs only where it is named, has nodes that just started, whose first work is to compile their programs.
 * A cell is offices x endpoints; all of them share the cores of this machine. A run in which the busiest core
 * was busy for more than four fifths of the time is marked: it shows the machine, not the lines, and wants
 * slower ones, such as --line-mbit 5 --port-mbit 50.
 * time: last endpoint in units of bytes ÷ line rate. wan: bytes over the worst line ÷ package. cpu: user and
 * system seconds of every process that takes part, both ends, ÷ delivered gigabytes. Needs root, nginx, curl and python3-libtorrent; a contestant that is not installed is named.
 */
import { parseArgs } from "node:util";
import { CORE_SHARE_MAX } from "../../test/support/core-load.ts";
import { requireLab, type BenchOptions } from "../bench-options.ts";
import { runBranchline } from "./swarm/branchline.ts";
import { medianOf, worstOf, type Contest, type Course, type Figures } from "./swarm/course.ts";
import { runHttpDp } from "./swarm/http-dp.ts";
import { runLibtorrent } from "./swarm/libtorrent.ts";
import { runRawTcp } from "./swarm/raw-tcp.ts";

const CONTESTS: Readonly<Record<string, Contest>> = {
  "raw-tcp": runRawTcp,
  "http-dp": runHttpDp,
  libtorrent: runLibtorrent,
  branchline: async (course) => runBranchline(course, { hasDp: false }),
  "branchline-dp": async (course) => runBranchline(course, { hasDp: true }),
  "branchline-fresh": async (course) => runBranchline(course, { hasDp: false, isFresh: true }),
};
const USUAL = "raw-tcp,http-dp,libtorrent,branchline,branchline-dp";

interface Result {
  readonly name: string;
  readonly runs: readonly Figures[];
  readonly median: Figures;
  readonly worst: Figures;
  /** Runs that show how fast the machine is rather than the lines. */
  readonly boundRunCount: number;
}

interface Cell {
  readonly course: Course;
  readonly results: readonly Result[];
}

export async function run({ isJson, args }: BenchOptions): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      cells: { type: "string", default: "1x10,1x30,3x8" },
      mb: { type: "string", default: "25" },
      "line-mbit": { type: "string", default: "20" },
      "port-mbit": { type: "string", default: "200" },
      runs: { type: "string", default: "5" },
      only: { type: "string", default: USUAL },
    },
  });
  await requireLab();
  const cells: Cell[] = [];
  for (const text of values.cells.split(",")) {
    const rates = { wan: `${values["line-mbit"]}mbit`, lan: `${values["port-mbit"]}mbit` };
    const course = { ...cellOf(text), sizeBytes: Number(values.mb) * 1_000_000, ...rates };
    const cell = await cellRun(course, values.only.split(","), Number(values.runs));
    cells.push(cell);
    if (!isJson) printTable(cell);
  }
  if (isJson) console.log(JSON.stringify({ cells }));
}

function cellOf(text: string): { readonly sites: number; readonly hosts: number } {
  const found = /^(\d+)x(\d+)$/u.exec(text);
  if (found === null) throw new Error(`no cell "${text}": OFFICESxENDPOINTS, such as 3x8`);
  return { sites: Number(found[1]), hosts: Number(found[2]) };
}

async function cellRun(course: Course, names: readonly string[], runCount: number): Promise<Cell> {
  const runs = new Map<string, Figures[]>();
  // Round by round, so that a slow minute of the machine meets every contestant.
  for (let round = 0; round < runCount; round++) {
    for (const name of names) {
      const contest = CONTESTS[name];
      if (contest === undefined) throw new Error(`no contestant "${name}"`);
      const figures = await contest(course);
      runs.set(name, [...(runs.get(name) ?? []), figures]);
      const cell = `${course.sites}x${course.hosts}`;
      console.error(`${cell} round ${round + 1} ${name}: ${JSON.stringify(figures)}`);
    }
  }
  const results = [...runs].map(([name, all]) => ({
    name,
    runs: all,
    median: medianOf(all),
    worst: worstOf(all),
    boundRunCount: all.filter(({ coreShare }) => coreShare > CORE_SHARE_MAX).length,
  }));
  return { course, results };
}

function printTable({ course, results }: Cell): void {
  const { sites, hosts, sizeBytes, wan, lan } = course;
  console.log(
    `\n${sites} office(s) x ${hosts} endpoints, ${sizeBytes / 1e6} MB, WAN ${wan}, LAN ${lan}: median (worst)`,
  );
  console.log("                 time            wan             cpu s/GB        busiest core");
  for (const { name, runs, median, worst, boundRunCount } of results) {
    const cells = [
      `${median.time.toFixed(3)} (${worst.time.toFixed(3)})`,
      `${median.wan.toFixed(3)} (${worst.wan.toFixed(3)})`,
      `${median.cpuSecondsPerGb.toFixed(1)} (${worst.cpuSecondsPerGb.toFixed(1)})`,
      `${median.coreShare.toFixed(2)} (${worst.coreShare.toFixed(2)})`,
    ];
    const mark = boundRunCount === 0 ? "" : `bound by CPU: ${boundRunCount} of ${runs.length}`;
    const row = cells.map((cell) => cell.padEnd(15)).join(" ");
    console.log(`${name.padEnd(16)} ${row} ${mark}`.trimEnd());
  }
}
