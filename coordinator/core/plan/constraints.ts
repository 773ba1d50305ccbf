/**
 * When and where a wish may act: pause, start and end, address ranges, time frames and maintenance windows.
 * Checked here before anything is handed out, and by the endpoint again before it acts (design 6).
 */
import { admitsAddress, parseAddressRanges } from "../../../protocol/address-range.ts";
import type { Conditions } from "../../../protocol/directive.ts";
import { admitsTime, nextTimeChangeMs, parseTimeFrames } from "../../../protocol/time-frame.ts";
import type { Intent, PlanInput, PlanSchedule, WaitReason } from "./plan-model.ts";

/** Lists of frames that an instruction has room for. */
const FRAME_LISTS_MAX = 8;

export interface Frames {
  readonly frames: string;
  readonly zone: string;
}

/** The plan's instant, and everything that will change with time alone. */
export interface PlanClock {
  readonly nowMs: number;
  /** Whether the frames admit now, and when that changes. */
  readonly check: (frames: Frames) => { readonly isInside: boolean; readonly changesMs?: number };
  /** An instant at which the plan may change. */
  readonly note: (atMs: number) => void;
  readonly changesMs: () => number | undefined;
}

export function planClock(nowMs: number): PlanClock {
  const checked = new Map<string, { isInside: boolean; changesMs?: number }>();
  let nextMs = Number.POSITIVE_INFINITY;
  function note(atMs: number): void {
    if (atMs > nowMs) nextMs = Math.min(nextMs, atMs);
  }
  return {
    nowMs,
    note,
    changesMs: () => (Number.isFinite(nextMs) ? nextMs : undefined),
    check: ({ frames, zone }) => {
      const key = `${zone} ${frames}`;
      const known = checked.get(key);
      if (known !== undefined) return known;
      const list = parseTimeFrames(frames);
      const changesMs = nextTimeChangeMs(list, zone, nowMs);
      if (changesMs !== undefined) note(changesMs);
      const isInside = admitsTime(list, zone, nowMs);
      const answer = { isInside, ...(changesMs === undefined ? {} : { changesMs }) };
      checked.set(key, answer);
      return answer;
    },
  };
}

/** Why the wish may not act now; undefined where it may. */
export function holdOf(
  intent: Intent,
  { endpoint, windows }: Pick<PlanInput, "endpoint" | "windows">,
  clock: PlanClock,
): WaitReason | undefined {
  const { schedule, createdMs } = intent;
  if (schedule.isPaused) {
    const text = `${sourceText(intent)} is paused.`;
    return { code: "paused", text, endsWhen: "an operator resumes it", sinceMs: createdMs };
  }
  return (
    intent.hold ??
    lifeHold(intent, clock) ??
    addressHold(intent, endpoint.address) ??
    frameHold(intent, clock) ??
    windowHold(intent, windows, clock)
  );
}

/** The reasons that pass by themselves: the wish is in force meanwhile. */
export function isTransient({ code }: WaitReason): boolean {
  return code === "outsideAddresses" || code === "outsideTimeFrame" || code === "outsideWindow";
}

/** The same conditions for the endpoint's own check; undefined where there are none. */
export function conditionsOf(
  schedule: PlanSchedule,
  windows: PlanInput["windows"],
): Conditions | undefined {
  const { startMs, endMs, addressRanges, timeFrames, zone, jitterSec } = schedule;
  const lists: readonly Frames[] = [
    ...(timeFrames === undefined ? [] : [{ frames: timeFrames, zone }]),
    ...windows.map((window) => ({ frames: window.frames, zone: window.zone })),
  ];
  const conditions: Conditions = {
    ...(startMs === undefined ? {} : { startMs }),
    ...(endMs === undefined ? {} : { endMs }),
    ...(addressRanges === undefined ? {} : { addressRanges }),
    ...(lists.length === 0 ? {} : { timeFrames: lists.slice(0, FRAME_LISTS_MAX) }),
    ...(jitterSec === 0 ? {} : { jitterSec }),
  };
  return Object.keys(conditions).length === 0 ? undefined : conditions;
}

export function sourceText({ source, name }: Pick<Intent, "source" | "name">): string {
  return `The ${source} ${name}`;
}

function lifeHold(intent: Intent, clock: PlanClock): WaitReason | undefined {
  const { startMs, endMs } = intent.schedule;
  if (startMs !== undefined) clock.note(startMs);
  if (endMs !== undefined) clock.note(endMs);
  if (endMs !== undefined && clock.nowMs >= endMs) {
    const text = `${sourceText(intent)} ended at ${instant(endMs)}.`;
    const endsWhen = "an operator sets a later end";
    return { code: "expired", text, endsWhen, sinceMs: endMs };
  }
  if (startMs === undefined || clock.nowMs >= startMs) return undefined;
  return {
    code: "beforeStart",
    text: `${sourceText(intent)} starts at ${instant(startMs)}.`,
    endsWhen: "its start is reached",
    endsMs: startMs,
    sinceMs: intent.createdMs,
  };
}

function addressHold(intent: Intent, address: string | undefined): WaitReason | undefined {
  const { addressRanges } = intent.schedule;
  if (addressRanges === undefined) return undefined;
  if (address !== undefined && admitsAddress(parseAddressRanges(addressRanges), address)) {
    return undefined;
  }
  const place = address === undefined ? "has no known address" : `has the address ${address}`;
  return {
    code: "outsideAddresses",
    text: `${sourceText(intent)} admits ${addressRanges}; the endpoint ${place}.`,
    endsWhen: "the endpoint checks in from an admitted address",
    sinceMs: beganMs(intent),
  };
}

function frameHold(intent: Intent, clock: PlanClock): WaitReason | undefined {
  const { timeFrames, zone } = intent.schedule;
  if (timeFrames === undefined) return undefined;
  const { isInside, changesMs } = clock.check({ frames: timeFrames, zone });
  if (isInside) return undefined;
  return {
    code: "outsideTimeFrame",
    text: `${sourceText(intent)} runs within ${timeFrames} (${zone}).`,
    endsWhen: "the next time frame begins",
    ...(changesMs === undefined ? {} : { endsMs: changesMs }),
    sinceMs: beganMs(intent),
  };
}

function windowHold(
  intent: Intent,
  windows: PlanInput["windows"],
  clock: PlanClock,
): WaitReason | undefined {
  const states = windows.map((window) => ({ window, ...clock.check(window) }));
  const closed = states.find(({ isInside }) => !isInside);
  if (closed === undefined) return undefined;
  const { window, changesMs } = closed;
  return {
    code: "outsideWindow",
    text: `The maintenance window ${window.name} is ${window.frames} (${window.zone}).`,
    endsWhen: "the window opens",
    ...(changesMs === undefined ? {} : { endsMs: changesMs }),
    sinceMs: beganMs(intent),
  };
}

/** From when on a wish counts. */
export function beganMs({ createdMs, schedule }: Intent): number {
  return Math.max(createdMs, schedule.startMs ?? 0);
}

function instant(atMs: number): string {
  return new Date(atMs).toISOString();
}
