/**
 * The last step: level 0 holds back the rest, content may come before its time, and everything is numbered
 * and written as instructions.
 */
import type { Instruction } from "../../../protocol/directive.ts";
import { packageRefText } from "../../../protocol/ids.ts";
import {
  ATTEMPT_LIMIT_DEFAULT,
  DIRECTIVE_PACKAGES_MAX_COUNT,
  DIRECTIVE_TARGETS_MAX_COUNT,
  RESTART_TIMEOUT_DEFAULT_MIN,
} from "../../../protocol/limits.ts";
import { conditionsOf } from "./constraints.ts";
import { closureOf } from "./dependencies.ts";
import type { Outcome } from "./plan-entries.ts";
import { fromText, jobIdOf, revisionOf, shortHash } from "./plan-identity.ts";
import type {
  Plan,
  PlanInput,
  PlannedInstruction,
  PlanPackage,
  WaitCode,
  WaitingJob,
  WaitReason,
} from "./plan-model.ts";
import type { Entry } from "./plan-needs.ts";
import type { Job } from "./plan-verdicts.ts";
import { compareWishes, type Wish } from "./plan-wishes.ts";

/** Jobs that an instruction can wait for. */
const AFTER_MAX = 64;
/** Longest name of a sequence that an instruction has room for. */
const SEQUENCE_NAME_MAX = 100;
/** States in which a level 0 still has to succeed; in the others it does not concern this endpoint now. */
const BLOCKING: ReadonlySet<WaitCode> = new Set([
  "attemptsExhausted",
  "sequenceAborted",
  "loop",
  "outsideTimeFrame",
  "outsideWindow",
]);

/** A level 0 that has not succeeded (OCS-23). */
interface Blocker {
  readonly known: PlanPackage;
  readonly deciding: Wish;
  /** Ids that may run: itself and what it waits for. */
  readonly allowed: ReadonlySet<string>;
}

export function planOf(
  jobs: readonly Job[],
  outcome: Outcome,
  input: PlanInput,
): Pick<Plan, "instructions" | "waiting"> {
  const blocker = blockerOf(jobs, outcome);
  const isFree = ({ id, isKept }: Entry): boolean =>
    blocker === undefined || isKept || blocker.allowed.has(id);
  const free = outcome.entries.filter(isFree);
  const blocked = outcome.entries.filter((entry) => !isFree(entry) && entry.isWished);
  const { taken, left } = fitted(free);
  const ids = new Set(taken.map(({ id }) => id));
  const performs = taken.map((entry) => performOf(entry, ids, input));
  const numbered = bounded([...performs, ...cachesOf(jobs, input), ...replicatesOf(input)]);
  return {
    instructions: numbered.map((instruction, sequence) => ({ ...instruction, sequence })),
    waiting: [
      ...outcome.waiting,
      ...blocked.map((entry) => waitingEntry(entry, levelZeroReason(blocker, entry))),
      ...left
        .filter(({ isWished }) => isWished)
        .map((entry) => waitingEntry(entry, fullReason(entry))),
    ],
  };
}

function blockerOf(jobs: readonly Job[], { entries, held }: Outcome): Blocker | undefined {
  const due = entries.filter(
    ({ operation, known, isKept }) => operation === "install" && known.level === 0 && !isKept,
  );
  const stuck = [...jobs.filter(isHeld), ...held].filter(
    ({ operation, known }) => operation === "install" && known.level === 0,
  );
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  const blockers = [
    ...due.map(({ id, known, deciding }) => ({ known, deciding, allowed: needsOf(id, byId) })),
    ...stuck.map(({ known, deciding }) => ({ known, deciding, allowed: new Set<string>() })),
  ];
  return blockers.toSorted((one, other) => compareWishes(one.deciding, other.deciding))[0];
}

function isHeld({ verdict }: Job): boolean {
  return verdict.kind === "held" && verdict.reasons.some(({ code }) => BLOCKING.has(code));
}

/** The entry itself and everything it waits for. */
function needsOf(id: string, byId: ReadonlyMap<string, Entry>): ReadonlySet<string> {
  const needs = new Set([id]);
  for (const one of needs) {
    for (const before of byId.get(one)?.after ?? []) needs.add(before);
  }
  return needs;
}

function levelZeroReason(blocker: Blocker | undefined, { deciding }: Entry): WaitReason {
  const name = blocker === undefined ? "a package" : packageRefText(blocker.known);
  return {
    code: "levelZero",
    text: `blocked by ${name}: it has level 0 and has not succeeded yet`,
    endsWhen: `${name} succeeds, or is withdrawn`,
    sinceMs: Math.max(deciding.intent.createdMs, blocker?.deciding.intent.createdMs ?? 0),
  };
}

/** What is new comes first: what is done only stays to be kept up. */
function fitted(entries: readonly Entry[]): {
  readonly taken: readonly Entry[];
  readonly left: readonly Entry[];
} {
  const packages = new Set<string>();
  const left = new Set<Entry>();
  for (const isKept of [false, true]) {
    for (const entry of entries.filter((one) => one.isKept === isKept)) {
      const name = packageRefText(entry.known);
      if (!packages.has(name) && packages.size >= DIRECTIVE_PACKAGES_MAX_COUNT) left.add(entry);
      else packages.add(name);
    }
  }
  return { taken: entries.filter((entry) => !left.has(entry)), left: [...left] };
}

/** Content beyond what a directive has room for comes later, or is fetched when it is needed. */
function bounded(all: readonly PlannedInstruction[]): readonly PlannedInstruction[] {
  const packages = new Set<string>();
  return all.filter(({ ref }) => {
    const name = packageRefText(ref);
    if (!packages.has(name) && packages.size >= DIRECTIVE_TARGETS_MAX_COUNT) return false;
    packages.add(name);
    return true;
  });
}

function fullReason({ isKept, deciding }: Entry): WaitReason {
  const sinceMs = deciding.intent.createdMs;
  const text = isKept
    ? "It is done; the directive has no room to keep it up."
    : `The directive holds ${DIRECTIVE_PACKAGES_MAX_COUNT} packages, and others come first.`;
  const code = isKept ? "satisfied" : "directiveFull";
  return { code, text, endsWhen: "others are done or withdrawn", sinceMs };
}

function waitingEntry(
  { known, id, operation, from, isKept }: Entry,
  reason: WaitReason,
): WaitingJob {
  const ref = { name: known.name, version: known.version };
  const state = isKept ? "succeeded" : "waiting";
  return { ref, job: id, operation, from, state, reasons: [reason] };
}

function performOf(
  entry: Entry,
  taken: ReadonlySet<string>,
  { windows, wokenFor }: PlanInput,
): PlannedInstruction {
  const { id, revision, operation, known, deciding, attemptLimit, from } = entry;
  const { intent } = deciding;
  const { schedule, isForced, ensure, name, source } = intent;
  const conditions = conditionsOf(schedule, windows);
  const after = entry.after.filter((before) => taken.has(before));
  const isOwn = entry.isWished && operation !== "uninstall";
  const isShutDown = schedule.wantsShutdown && source === "container" && wokenFor.has(name);
  const optional: Partial<Instruction> = {
    ...(operation === "install" ? {} : { operation }),
    ...(conditions === undefined ? {} : { conditions }),
    ...(after.length === 0 ? {} : { after: after.slice(0, AFTER_MAX) }),
    ...(schedule.abortsAfterFailed
      ? { sequenceOf: { id: sequenceName(intent), abort: true } }
      : {}),
    ...(isOwn && isForced ? { force: true } : {}),
    ...(isOwn && (ensure === "latest" || ensure === "updateOnly") ? { ensure } : {}),
    ...(schedule.restartTimeoutMin === RESTART_TIMEOUT_DEFAULT_MIN
      ? {}
      : { restartTimeoutMin: schedule.restartTimeoutMin }),
    ...(isShutDown ? { shutdownAfter: true } : {}),
  };
  const ref = { name: known.name, version: known.version };
  return {
    ref,
    from,
    job: id,
    revision,
    purpose: "perform",
    sequence: 0,
    attemptLimit,
    ...optional,
  };
}

function sequenceName(intent: Pick<Wish["intent"], "source" | "name">): string {
  const name = fromText(intent);
  return name.length <= SEQUENCE_NAME_MAX ? name : `${intent.source}/${shortHash([name])}`;
}

/** Content that comes before its time (OCO-5), or is kept to be used offline (ZEN-17). */
function cachesOf(jobs: readonly Job[], input: PlanInput): readonly PlannedInstruction[] {
  const caches = new Map<string, PlannedInstruction>();
  for (const job of jobs) {
    if (job.operation !== "install" || !isCached(job)) continue;
    const { below } = closureOf(job.known, input.packages);
    const from = [...new Set(job.wishes.map(({ intent }) => fromText(intent)))];
    // Also those without content: an endpoint launches offline only what its directive names.
    for (const known of [...below, job.known]) {
      addContent(known, { purpose: "cache", from }, input, caches);
    }
  }
  return [...caches.values()];
}

function isCached({ verdict, wishes, deciding }: Job): boolean {
  if (wishes.some(({ intent, hasBegun }) => intent.isPinned && hasBegun)) return true;
  if (verdict.kind !== "held") return false;
  const [{ code }] = verdict.reasons;
  // A maintenance window limits execution, never the transfer.
  if (code === "outsideWindow") return true;
  const isEarly = code === "beforeStart" || code === "outsideTimeFrame";
  return isEarly && deciding.intent.schedule.precaches;
}

/** A DP holds the content of everything that its site is assigned, and of all that this needs. */
function replicatesOf(input: PlanInput): readonly PlannedInstruction[] {
  if (input.endpoint.role !== "dp") return [];
  const wanted = new Map<string, PlanPackage>();
  for (const ref of input.replicate) {
    const known = input.packages.get(ref);
    if (known?.isActive !== true) continue;
    for (const one of [...closureOf(known, input.packages).below, known]) {
      if (one.hasContent) wanted.set(packageRefText(one), one);
    }
  }
  const found = new Map<string, PlannedInstruction>();
  const inOrder = [...wanted.values()].toSorted((one, other) => one.level - other.level);
  for (const known of inOrder) {
    addContent(known, { purpose: "replicate", from: [] }, input, found);
  }
  return [...found.values()];
}

function addContent(
  known: PlanPackage,
  { purpose, from }: { readonly purpose: "cache" | "replicate"; readonly from: readonly string[] },
  { endpoint }: PlanInput,
  found: Map<string, PlannedInstruction>,
): void {
  const job = jobIdOf(endpoint.id, known, purpose);
  const before = found.get(job)?.from ?? [];
  found.set(job, {
    ref: { name: known.name, version: known.version },
    from: [...new Set([...before, ...from])],
    job,
    revision: revisionOf(known, purpose),
    purpose,
    sequence: 0,
    attemptLimit: ATTEMPT_LIMIT_DEFAULT,
  });
}
