/**
 * The node's decisions as one pure step: from the directive in force and what happened so far to what
 * is done next. Downloads overlap; executions run one at a time, in sequence order.
 */
import type { Instruction } from "../../protocol/directive.ts";
import type { Outcome } from "../../protocol/outcome.ts";
import {
  afterAttempt,
  afterDrift,
  afterQuietEnd,
  isExhausted,
  outdatedKeys,
  retryDelayMs,
  wishKey,
  wishOfKey,
  type AttemptRecord,
} from "./attempts.ts";
import { gateOf, type Surroundings } from "./conditions.ts";
import { mergedNeed, partingOf, type PowerNeed } from "./power.ts";
import type { ReconcileEffect, Step } from "./reconcile-effect.ts";
import {
  entryIn,
  entryOf,
  inPhase,
  recordOf,
  replaced,
  wishOf,
  withRecord,
  type Entry,
  type Phase,
  type ReconcileState,
  type Wish,
} from "./reconcile-state.ts";
import { scheduled } from "./schedule.ts";

export type ReconcileEvent =
  | { readonly type: "directive"; readonly instructions: readonly Instruction[] }
  /** What the manifest says of it. */
  | {
      readonly type: "manifestRead";
      readonly wish: Wish;
      readonly level: number;
      readonly runMs: number;
    }
  | { readonly type: "fetched"; readonly wish: Wish }
  | { readonly type: "fetchFailed"; readonly wish: Wish }
  | {
      readonly type: "ended";
      readonly wish: Wish;
      readonly outcome: Outcome;
      readonly power?: PowerNeed;
      readonly restartsAgent?: boolean;
    }
  /** It turned out that nothing has to be done, or nothing can: no attempt was made. */
  | {
      readonly type: "settled";
      readonly wish: Wish;
      readonly end: "alreadyInstalled" | "incompatible";
    }
  /** Was done, and a scan shows that it no longer holds (SE-19). */
  | { readonly type: "drifted"; readonly wish: Wish }
  /** A run acts: what waits for another try gets it, what was not possible is looked at again (SE-20). */
  | { readonly type: "run" }
  | { readonly type: "moved"; readonly publicAddress: string | undefined }
  | { readonly type: "tick" };

export interface InitialParts {
  readonly records: ReadonlyMap<string, AttemptRecord>;
  readonly retryBaseMs: number;
  readonly surroundings?: Surroundings;
  /** An execution that outlived a restart of the agent. */
  readonly running?: Wish | undefined;
  readonly power?: PowerNeed | undefined;
  readonly parting?: PowerNeed | undefined;
}

export function initialState(parts: InitialParts): ReconcileState {
  return {
    isDirected: false,
    entries: [],
    running: parts.running,
    records: parts.records,
    retryBaseMs: parts.retryBaseMs,
    surroundings: parts.surroundings ?? { endpoint: "", publicAddress: undefined },
    power: parts.power,
    parting: parts.parting,
    restartsAgent: false,
  };
}

export function step(state: ReconcileState, event: ReconcileEvent, nowMs: number): Step {
  const applied = apply(state, event, nowMs);
  return scheduled(applied.state, applied.effects, nowMs);
}

function apply(state: ReconcileState, event: ReconcileEvent, nowMs: number): Step {
  switch (event.type) {
    case "directive":
      return withDirective(state, event.instructions, nowMs);
    case "manifestRead":
      return silent(afterManifest(state, event));
    case "fetched":
      return silent(afterFetch(state, event.wish));
    case "fetchFailed":
      return silent(afterFailedFetch(state, event.wish, nowMs));
    case "ended":
      return silent(afterEnd(state, event, nowMs));
    case "settled":
      return silent(afterSettled(state, event.wish, event.end));
    case "drifted":
      return silent(afterDrifted(state, event.wish));
    case "run":
      return silent(afterRun(state));
    case "moved": {
      const { publicAddress } = event;
      return silent({ ...state, surroundings: { ...state.surroundings, publicAddress } });
    }
    case "tick":
      return silent(state);
    default:
      return event satisfies never;
  }
}

function withDirective(
  before: ReconcileState,
  instructions: readonly Instruction[],
  nowMs: number,
): Step {
  const outdated = outdatedKeys(before.records, instructions);
  const state = withoutRecords(before, outdated);
  const known = new Map(state.entries.map((entry) => [wishKey(entry.instruction), entry]));
  const ordered = instructions.toSorted(bySequence);
  const wanted = new Set(ordered.map(wishKey));
  const entries = ordered.map((instruction) => entryFor(state, instruction, known, nowMs));
  const dropped = state.entries.filter(
    (entry) => entry.phase.kind === "fetching" && !wanted.has(wishKey(entry.instruction)),
  );
  const effects: ReconcileEffect[] = [
    ...outdated.map((key) => ({ type: "forget", wish: wishOfKey(key) }) as const),
    ...dropped.map((entry) => ({ type: "cancel", wish: wishOf(entry) }) as const),
  ];
  for (const entry of entries) {
    const isNew = !known.has(wishKey(entry.instruction));
    if (isNew && entry.phase.kind === "done") effects.push({ type: "serve", wish: wishOf(entry) });
  }
  return { state: { ...state, entries, isDirected: true }, effects };
}

function withoutRecords(state: ReconcileState, keys: readonly string[]): ReconcileState {
  if (keys.length === 0) return state;
  const records = new Map(state.records);
  for (const key of keys) records.delete(key);
  return { ...state, records };
}

function entryFor(
  state: ReconcileState,
  instruction: Instruction,
  known: ReadonlyMap<string, Entry>,
  nowMs: number,
): Entry {
  const before = known.get(wishKey(instruction));
  // A raised limit or a later end makes these due again (SE-22, OCO-2).
  const isReconsidered = before?.phase.kind === "exhausted" || before?.phase.kind === "expired";
  if (before !== undefined && !isReconsidered) return { ...before, instruction };
  const phase = phaseOf(state, instruction, nowMs);
  return { instruction, phase, fetchFailures: 0, runMs: 0, toldHold: undefined };
}

function phaseOf(state: ReconcileState, instruction: Instruction, nowMs: number): Phase {
  const record = recordOf(state, instruction);
  if (record.isDone) return { kind: "done" };
  if (state.running !== undefined && wishKey(state.running) === wishKey(instruction)) {
    return { kind: "running" };
  }
  if (record.end === "aborted") return { kind: "aborted" };
  const { conditions, job } = instruction;
  const isExpired =
    gateOf({ conditions, job, runMs: 0 }, state.surroundings, nowMs).kind === "expired";
  if (record.end === "expired" && isExpired) return { kind: "expired" };
  return { kind: isExhausted(record, instruction.attemptLimit) ? "exhausted" : "due" };
}

function afterManifest(
  state: ReconcileState,
  { wish, level, runMs }: Extract<ReconcileEvent, { type: "manifestRead" }>,
): ReconcileState {
  const known = withRecord(state, wish, { ...recordOf(state, wish), level });
  const entry = entryOf(known, wish);
  return entry === undefined ? known : replaced(known, { ...entry, runMs });
}

function afterFetch(state: ReconcileState, wish: Wish): ReconcileState {
  const entry = entryIn(state, wish, "fetching");
  if (entry === undefined) return state;
  if (entry.instruction.purpose === "perform") return inPhase(state, wish, { kind: "ready" });
  // `replicate` and `cache` only hold the content: done without an execution.
  const record = { ...recordOf(state, wish), isDone: true };
  return inPhase(withRecord(state, wish, record), wish, { kind: "done" });
}

function afterFailedFetch(state: ReconcileState, wish: Wish, nowMs: number): ReconcileState {
  const entry = entryIn(state, wish, "fetching");
  if (entry === undefined) return state;
  const fetchFailures = entry.fetchFailures + 1;
  const untilMs = nowMs + retryDelayMs(fetchFailures, state.retryBaseMs);
  const phase: Phase = { kind: "waiting", untilMs, isRetry: false };
  return replaced(state, { ...entry, fetchFailures, phase });
}

function afterEnd(
  state: ReconcileState,
  event: Extract<ReconcileEvent, { type: "ended" }>,
  nowMs: number,
): ReconcileState {
  const { wish, outcome, power } = event;
  // Only the one execution can end; a late or doubled event changes nothing.
  if (state.running === undefined || wishKey(state.running) !== wishKey(wish)) return state;
  const recorded = withRecord(state, wish, afterAttempt(recordOf(state, wish), outcome));
  const ended: ReconcileState = {
    ...recorded,
    running: undefined,
    power: power === undefined ? state.power : mergedNeed(state.power, power),
    restartsAgent: state.restartsAgent || event.restartsAgent === true,
  };
  const entry = entryIn(ended, wish, "running");
  if (entry === undefined) return ended;
  const phase = endPhase(ended, entry, nowMs);
  return withParting(replaced(ended, { ...entry, fetchFailures: 0, phase }), entry);
}

function endPhase(state: ReconcileState, entry: Entry, nowMs: number): Phase {
  const record = recordOf(state, entry.instruction);
  if (record.isDone) return { kind: "done" };
  if (isExhausted(record, entry.instruction.attemptLimit)) return { kind: "exhausted" };
  const untilMs = nowMs + retryDelayMs(record.attempts, state.retryBaseMs);
  return { kind: "waiting", untilMs, isRetry: true };
}

function afterSettled(
  state: ReconcileState,
  wish: Wish,
  end: "alreadyInstalled" | "incompatible",
): ReconcileState {
  const isRunning = state.running !== undefined && wishKey(state.running) === wishKey(wish);
  const freed = isRunning ? { ...state, running: undefined } : state;
  const settled = withRecord(freed, wish, afterQuietEnd(recordOf(freed, wish), end));
  const entry = entryOf(settled, wish);
  if (entry === undefined) return settled;
  const kind = end === "incompatible" ? "incompatible" : "done";
  return withParting(inPhase(settled, wish, { kind }), entry);
}

// OCO-9: whether this endpoint was woken for it only the coordinator knows.
function withParting(state: ReconcileState, { instruction }: Entry): ReconcileState {
  const parting = partingOf(instruction);
  return parting === undefined ? state : { ...state, parting };
}

function afterDrifted(state: ReconcileState, wish: Wish): ReconcileState {
  const entry = entryIn(state, wish, "done");
  if (entry === undefined) return state;
  const record = afterDrift(recordOf(state, wish));
  const isSpent = isExhausted(record, entry.instruction.attemptLimit);
  return inPhase(withRecord(state, wish, record), wish, { kind: isSpent ? "exhausted" : "due" });
}

function afterRun(state: ReconcileState): ReconcileState {
  const entries = state.entries.map((entry): Entry => {
    const { phase } = entry;
    const isRetried = phase.kind === "waiting" && phase.isRetry;
    return isRetried || phase.kind === "incompatible"
      ? { ...entry, phase: { kind: "due" } }
      : entry;
  });
  return { ...state, entries };
}

function bySequence(one: Instruction, other: Instruction): number {
  return one.sequence - other.sequence || (one.job < other.job ? -1 : 1);
}

function silent(state: ReconcileState): Step {
  return { state, effects: [] };
}
