/**
 * The state of the reconcile step: what is known of every instruction in force, and the small questions
 * that its decisions ask of it.
 */
import type { Instruction } from "../../protocol/directive.ts";
import { NO_ATTEMPTS, wishKey, type AttemptRecord } from "./attempts.ts";
import type { Surroundings } from "./conditions.ts";
import type { PowerNeed } from "./power.ts";

/** One revision of one job. */
export interface Wish {
  readonly job: string;
  readonly revision: string;
}

export type Phase =
  | { readonly kind: "due" }
  | { readonly kind: "fetching" }
  | { readonly kind: "ready" }
  | { readonly kind: "running" }
  /** `isRetry`: after an attempt; else after a failed preparation. */
  | { readonly kind: "waiting"; readonly untilMs: number; readonly isRetry: boolean }
  | { readonly kind: "done" }
  | { readonly kind: "exhausted" }
  /** Not possible here; looked at again at the next run. */
  | { readonly kind: "incompatible" }
  | { readonly kind: "expired" }
  | { readonly kind: "aborted" };

export interface Entry {
  readonly instruction: Instruction;
  readonly phase: Phase;
  /** Failed preparations since the last success; they are no attempts. */
  readonly fetchFailures: number;
  /** Longest time that its command may take; 0 before its manifest is read. */
  readonly runMs: number;
  /** The hold that was told last, so that it is told once. */
  readonly toldHold: string | undefined;
}

export interface ReconcileState {
  /** Whether the directive is known; before, nothing follows from what is not in it. */
  readonly isDirected: boolean;
  /** In sequence order. */
  readonly entries: readonly Entry[];
  /** The one execution, also where its job has left the directive. */
  readonly running: Wish | undefined;
  readonly records: ReadonlyMap<string, AttemptRecord>;
  readonly retryBaseMs: number;
  readonly surroundings: Surroundings;
  /** While it is there, nothing more is executed but the rest of its chain (D9). */
  readonly power: PowerNeed | undefined;
  /** A shutdown that comes after the last job (OCO-8). */
  readonly parting: PowerNeed | undefined;
  /** The agent itself shall start anew, as soon as nothing runs. */
  readonly restartsAgent: boolean;
}

export function recordOf(state: ReconcileState, wish: Wish): AttemptRecord {
  return state.records.get(wishKey(wish)) ?? NO_ATTEMPTS;
}

export function withRecord(
  state: ReconcileState,
  wish: Wish,
  record: AttemptRecord,
): ReconcileState {
  return { ...state, records: new Map(state.records).set(wishKey(wish), record) };
}

export function entryOf(state: ReconcileState, wish: Wish): Entry | undefined {
  const key = wishKey(wish);
  return state.entries.find((entry) => wishKey(entry.instruction) === key);
}

export function entryIn(state: ReconcileState, wish: Wish, kind: Phase["kind"]): Entry | undefined {
  const entry = entryOf(state, wish);
  return entry?.phase.kind === kind ? entry : undefined;
}

export function replaced(state: ReconcileState, entry: Entry): ReconcileState {
  const key = wishKey(entry.instruction);
  const entries = state.entries.map((other) =>
    wishKey(other.instruction) === key ? entry : other,
  );
  return { ...state, entries };
}

export function inPhase(state: ReconcileState, wish: Wish, phase: Phase): ReconcileState {
  const entry = entryOf(state, wish);
  return entry === undefined ? state : replaced(state, { ...entry, phase });
}

export function wishOf(entry: Entry): Wish {
  return { job: entry.instruction.job, revision: entry.instruction.revision };
}

/** Ended without success, and nothing but a change or the next run makes it go on. */
export function isFailed({ phase }: Entry): boolean {
  switch (phase.kind) {
    case "exhausted":
    case "incompatible":
    case "expired":
    case "aborted":
      return true;
    case "due":
    case "fetching":
    case "ready":
    case "running":
    case "waiting":
    case "done":
      return false;
    default:
      return phase satisfies never;
  }
}

/** Entries that have to be done before this one, also through others; cycles end by themselves. */
export function dependentsOf(state: ReconcileState, entry: Entry): readonly Entry[] {
  const found = new Map<string, Entry>();
  const open = [...(entry.instruction.after ?? [])];
  for (let job = open.pop(); job !== undefined; job = open.pop()) {
    if (found.has(job)) continue;
    const dependent = performerOf(state, job);
    // Of a job that is not in the directive the coordinator knows that it is done.
    if (dependent === undefined) continue;
    found.set(job, dependent);
    open.push(...(dependent.instruction.after ?? []));
  }
  return [...found.values()];
}

export function performerOf(state: ReconcileState, job: string): Entry | undefined {
  return state.entries.find(
    ({ instruction }) => instruction.job === job && instruction.purpose === "perform",
  );
}
