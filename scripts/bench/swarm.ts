/**
 * One package to every endpoint of one or more offices over slow lines: Branchline beside a libtorrent
 * swarm, a caching HTTP distribution point and one raw TCP stream, on the same links in the same run.
 *
 *   npm run bench -- swarm [--sites 1] [--hosts 10] [--mb 25] [--wan 20mbit] [--lan 200mbit] [--runs 5]
 *                          [--only branchline,branchline-dp,libtorrent,http-dp,raw-tcp] [--json]
 *
 * time: last endpoint in units of bytes ÷ line rate. wan: bytes over each line ÷ package. Needs root.
 */
import { parseArgs } from "node:util";
import { labRefusal } from "../../test/support/lab.ts";
import { runBranchline } from "./swarm/branchline.ts";
import { runHttpDp } from "./swarm/http-dp.ts";
import { runLibtorrent } from "./swarm/libtorrent.ts";
import { medianOf, type Contest, type Course, type Figures } from "./swarm/course.ts";
import { runRawTcp } from "./swarm/raw-tcp.ts";

const CONTESTS: Readonly<Record<string, Contest>> = {
  "raw-tcp": runRawTcp,
  "http-dp": runHttpDp,
  libtorrent: runLibtorrent,
  branchline: async (course) => runBranchline(course, false),
  "branchline-dp": async (course) => runBranchline(course, true),
};

export async function run({
  isJson,
  args,
}: {
  readonly isJson: boolean;
  readonly args: readonly string[];
}): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      sites: { type: "string", default: "1" },
      hosts: { type: "string", default: "10" },
      mb: { type: "string", default: "25" },
      wan: { type: "string", default: "20mbit" },
      lan: { type: "string", default: "200mbit" },
      runs: { type: "string", default: "5" },
      only: { type: "string", default: Object.keys(CONTESTS).join(",") },
    },
  });
  const refusal = await labRefusal();
  if (refusal !== undefined) {
    throw new Error(`this measurement needs network namespaces: ${refusal}`);
  }
  const course: Course = {
    sites: Number(values.sites),
    hosts: Number(values.hosts),
    sizeBytes: Number(values.mb) * 1_000_000,
    wan: values.wan,
    lan: values.lan,
  };
  const results = await runAll(course, values.only.split(","), Number(values.runs));
  if (isJson) console.log(JSON.stringify({ course, results }));
  else printTable(course, results);
}

interface Result {
  readonly name: string;
  readonly runs: readonly Figures[];
  readonly median: Figures;
}

async function runAll(
  course: Course,
  names: readonly string[],
  runCount: number,
): Promise<readonly Result[]> {
  const runs = new Map<string, Figures[]>();
  // Round by round, so that a slow minute of the machine meets every contestant.
  for (let round = 0; round < runCount; round++) {
    for (const name of names) {
      const contest = CONTESTS[name];
      if (contest === undefined) throw new Error(`no contestant "${name}"`);
      const figures = await contest(course);
      runs.set(name, [...(runs.get(name) ?? []), figures]);
      console.error(`round ${round + 1} ${name}: ${JSON.stringify(figures)}`);
    }
  }
  return [...runs].map(([name, all]) => ({ name, runs: all, median: medianOf(all) }));
}

function printTable(course: Course, results: readonly Result[]): void {
  const { sites, hosts, sizeBytes, wan, lan } = course;
  console.log(
    `${sites} site(s) x ${hosts} endpoints, ${sizeBytes / 1e6} MB, WAN ${wan}, LAN ${lan}; medians`,
  );
  console.log("                time   wan    cpu s/GB");
  for (const { name, median } of results) {
    const cells = [
      median.time.toFixed(3),
      median.wan.toFixed(3),
      median.cpuSecondsPerGb.toFixed(1),
    ];
    console.log(`${name.padEnd(15)} ${cells.map((cell) => cell.padStart(6)).join(" ")}`);
  }
}
