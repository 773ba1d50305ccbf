/** How a container stands as a whole: its state, its counts, and its two run times (OCO-25, OCO-26). */
import type { JobState } from "../../../protocol/report.ts";

export interface JobTimes {
  readonly state: JobState;
  readonly startedMs: number | undefined;
  readonly endedMs: number | undefined;
}

export interface ContainerStanding {
  readonly state: "scheduled" | "waiting" | "running" | "succeeded" | "failed";
  readonly counts: Record<string, number>;
  /** Undefined while a job is open. */
  readonly endedMs: number | undefined;
  readonly totalMs: number;
  readonly effectiveMs: number;
}

const GOOD: ReadonlySet<JobState> = new Set(["succeeded", "alreadyInstalled"]);
const BAD: ReadonlySet<JobState> = new Set(["failed", "expired", "incompatible", "conflict"]);

export function isFinished(state: JobState): boolean {
  return GOOD.has(state) || BAD.has(state);
}

/** `startMs`: the container's start, or when it was made. */
export function containerStanding(
  jobs: readonly JobTimes[],
  startMs: number,
  nowMs: number,
): ContainerStanding {
  const counts: Record<string, number> = {};
  for (const { state } of jobs) counts[state] = (counts[state] ?? 0) + 1;
  const isOpen = jobs.some(({ state }) => !isFinished(state));
  const ends = jobs.flatMap(({ endedMs }) => endedMs ?? []);
  const lastMs = highest(ends) ?? startMs;
  const untilMs = isOpen ? nowMs : lastMs;
  const firstMs = lowest(jobs.flatMap(({ startedMs }) => startedMs ?? []));
  return {
    state: stateOf(jobs, isOpen, nowMs < startMs),
    counts,
    endedMs: isOpen ? undefined : lastMs,
    totalMs: Math.max(0, untilMs - startMs),
    effectiveMs: firstMs === undefined ? 0 : Math.max(0, untilMs - firstMs),
  };
}

/** `1:05:00`; `~` in front while it still grows. */
export function runtimeText(durationMs: number, isOpen: boolean): string {
  const seconds = Math.floor(durationMs / 1000);
  const text = `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return isOpen ? `~${text}` : text;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** Whether it is time to remove a finished container (OCO-38). */
export function isPurgeDue(
  { state, endedMs }: ContainerStanding,
  nowMs: number,
  limits: { readonly succeededMs: number; readonly failedMs: number },
): boolean {
  if (endedMs === undefined) return false;
  return nowMs - endedMs >= (state === "succeeded" ? limits.succeededMs : limits.failedMs);
}

function stateOf(
  jobs: readonly JobTimes[],
  isOpen: boolean,
  isBefore: boolean,
): ContainerStanding["state"] {
  if (!isOpen) return jobs.some(({ state }) => BAD.has(state)) ? "failed" : "succeeded";
  if (isBefore) return "scheduled";
  const isRunning = jobs.some(({ state }) => state === "downloading" || state === "executing");
  return isRunning ? "running" : "waiting";
}

function highest(values: readonly number[]): number | undefined {
  return values.reduce<number | undefined>((best, one) => Math.max(best ?? one, one), undefined);
}

function lowest(values: readonly number[]): number | undefined {
  return values.reduce<number | undefined>((best, one) => Math.min(best ?? one, one), undefined);
}
