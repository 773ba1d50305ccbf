/**
 * What offices live through, with real processes in network namespaces, judged by the counters of the
 * kernel's ports: scenarios 1 to 8 and 11 of distribution 6. 9 is `bench -- update`, 10 is `bench -- manners`,
 * 12 is simulated: `npm run simulate -- 12-fleet`.
 *
 *   npm run bench -- scenarios [--only 1,3] [--peers 16] [--mb 100] [--wan 20mbit] [--lan 200mbit] [--json]
 *
 * Times and bytes over the line are given in units of one raw TCP stream on the same line. Needs root, nginx
 * and curl. Two cores carry about 16 peers.
 */
import { parseArgs } from "node:util";
import { requireLab, type BenchOptions } from "../bench-options.ts";
import { HOSTILE_SCENARIO } from "./scenarios/hostile.ts";
import { JOINS_SCENARIO } from "./scenarios/joins.ts";
import { LAN_SCENARIO } from "./scenarios/lan.ts";
import { OFFICE_SCENARIOS } from "./scenarios/office.ts";
import { RESTART_SCENARIO } from "./scenarios/restart.ts";
import type { Check, Scenario } from "./scenarios/scenario.ts";
import { runRawTcp } from "./swarm/raw-tcp.ts";

const SCENARIOS: readonly Scenario[] = [
  ...OFFICE_SCENARIOS,
  HOSTILE_SCENARIO,
  LAN_SCENARIO,
  RESTART_SCENARIO,
  JOINS_SCENARIO,
].toSorted((one, other) => one.id - other.id);

export async function run({ isJson, args }: BenchOptions): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", default: SCENARIOS.map(({ id }) => id).join(",") },
      peers: { type: "string", default: "16" },
      mb: { type: "string", default: "100" },
      wan: { type: "string", default: "20mbit" },
      lan: { type: "string", default: "200mbit" },
    },
  });
  await requireLab();
  const { wan, lan } = values;
  const base = { peers: Number(values.peers), sizeBytes: Number(values.mb) * 1_000_000, wan, lan };
  const raw = await runRawTcp({ ...base, sites: 1, hosts: 1 });
  if (!isJson) console.log(`raw TCP: time ${raw.time}, line ${raw.wan} of the ideal`);
  const wanted = values.only.split(",").map(Number);
  const results: {
    readonly id: number;
    readonly title: string;
    readonly checks: readonly Check[];
  }[] = [];
  for (const { id, title, run: play } of SCENARIOS.filter((each) => wanted.includes(each.id))) {
    const checks = await play({ ...base, raw });
    results.push({ id, title, checks });
    if (!isJson) printChecks(id, title, checks);
  }
  if (isJson) console.log(JSON.stringify({ conditions: base, raw, results }));
  if (results.some(({ checks }) => checks.some(({ isMet }) => !isMet))) process.exitCode = 1;
}

function printChecks(id: number, title: string, checks: readonly Check[]): void {
  console.log(`\n${id} ${title}`);
  for (const { what, expected, seen, isMet } of checks) {
    const verdict = isMet ? "" : "  MISSED";
    console.log(`  ${what.padEnd(60)} ${expected.padEnd(9)} | ${seen.toFixed(3)}${verdict}`);
  }
}
