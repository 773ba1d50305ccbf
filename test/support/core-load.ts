/**
 * How busy the machine's cores were over a while, whoever kept them busy. A run in which a core had hardly a
 * moment to spare measured the machine and not the lines (distribution 6): its times say nothing.
 */
import { readFile } from "node:fs/promises";

/** Above this share of any core, times are bound by the machine. */
export const CORE_SHARE_MAX = 0.8;

interface CoreTime {
  readonly busyTicks: number;
  readonly allTicks: number;
}

/** Runs `work` and adds the busiest core's share of busy time meanwhile, 0 to 1. */
export async function withCoreShare<T>(
  work: () => Promise<T>,
): Promise<{ readonly value: T; readonly coreShare: number }> {
  const before = await coreTimes();
  const value = await work();
  const after = await coreTimes();
  const shares = after.map(({ busyTicks, allTicks }, core) => {
    const start = before[core] ?? { busyTicks: 0, allTicks: 0 };
    return (busyTicks - start.busyTicks) / Math.max(1, allTicks - start.allTicks);
  });
  return { value, coreShare: Math.max(0, ...shares) };
}

async function coreTimes(): Promise<readonly CoreTime[]> {
  const text = await readFile("/proc/stat", "utf8");
  return [...text.matchAll(/^cpu\d+ (.+)$/gmu)].map(([, line = ""]) => {
    // user nice system idle iowait irq softirq steal; what guests take is within user and nice.
    const ticks = line.split(" ").map(Number).slice(0, 8);
    const allTicks = ticks.reduce((sum, each) => sum + each, 0);
    return { busyTicks: allTicks - (ticks[3] ?? 0) - (ticks[4] ?? 0), allTicks };
  });
}
