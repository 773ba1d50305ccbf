/**
 * Whether this node may begin transfers over its site's line now: inside the site's hours and inside its own.
 * The coordinator refuses leases outside the site's hours by its own clock; this spares it the asking.
 */
import { admitsTime, nextTimeChangeMs, type TimeFrame } from "../../protocol/time-frame.ts";

export interface TransferHours {
  readonly frames: readonly TimeFrame[];
  readonly zone: string;
}

/** How long to wait, 0 for not at all; at most `maxMs`, because clocks of endpoints are moved. */
export function closedForMs(all: readonly TransferHours[], nowMs: number, maxMs: number): number {
  const closed = all.filter(({ frames, zone }) => !admitsTime(frames, zone, nowMs));
  const waits = closed.map(({ frames, zone }) => {
    return (nextTimeChangeMs(frames, zone, nowMs) ?? Infinity) - nowMs;
  });
  return Math.min(Math.max(0, ...waits), maxMs);
}
