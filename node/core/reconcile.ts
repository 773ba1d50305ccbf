/**
 * The node's decisions as one pure step: from the directive in force and what happened so far to what
 * is done next. Downloads overlap; executions run one at a time, in sequence order.
 */
import type { Instruction } from "../../protocol/directive.ts";
import type { Outcome } from "../../protocol/report.ts";
import {
  afterAttempt,
  isExhausted,
  NO_ATTEMPTS,
  retryDelayMs,
  wishKey,
  type AttemptRecord,
} from "./attempts.ts";

/** Packages fetched at the same time: a stuck one must not hold up the line, many would split it. */
const FETCH_LIMIT = 3;
/** A package of this level must succeed before anything after it runs (OCS-23). */
const EXCLUSIVE_LEVEL = 0;

/** One revision of one job. */
export interface Wish {
  readonly job: string;
  readonly revision: string;
}

type Phase =
  | { readonly kind: "due" }
  | { readonly kind: "fetching" }
  | { readonly kind: "ready" }
  | { readonly kind: "running" }
  | { readonly kind: "waiting"; readonly untilMs: number }
  | { readonly kind: "done" }
  | { readonly kind: "exhausted" };

interface Entry {
  readonly instruction: Instruction;
  readonly phase: Phase;
  /** Failed preparations since the last success; they are no attempts. */
  readonly fetchFailures: number;
}

export interface ReconcileState {
  /** In sequence order. */
  readonly entries: readonly Entry[];
  /** The one execution, also where its job has left the directive. */
  readonly running: Wish | undefined;
  readonly records: ReadonlyMap<string, AttemptRecord>;
  readonly retryBaseMs: number;
}

export type ReconcileEvent =
  | { readonly type: "directive"; readonly instructions: readonly Instruction[] }
  | { readonly type: "levelKnown"; readonly wish: Wish; readonly level: number }
  | { readonly type: "fetched"; readonly wish: Wish }
  | { readonly type: "fetchFailed"; readonly wish: Wish }
  | { readonly type: "ended"; readonly wish: Wish; readonly outcome: Outcome }
  | { readonly type: "tick" };

export type ReconcileEffect =
  /** Read and verify the manifest, fetch the content. */
  | { readonly type: "fetch"; readonly wish: Wish }
  /** The wish was withdrawn while it was fetched. */
  | { readonly type: "cancel"; readonly wish: Wish }
  /** Done before: its content is offered to the site's peers again. */
  | { readonly type: "serve"; readonly wish: Wish }
  | { readonly type: "execute"; readonly wish: Wish; readonly attempt: number }
  /** Nothing happens by itself before this instant; send `tick` then. */
  | { readonly type: "wake"; readonly atMs: number };

export interface Step {
  readonly state: ReconcileState;
  readonly effects: readonly ReconcileEffect[];
}

/** `running` is an execution that outlived a restart of the agent. */
export function initialState(
  records: ReadonlyMap<string, AttemptRecord>,
  retryBaseMs: number,
  running?: Wish,
): ReconcileState {
  return { entries: [], running, records, retryBaseMs };
}

export function step(state: ReconcileState, event: ReconcileEvent, nowMs: number): Step {
  const applied = apply(state, event, nowMs);
  return scheduled(applied.state, applied.effects, nowMs);
}

function apply(state: ReconcileState, event: ReconcileEvent, nowMs: number): Step {
  switch (event.type) {
    case "directive":
      return withDirective(state, event.instructions);
    case "levelKnown":
      return silent(withRecord(state, event.wish, { level: event.level }));
    case "fetched":
      return silent(afterFetch(state, event.wish));
    case "fetchFailed":
      return silent(afterFailedFetch(state, event.wish, nowMs));
    case "ended":
      return silent(afterEnd(state, event.wish, event.outcome, nowMs));
    case "tick":
      return silent(state);
    default:
      return event satisfies never;
  }
}

function withDirective(state: ReconcileState, instructions: readonly Instruction[]): Step {
  const known = new Map(state.entries.map((entry) => [wishKey(entry.instruction), entry]));
  const ordered = instructions.toSorted(bySequence);
  const wanted = new Set(ordered.map(wishKey));
  const entries = ordered.map((instruction) => entryOf(state, instruction, known));
  const effects: ReconcileEffect[] = state.entries
    .filter((entry) => entry.phase.kind === "fetching" && !wanted.has(wishKey(entry.instruction)))
    .map((entry) => ({ type: "cancel", wish: wishOf(entry) }));
  for (const entry of entries) {
    const isNew = !known.has(wishKey(entry.instruction));
    if (isNew && entry.phase.kind === "done") effects.push({ type: "serve", wish: wishOf(entry) });
  }
  return { state: { ...state, entries }, effects };
}

function entryOf(
  state: ReconcileState,
  instruction: Instruction,
  known: ReadonlyMap<string, Entry>,
): Entry {
  const before = known.get(wishKey(instruction));
  if (before !== undefined && before.phase.kind !== "exhausted") return { ...before, instruction };
  const record = recordOf(state, instruction);
  const phase = phaseOf(state, instruction, record);
  return { instruction, phase, fetchFailures: 0 };
}

function phaseOf(state: ReconcileState, instruction: Instruction, record: AttemptRecord): Phase {
  if (record.isDone) return { kind: "done" };
  if (state.running !== undefined && wishKey(state.running) === wishKey(instruction)) {
    return { kind: "running" };
  }
  return { kind: isExhausted(record, instruction.attemptLimit) ? "exhausted" : "due" };
}

function afterFetch(state: ReconcileState, wish: Wish): ReconcileState {
  const entry = entryWith(state, wish, "fetching");
  if (entry === undefined) return state;
  if (entry.instruction.purpose === "perform") return inPhase(state, wish, { kind: "ready" });
  // `replicate` only holds the content: it is done without an execution.
  return inPhase(withRecord(state, wish, { isDone: true }), wish, { kind: "done" });
}

function afterFailedFetch(state: ReconcileState, wish: Wish, nowMs: number): ReconcileState {
  const entry = entryWith(state, wish, "fetching");
  if (entry === undefined) return state;
  const fetchFailures = entry.fetchFailures + 1;
  const untilMs = nowMs + retryDelayMs(fetchFailures, state.retryBaseMs);
  return replaced(state, { ...entry, fetchFailures, phase: { kind: "waiting", untilMs } });
}

function afterEnd(
  state: ReconcileState,
  wish: Wish,
  outcome: Outcome,
  nowMs: number,
): ReconcileState {
  // Only the one execution can end; a late or doubled event changes nothing.
  if (state.running === undefined || wishKey(state.running) !== wishKey(wish)) return state;
  const record = afterAttempt(recordOf(state, wish), outcome);
  const ended = { ...withRecord(state, wish, record), running: undefined };
  const entry = entryWith(ended, wish, "running");
  if (entry === undefined) return ended;
  return replaced(ended, { ...entry, fetchFailures: 0, phase: endPhase(ended, entry, nowMs) });
}

function endPhase(state: ReconcileState, entry: Entry, nowMs: number): Phase {
  const record = recordOf(state, entry.instruction);
  if (record.isDone) return { kind: "done" };
  if (isExhausted(record, entry.instruction.attemptLimit)) return { kind: "exhausted" };
  return { kind: "waiting", untilMs: nowMs + retryDelayMs(record.attempts, state.retryBaseMs) };
}

function scheduled(before: ReconcileState, done: readonly ReconcileEffect[], nowMs: number): Step {
  const effects = [...done];
  let state = awakened(before, nowMs);
  for (const entry of fetchesToStart(state)) {
    state = inPhase(state, wishOf(entry), { kind: "fetching" });
    effects.push({ type: "fetch", wish: wishOf(entry) });
  }
  const next = nextExecution(state);
  if (next !== undefined) {
    const wish = wishOf(next);
    state = { ...inPhase(state, wish, { kind: "running" }), running: wish };
    effects.push({ type: "execute", wish, attempt: recordOf(state, wish).attempts + 1 });
  }
  const atMs = Math.min(...state.entries.map(wakeTimeOf));
  if (Number.isFinite(atMs)) effects.push({ type: "wake", atMs });
  return { state, effects };
}

function awakened(state: ReconcileState, nowMs: number): ReconcileState {
  const entries = state.entries.map((entry) =>
    wakeTimeOf(entry) <= nowMs ? { ...entry, phase: { kind: "due" } as const } : entry,
  );
  return { ...state, entries };
}

function wakeTimeOf(entry: Entry): number {
  return entry.phase.kind === "waiting" ? entry.phase.untilMs : Number.POSITIVE_INFINITY;
}

function fetchesToStart(state: ReconcileState): readonly Entry[] {
  const fetching = state.entries.filter((entry) => entry.phase.kind === "fetching").length;
  const due = state.entries.filter((entry) => entry.phase.kind === "due");
  return due.slice(0, Math.max(0, FETCH_LIMIT - fetching));
}

function nextExecution(state: ReconcileState): Entry | undefined {
  if (state.running !== undefined) return undefined;
  for (const entry of state.entries) {
    if (entry.instruction.purpose !== "perform" || entry.phase.kind === "done") continue;
    if (entry.phase.kind === "ready") return entry;
    const isSetAside = entry.phase.kind === "waiting" || entry.phase.kind === "exhausted";
    // OCS-23: a level 0 that has not succeeded holds up everything after it. Of the others, one that
    // waits for its next try lets later ones pass; one that is being fetched keeps its turn.
    const isExclusive = recordOf(state, entry.instruction).level === EXCLUSIVE_LEVEL;
    if (!isSetAside || isExclusive) return undefined;
  }
  return undefined;
}

function recordOf(state: ReconcileState, wish: Wish): AttemptRecord {
  return state.records.get(wishKey(wish)) ?? NO_ATTEMPTS;
}

function withRecord(
  state: ReconcileState,
  wish: Wish,
  change: Partial<AttemptRecord>,
): ReconcileState {
  const records = new Map(state.records);
  records.set(wishKey(wish), { ...recordOf(state, wish), ...change });
  return { ...state, records };
}

function entryWith(state: ReconcileState, wish: Wish, kind: Phase["kind"]): Entry | undefined {
  const key = wishKey(wish);
  return state.entries.find(
    (entry) => entry.phase.kind === kind && wishKey(entry.instruction) === key,
  );
}

function inPhase(state: ReconcileState, wish: Wish, phase: Phase): ReconcileState {
  const key = wishKey(wish);
  const entries = state.entries.map((entry) =>
    wishKey(entry.instruction) === key ? { ...entry, phase } : entry,
  );
  return { ...state, entries };
}

function replaced(state: ReconcileState, entry: Entry): ReconcileState {
  const key = wishKey(entry.instruction);
  const entries = state.entries.map((other) =>
    wishKey(other.instruction) === key ? entry : other,
  );
  return { ...state, entries };
}

function wishOf(entry: Entry): Wish {
  return { job: entry.instruction.job, revision: entry.instruction.revision };
}

function bySequence(one: Instruction, other: Instruction): number {
  return one.sequence - other.sequence || (one.job < other.job ? -1 : 1);
}

function silent(state: ReconcileState): Step {
  return { state, effects: [] };
}
