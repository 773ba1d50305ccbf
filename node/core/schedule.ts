/**
 * The second half of the reconcile step: from a state to what is begun now. What can no longer run is
 * ended, content is fetched, one job is executed, and every job that waits with its content here says why.
 */
import { afterQuietEnd } from "./attempts.ts";
import { expiryOf } from "./conditions.ts";
import { hasLiveChain, isExclusive, verdictOf, type Hold } from "./holds.ts";
import type { ReconcileEffect, Step } from "./reconcile-effect.ts";
import {
  inPhase,
  isFailed,
  recordOf,
  wishOf,
  withRecord,
  type Entry,
  type ReconcileState,
} from "./reconcile-state.ts";

/** Packages fetched at the same time: a stuck one must not hold up the line, many would split it. */
const FETCH_LIMIT = 3;

export function scheduled(
  before: ReconcileState,
  done: readonly ReconcileEffect[],
  nowMs: number,
): Step {
  const effects = [...done];
  let state = withoutPast(awakened(before, nowMs), effects, nowMs);
  state = withFetches(state, effects);
  const turn = turnOf(state, nowMs);
  if (turn.next !== undefined && !state.restartsAgent) {
    const wish = wishOf(turn.next);
    state = { ...inPhase(state, wish, { kind: "running" }), running: wish };
    effects.push({ type: "execute", wish, attempt: recordOf(state, wish).attempts + 1 });
  }
  state = withDeparture(state, effects, nowMs);
  state = withHoldsTold(state, turn.holds, effects);
  const atMs = Math.min(...state.entries.map(wakeTimeOf), ...[...turn.holds.values()].map(endOf));
  if (Number.isFinite(atMs)) effects.push({ type: "wake", atMs });
  return { state, effects };
}

/** Nothing is under way or about to begin; what waits for a time, a person or another try may be there. */
export function isQuiet(state: ReconcileState, nowMs: number): boolean {
  const isBusy = state.entries.some(
    ({ phase }) => phase.kind === "due" || phase.kind === "fetching",
  );
  return state.running === undefined && !isBusy && turnOf(state, nowMs).next === undefined;
}

function awakened(state: ReconcileState, nowMs: number): ReconcileState {
  const entries = state.entries.map((entry) =>
    entry.phase.kind === "waiting" && entry.phase.untilMs <= nowMs
      ? { ...entry, phase: { kind: "due" } as const }
      : entry,
  );
  return { ...state, entries };
}

// In sequence order, so that one abort is seen by the next job of the sequence.
function withoutPast(
  before: ReconcileState,
  effects: ReconcileEffect[],
  nowMs: number,
): ReconcileState {
  let state = before;
  for (const entry of before.entries) {
    if (!isUndecided(entry)) continue;
    const verdict = verdictOf(state, entry, nowMs);
    if (verdict.kind !== "expired" && verdict.kind !== "aborted") continue;
    const wish = wishOf(entry);
    if (entry.phase.kind === "fetching") effects.push({ type: "cancel", wish });
    const record = recordOf(state, wish);
    if (verdict.kind === "aborted") effects.push({ type: "abort", wish, by: verdict.by });
    else effects.push({ type: "expire", wish });
    state = withRecord(state, wish, afterQuietEnd(record, verdict.kind));
    state = inPhase(state, wish, { kind: verdict.kind });
  }
  return state;
}

function isUndecided(entry: Entry): boolean {
  const { kind } = entry.phase;
  const isOver = kind === "done" || kind === "running" || isFailed(entry);
  return entry.instruction.purpose !== "replicate" && !isOver;
}

function withFetches(before: ReconcileState, effects: ReconcileEffect[]): ReconcileState {
  let state = before;
  const fetching = state.entries.filter((entry) => entry.phase.kind === "fetching").length;
  const due = state.entries.filter((entry) => entry.phase.kind === "due");
  for (const entry of due.slice(0, Math.max(0, FETCH_LIMIT - fetching))) {
    state = inPhase(state, wishOf(entry), { kind: "fetching" });
    effects.push({ type: "fetch", wish: wishOf(entry) });
  }
  return state;
}

interface Turn {
  readonly next: Entry | undefined;
  /** Of the jobs whose content is here, why they wait; by job. */
  readonly holds: ReadonlyMap<string, Hold>;
}

function turnOf(state: ReconcileState, nowMs: number): Turn {
  const holds = new Map<string, Hold>();
  let next: Entry | undefined;
  // The job whose turn it is, while it is fetched or runs; those after it simply queue.
  let isTaken = state.running !== undefined;
  let blocker: Entry | undefined;
  for (const entry of state.entries) {
    if (entry.instruction.purpose !== "perform" || entry.phase.kind === "done") continue;
    const { kind } = entry.phase;
    const isOpen = kind === "due" || kind === "fetching" || kind === "ready";
    const verdict = isOpen ? verdictOf(state, entry, nowMs) : undefined;
    const isReady = kind === "ready";
    if (blocker !== undefined) {
      const job = blocker.instruction.job;
      if (isReady) holds.set(entry.instruction.job, { kind: "levelZero", job });
      continue;
    }
    if (isReady && verdict?.kind === "held") holds.set(entry.instruction.job, verdict.hold);
    // Whatever is held lets later ones pass; what is only being fetched keeps its turn.
    if (verdict?.kind === "free" && !isTaken) {
      isTaken = true;
      if (isReady) next = entry;
    }
    const isWaitedFor = kind !== "running" && entry !== next;
    if (isWaitedFor && isExclusive(state, entry)) blocker = entry;
  }
  return { next, holds };
}

function withDeparture(
  before: ReconcileState,
  effects: ReconcileEffect[],
  nowMs: number,
): ReconcileState {
  // After a start the chains are not known before the first directive (D9, OCO-11).
  if (before.running !== undefined || !before.isDirected) return before;
  if (before.restartsAgent) {
    effects.push({ type: "restartAgent" });
    return before;
  }
  const state = withPartingDue(before, nowMs);
  const { power } = state;
  const isDue =
    power !== undefined &&
    power.kind !== "external" &&
    !power.isOrdered &&
    !hasLiveChain(state, nowMs);
  if (!isDue) return state;
  effects.push({ type: "power", need: power });
  return { ...state, power: { ...power, isOrdered: true } };
}

// OCO-8: after the last job, and not while one of them still has a try left.
function withPartingDue(state: ReconcileState, nowMs: number): ReconcileState {
  const { parting } = state;
  if (parting === undefined || state.power !== undefined || !isQuiet(state, nowMs)) return state;
  const told = state.entries.filter(({ instruction }) => instruction.shutdownAfter === true);
  // OCO-11: where the coordinator has taken it back, the endpoint stays on.
  if (told.length === 0) return { ...state, parting: undefined };
  if (told.some(({ phase }) => phase.kind === "waiting")) return state;
  return { ...state, parting: undefined, power: parting };
}

function withHoldsTold(
  before: ReconcileState,
  holds: ReadonlyMap<string, Hold>,
  effects: ReconcileEffect[],
): ReconcileState {
  const entries = before.entries.map((entry): Entry => {
    const hold = entry.phase.kind === "ready" ? holds.get(entry.instruction.job) : undefined;
    const toldHold = hold === undefined ? undefined : JSON.stringify(hold);
    if (hold !== undefined && toldHold !== entry.toldHold) {
      effects.push({ type: "hold", wish: wishOf(entry), hold });
    }
    return toldHold === entry.toldHold ? entry : { ...entry, toldHold };
  });
  return { ...before, entries };
}

function wakeTimeOf(entry: Entry): number {
  const untilMs = entry.phase.kind === "waiting" ? entry.phase.untilMs : Number.POSITIVE_INFINITY;
  return isUndecided(entry) ? Math.min(untilMs, expiryOf(entry.instruction.conditions)) : untilMs;
}

function endOf(hold: Hold): number {
  const untilMs = hold.kind === "conditions" ? hold.untilMs : undefined;
  return untilMs ?? Number.POSITIVE_INFINITY;
}
