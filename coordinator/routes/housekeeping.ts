/**
 * What time and reports bring about without anybody asking: rings open or stop, endpoints are woken,
 * finished containers go. Runs from a timer, and when endpoints speak, so that none of it waits for it.
 */
import { stepRollouts } from "./rollouts.ts";
import { purgeContainers } from "./containers.ts";
import { orderWakes } from "./wakes.ts";
import type { Parts } from "./parts.ts";

const LOOKED_EVERY_MS = 1000;
const PURGED_EVERY_MS = 60_000;

export async function keepHouse(parts: Parts): Promise<void> {
  const { chores, now } = parts;
  const nowMs = now();
  if (!chores.isDue("house", LOOKED_EVERY_MS, nowMs)) return;
  await stepRollouts(parts, false);
  await orderWakes(parts);
  if (chores.isDue("purge", PURGED_EVERY_MS, nowMs)) await purgeContainers(parts);
}
