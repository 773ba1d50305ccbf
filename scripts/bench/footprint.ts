/**
 * Memory of an idle agent, joined and settled, beside a Node process of the same version that does
 * nothing: `npm run bench -- footprint [--json]`.
 */
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Fleet } from "../../test/support/processes.ts";
import type { BenchOptions } from "../bench-options.ts";

/** The start-up garbage is gone by then, and several check-ins have been made. */
const SETTLE_MS = 20_000;
const SAMPLE_COUNT = 5;
const SAMPLE_PAUSE_MS = 1000;

export async function run({ isJson }: BenchOptions): Promise<void> {
  await using fleet = await Fleet.start();
  await fleet.command(["site", "create", "office", "--subnet", "127.10.1.0/24"]);
  const agent = await fleet.startNode({ name: "idle", site: "office", listen: "127.10.1.11:0" });
  await fleet.joined(["idle"]);
  const bare = spawn(process.execPath, ["--eval", "setInterval(() => {}, 60_000)"]);
  try {
    await sleep(SETTLE_MS);
    const agentMb = await medianMegabytes(agent.pid);
    const bareMb = await medianMegabytes(bare.pid ?? -1);
    const ratio = agentMb / bareMb;
    if (isJson) console.log(JSON.stringify({ agentMb, bareMb, ratio }));
    else {
      console.log(`idle agent ${agentMb.toFixed(1)} MB, bare Node ${bareMb.toFixed(1)} MB`);
      console.log(`ratio ${ratio.toFixed(2)} (resident memory, median of ${SAMPLE_COUNT})`);
    }
  } finally {
    bare.kill();
  }
}

async function medianMegabytes(pid: number): Promise<number> {
  const samples: number[] = [];
  for (let count = 0; count < SAMPLE_COUNT; count++) {
    samples.push(await residentMegabytes(pid));
    await sleep(SAMPLE_PAUSE_MS);
  }
  return samples.toSorted((a, b) => a - b)[Math.floor(SAMPLE_COUNT / 2)] ?? NaN;
}

async function residentMegabytes(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, "utf8");
  const kibibytes = Number(/^VmRSS:\s+(\d+) kB$/mu.exec(text)?.[1]);
  return (kibibytes * 1024) / 1e6;
}
