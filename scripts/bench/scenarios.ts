/**
 * What offices live through, with real processes in network namespaces, judged by the counters of the
 * kernel's ports: distribution 6. `--list` tells where each of its twelve scenarios is measured.
 *
 *   npm run bench -- scenarios [--only 1,3] [--peers 16] [--mb 50] [--wan 10mbit] [--lan 50mbit] [--background] [--json]
 *
 * Times and bytes over the line are given in units of the package on a line without headers, and beside that in
 * units of one raw TCP stream on the same line, with the stricter figure of distribution 6 for information. The
 * defaults leave two cores time to spare; a time that was taken while a core had none is marked, and counts as
 * missed. Needs root, nginx and curl. With --background the packages of 1, 3, 4 and 6 give way to other traffic.
 */
import { parseArgs } from "node:util";
import { requireLab, type BenchOptions } from "../bench-options.ts";
import { HOSTILE_SCENARIO } from "./scenarios/hostile.ts";
import { JOINS_SCENARIO } from "./scenarios/joins.ts";
import { LAN_SCENARIO } from "./scenarios/lan.ts";
import { OFFICE_SCENARIOS } from "./scenarios/office.ts";
import { RESTART_SCENARIO } from "./scenarios/restart.ts";
import { verdictOf, type Check, type Scenario } from "./scenarios/scenario.ts";
import { DP_SCENARIO } from "./scenarios/with-dp.ts";
import { runRawTcp } from "./swarm/raw-tcp.ts";

const SCENARIOS: readonly Scenario[] = [
  ...OFFICE_SCENARIOS,
  DP_SCENARIO,
  HOSTILE_SCENARIO,
  LAN_SCENARIO,
  RESTART_SCENARIO,
  JOINS_SCENARIO,
].toSorted((one, other) => one.id - other.id);

/** Scenarios of distribution 6 that are measured elsewhere. */
const ELSEWHERE: readonly { readonly id: number; readonly title: string; readonly how: string }[] =
  [
    { id: 9, title: "updates of six package pairs", how: "npm run bench -- update" },
    { id: 10, title: "somebody else's flow beside a rollout", how: "npm run bench -- manners" },
    { id: 12, title: "10,000 sites of 100 endpoints", how: "npm run simulate -- 12-fleet" },
  ];

export async function run({ isJson, args }: BenchOptions): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", default: SCENARIOS.map(({ id }) => id).join(",") },
      peers: { type: "string", default: "16" },
      mb: { type: "string", default: "50" },
      wan: { type: "string", default: "10mbit" },
      lan: { type: "string", default: "50mbit" },
      background: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
    },
  });
  if (values.list) {
    printList(isJson);
    return;
  }
  await requireLab();
  const { wan, lan, background: isBackground } = values;
  const sizeBytes = Number(values.mb) * 1_000_000;
  const base = { peers: Number(values.peers), sizeBytes, wan, lan, isBackground };
  const raw = await runRawTcp({ ...base, sites: 1, hosts: 1 });
  if (!isJson) console.log(`raw TCP: time ${raw.time}, line ${raw.wan} of the ideal`);
  const wanted = values.only.split(",").map(Number);
  const results: Result[] = [];
  for (const { id, title, run: play } of SCENARIOS.filter((each) => wanted.includes(each.id))) {
    const begin = performance.now();
    const checks = await play({ ...base, raw });
    const result = { id, title, seconds: (performance.now() - begin) / 1000, checks };
    results.push(result);
    if (!isJson) printChecks(result);
  }
  if (isJson) console.log(JSON.stringify({ conditions: base, raw, results: results.map(judged) }));
  const isAllMet = results.every(({ checks }) =>
    checks.every((check) => verdictOf(check) === "met"),
  );
  if (!isAllMet) process.exitCode = 1;
}

interface Result {
  readonly id: number;
  readonly title: string;
  /** Of the whole run, from the first namespace on. */
  readonly seconds: number;
  readonly checks: readonly Check[];
}

function judged({ checks, ...rest }: Result) {
  return { ...rest, checks: checks.map((check) => ({ ...check, verdict: verdictOf(check) })) };
}

function printChecks({ id, title, seconds, checks }: Result): void {
  console.log(`\n${id} ${title} (${Math.round(seconds)} s)`);
  for (const check of checks) {
    const { what, expected, seen, coreShare, strict } = check;
    const verdict = verdictOf(check);
    const notes = [
      ...(verdict === "met" ? [] : [verdict.toUpperCase()]),
      ...(strict === undefined ? [] : [`÷ raw TCP ${strict.seen.toFixed(3)} (<= ${strict.bound})`]),
      ...(coreShare === undefined ? [] : [`busiest core ${Math.round(coreShare * 100)} %`]),
    ];
    const line = `  ${what.padEnd(56)} ${expected.padEnd(9)} | ${seen.toFixed(3).padEnd(8)}`;
    console.log(`${line} ${notes.join(", ")}`.trimEnd());
  }
}

function printList(isJson: boolean): void {
  const own = SCENARIOS.map(({ id, title }) => {
    return { id, title, how: `npm run bench -- scenarios --only ${id}` };
  });
  const all = [...own, ...ELSEWHERE].toSorted((one, other) => one.id - other.id);
  if (isJson) console.log(JSON.stringify(all));
  else
    for (const { id, title, how } of all)
      console.log(`${String(id).padStart(2)} ${title}\n   ${how}`);
}
