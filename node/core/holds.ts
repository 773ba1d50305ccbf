/**
 * What keeps a job from being executed now, and why: conditions, dependents, its sequence, a restart that
 * is due, a level 0. Every hold can be told to a person.
 */
import { gateOf, type ClosedReason } from "./conditions.ts";
import {
  dependentsOf,
  isFailed,
  performerOf,
  recordOf,
  type Entry,
  type ReconcileState,
} from "./reconcile-state.ts";

/** A package of this level must succeed before anything after it runs (OCS-23). */
const EXCLUSIVE_LEVEL = 0;

export type Hold =
  | {
      readonly kind: "conditions";
      readonly reason: ClosedReason;
      readonly untilMs: number | undefined;
    }
  /** From this job to the one that stops it (ZEN-9, ZEN-15). */
  | { readonly kind: "dependency"; readonly path: readonly string[] }
  | { readonly kind: "sequence"; readonly job: string }
  | { readonly kind: "levelZero"; readonly job: string }
  | { readonly kind: "power"; readonly need: "external" | "restart" | "shutdown" };

export type Verdict =
  | { readonly kind: "free" }
  | { readonly kind: "held"; readonly hold: Hold }
  | { readonly kind: "expired" }
  /** An earlier job of its sequence failed, and the sequence ends with it (OCO-48). */
  | { readonly kind: "aborted"; readonly by: string };

/** Of an entry that is neither done nor running. */
export function verdictOf(state: ReconcileState, entry: Entry, nowMs: number): Verdict {
  const gate = gateFor(state, entry, nowMs);
  if (gate.kind === "expired") return gate;
  const before = sequenceBlocker(state, entry);
  if (before !== undefined && isFailed(before)) {
    return { kind: "aborted", by: before.instruction.job };
  }
  const path = dependencyPath(state, entry, new Set());
  if (path !== undefined) return held({ kind: "dependency", path });
  if (before !== undefined) return held({ kind: "sequence", job: before.instruction.job });
  if (gate.kind === "closed") {
    return held({ kind: "conditions", reason: gate.reason, untilMs: gate.untilMs });
  }
  if (state.power !== undefined && !isPartOfLiveChain(state, entry, nowMs)) {
    return held({ kind: "power", need: state.power.kind });
  }
  return { kind: "free" };
}

/** OCS-23: a level 0 that has not succeeded holds up everything after it. */
export function isExclusive(state: ReconcileState, entry: Entry): boolean {
  return recordOf(state, entry.instruction).level === EXCLUSIVE_LEVEL;
}

/** D9: a restart waits for the end of its chain, as long as that end can be reached. */
export function hasLiveChain(state: ReconcileState, nowMs: number): boolean {
  const { power } = state;
  if (power === undefined || power.isOrdered) return false;
  return state.entries.some((entry) => isLiveEnd(state, entry, power.job, nowMs));
}

function isPartOfLiveChain(state: ReconcileState, entry: Entry, nowMs: number): boolean {
  const { power } = state;
  if (power === undefined || power.isOrdered) return false;
  const ends = state.entries.filter((end) => isLiveEnd(state, end, power.job, nowMs));
  return ends.some((end) => [end, ...dependentsOf(state, end)].includes(entry));
}

// A primary of the job that asked for the restart, which nothing but time and work stands before.
function isLiveEnd(state: ReconcileState, entry: Entry, job: string, nowMs: number): boolean {
  if (entry.instruction.purpose !== "perform") return false;
  const dependents = dependentsOf(state, entry);
  const isPrimary = dependents.some(({ instruction }) => instruction.job === job);
  if (!isPrimary || entry.phase.kind === "done") return false;
  return [entry, ...dependents].every(
    (one) =>
      one.phase.kind === "done" || (!isFailed(one) && gateFor(state, one, nowMs).kind === "open"),
  );
}

function gateFor(state: ReconcileState, { instruction, runMs }: Entry, nowMs: number) {
  const { conditions, job } = instruction;
  return gateOf({ conditions, job, runMs }, state.surroundings, nowMs);
}

// The last earlier job of a sequence that ends with a failure, where it is not done yet. A sequence that
// goes on after failures holds nobody (OCO-49).
function sequenceBlocker(state: ReconcileState, entry: Entry): Entry | undefined {
  const { sequenceOf, sequence } = entry.instruction;
  if (sequenceOf?.abort !== true) return undefined;
  const earlier = state.entries.filter(
    ({ instruction, phase }) =>
      instruction.purpose === "perform" &&
      instruction.sequenceOf?.id === sequenceOf.id &&
      instruction.sequence < sequence &&
      phase.kind !== "done",
  );
  return earlier.find(isFailed) ?? earlier[0];
}

function dependencyPath(
  state: ReconcileState,
  entry: Entry,
  seen: ReadonlySet<string>,
): readonly string[] | undefined {
  const { job, after = [] } = entry.instruction;
  // A circle: the planner refuses it, and here it waits for ever with its path shown.
  if (seen.has(job)) return [job];
  const path = new Set(seen).add(job);
  const open = after
    .map((one) => performerOf(state, one))
    .filter((one) => one !== undefined && one.phase.kind !== "done")
    .filter((one) => one !== undefined);
  // The one that failed says more than the one that is merely under way.
  const paths = open.map((one) => dependencyPath(state, one, path) ?? [one.instruction.job]);
  const failed = paths.findIndex((one) => isFailedJob(state, one.at(-1)));
  const shown = paths[Math.max(failed, 0)];
  return shown === undefined ? undefined : [job, ...shown.filter((one) => one !== job)];
}

function isFailedJob(state: ReconcileState, job: string | undefined): boolean {
  const entry = job === undefined ? undefined : performerOf(state, job);
  return entry !== undefined && isFailed(entry);
}

function held(hold: Hold): Verdict {
  return { kind: "held", hold };
}
