/**
 * The run (SE-11…SE-20): scan, fetch the wishlist, act, log, scan again; first shortly after the start,
 * then at a fixed interval. Work that a check-in brings between two runs is closed by log and scan too.
 */

/** The machine has just started: what runs at boot comes first. */
const FIRST_RUN_DELAY_MS = 2000;
/** Actions that take longer are told by the next run; the scan must not wait for a whole working day. */
const ACTING_MAX_MS = 3_600_000;

export interface RunEntry {
  readonly atMs: number;
  readonly step: "scan" | "wishlist" | "log" | "rescan";
  readonly text: string;
}

export type RunState =
  | { readonly kind: "idle"; readonly nextMs: number; readonly intervalMs: number }
  | {
      readonly kind: "scanning" | "asking" | "acting" | "rescanning";
      readonly startedMs: number;
      readonly nextMs: number;
      readonly intervalMs: number;
      readonly entries: readonly RunEntry[];
    };

export type RunEvent =
  | { readonly type: "tick" }
  | { readonly type: "scanned"; readonly count: number }
  | { readonly type: "asked"; readonly problem?: string }
  /** A job was acted on. */
  | { readonly type: "acted" }
  /** No job is under way any more. */
  | { readonly type: "quiet" }
  | { readonly type: "rescanned"; readonly count: number; readonly isChanged: boolean };

export type RunEffect =
  | { readonly type: "scan" }
  | { readonly type: "checkIn" }
  /** Act on what scan and wishlist say; answer with `quiet` when it is done. */
  | { readonly type: "act" }
  | { readonly type: "rescan" }
  | {
      readonly type: "finish";
      readonly startedMs: number;
      readonly entries: readonly RunEntry[];
    }
  | { readonly type: "wake"; readonly atMs: number };

export interface RunStep {
  readonly state: RunState;
  readonly effects: readonly RunEffect[];
}

export function firstRun(startedMs: number, intervalMs: number): RunState {
  const delayMs = Math.min(FIRST_RUN_DELAY_MS, intervalMs);
  return { kind: "idle", nextMs: startedMs + delayMs, intervalMs };
}

export function runStep(state: RunState, event: RunEvent, nowMs: number): RunStep {
  const next = applied(state, event, nowMs);
  const atMs = alarmOf(next.state);
  return { state: next.state, effects: [...next.effects, { type: "wake", atMs }] };
}

function applied(state: RunState, event: RunEvent, nowMs: number): RunStep {
  switch (state.kind) {
    case "idle":
      return fromIdle(state, event, nowMs);
    case "scanning":
      if (event.type !== "scanned") return silent(state);
      return entered(state, "asking", noted("scan", `${event.count} found`, nowMs), "checkIn");
    case "asking": {
      if (event.type !== "asked") return silent(state);
      const text = event.problem ?? "current";
      return entered(state, "acting", noted("wishlist", text, nowMs), "act");
    }
    case "acting": {
      const isLate = event.type === "tick" && nowMs >= state.startedMs + ACTING_MAX_MS;
      if (event.type !== "quiet" && !isLate) return silent(state);
      const text = isLate ? "jobs are still under way" : "no job is under way";
      return entered(state, "rescanning", noted("log", text, nowMs), "rescan");
    }
    case "rescanning":
      return event.type === "rescanned" ? finished(state, event, nowMs) : silent(state);
    default:
      return state satisfies never;
  }
}

function fromIdle(
  state: Extract<RunState, { kind: "idle" }>,
  event: RunEvent,
  nowMs: number,
): RunStep {
  const begun = { ...state, startedMs: nowMs };
  if (event.type === "tick" && nowMs >= state.nextMs) {
    // SE-11: the interval counts from start to start; a run that was slept through is not made up for.
    const lateMs = nowMs - state.nextMs;
    const nextMs = state.nextMs + (1 + Math.floor(lateMs / state.intervalMs)) * state.intervalMs;
    return {
      state: { ...begun, kind: "scanning", nextMs, entries: [] },
      effects: [{ type: "scan" }],
    };
  }
  if (event.type !== "acted") return silent(state);
  const entry = noted("wishlist", "brought by a check-in between two runs", nowMs);
  return { state: { ...begun, kind: "acting", entries: [entry] }, effects: [] };
}

type Underway = Exclude<RunState, { kind: "idle" }>;

function entered(
  state: Underway,
  kind: Underway["kind"],
  entry: RunEntry,
  effect: "checkIn" | "act" | "rescan",
): RunStep {
  return {
    state: { ...state, kind, entries: [...state.entries, entry] },
    effects: [{ type: effect }],
  };
}

function finished(
  state: Underway,
  { count, isChanged }: Extract<RunEvent, { type: "rescanned" }>,
  nowMs: number,
): RunStep {
  const { startedMs, nextMs, intervalMs } = state;
  const text = `${count} found, ${isChanged ? "changed" : "as before"}`;
  const entries = [...state.entries, noted("rescan", text, nowMs)];
  return {
    state: { kind: "idle", nextMs, intervalMs },
    effects: [{ type: "finish", startedMs, entries }],
  };
}

function alarmOf(state: RunState): number {
  return state.kind === "acting" ? state.startedMs + ACTING_MAX_MS : state.nextMs;
}

function noted(step: RunEntry["step"], text: string, atMs: number): RunEntry {
  return { step, text, atMs };
}

function silent(state: RunState): RunStep {
  return { state, effects: [] };
}
