/**
 * From jobs to what is handed out, in order: dependents and old versions' uninstalls before what needs them,
 * each once (ZEN-10, ZEN-14, OCO-41); for the rest the reasons.
 */
import { packageRefText } from "../../../protocol/ids.ts";
import type { Operation } from "../../../protocol/intent.ts";
import { ATTEMPT_LIMIT_DEFAULT } from "../../../protocol/limits.ts";
import { UNINSTALL_SETS, type Fault } from "./dependencies.ts";
import {
  dependencyReasons,
  dependentsOf,
  replacementFault,
  type Dependents,
} from "./plan-dependents.ts";
import { operationKey, sharedUninstall, standingOf, type Draft } from "./plan-drafts.ts";
import { fromText, jobIdOf, revisionOf, shortHash } from "./plan-identity.ts";
import type { PlanInput, PlanPackage, WaitingJob, WaitReason } from "./plan-model.ts";
import type { PlanPresence } from "./plan-presence.ts";
import { satisfiedReason, type Job, type Reasons } from "./plan-verdicts.ts";
import { compareWishes, type Wish } from "./plan-wishes.ts";

/** Something that is handed out. */
export interface Entry {
  readonly id: string;
  readonly revision: string;
  readonly operation: Operation;
  readonly known: PlanPackage;
  /** Whose schedule counts. */
  readonly deciding: Wish;
  /** Wished for itself, not only needed by something else. */
  readonly isWished: boolean;
  readonly isKept: boolean;
  readonly attemptLimit: number;
  readonly from: readonly string[];
  /** Ids of entries that have to succeed before. */
  readonly after: readonly string[];
}

export interface Outcome {
  readonly entries: readonly Entry[];
  readonly waiting: readonly WaitingJob[];
  /** Jobs of level 0 that were to be handed out and are held. */
  readonly held: readonly Job[];
}

interface Grounds {
  readonly input: PlanInput;
  readonly presence: PlanPresence;
  readonly drafts: readonly Draft[];
}

/** One of the jobs that do the same, for all of them. */
interface Representative {
  readonly job: Job;
  readonly from: readonly string[];
}

/** What is collected on the way through the jobs. */
interface Desk extends Grounds {
  readonly dependents: Dependents;
  readonly entries: Map<string, Entry>;
  readonly waiting: WaitingJob[];
  readonly held: Job[];
  /** By operation and version. */
  readonly byKey: ReadonlyMap<string, Representative>;
}

/** `begun`: wishes in force; `free`: those of them that nothing excludes. */
export function entriesOf(
  jobs: readonly Job[],
  wishes: { readonly begun: readonly Wish[]; readonly free: readonly Wish[] },
  grounds: Grounds,
): Outcome {
  const waiting: WaitingJob[] = [];
  const groups = [...Map.groupBy(jobs, ({ key }) => key).values()];
  const representatives = groups
    .flatMap((group) => representativeOf(group, waiting))
    .toSorted((one, other) => compareWishes(one.job.deciding, other.job.deciding));
  const desk: Desk = {
    ...grounds,
    waiting,
    dependents: dependentsOf(wishes, grounds),
    entries: new Map(),
    held: [],
    byKey: new Map(representatives.map((one) => [one.job.key, one])),
  };
  for (const one of representatives) foresee(one, desk);
  for (const one of representatives) handle(one, desk);
  return withoutReplaced(desk);
}

/** What a state that is kept up needs is known before any single order is looked at. */
function foresee({ job, from }: Representative, { dependents, presence }: Desk): void {
  const { known, deciding, operation, verdict, wishes } = job;
  const isKeptUp = wishes.some(({ isStatic }) => !isStatic) && operation === "install";
  if (!isKeptUp) return;
  const { uninstallsOld } = deciding.intent.schedule;
  const isAble =
    verdict.kind === "kept" ||
    presence.has(known) ||
    (dependents.excluderOf(known, uninstallsOld) === undefined &&
      dependents.conflictOf(known) === undefined);
  if (!isAble) return;
  const { below, problem } = dependents.closureOf(known);
  if (problem !== undefined) return;
  for (const one of below) {
    dependents.foresee({ known: one, uninstallsOld: true, from: from[0] ?? "" });
  }
}

/** The first that is due acts for all that are; what is done or held answers for itself. */
function representativeOf(group: readonly Job[], waiting: WaitingJob[]): readonly Representative[] {
  const sorted = group.toSorted((one, other) => compareWishes(one.deciding, other.deciding));
  const due = sorted.filter(({ verdict }) => verdict.kind === "due");
  const kept = sorted.filter(({ verdict }) => verdict.kind === "kept");
  const chosen = due[0] ?? kept[0];
  for (const job of sorted) {
    const { verdict } = job;
    if (verdict.kind === "held" || verdict.kind === "over") {
      waiting.push(waitingOf(job, verdict));
    } else if (verdict.kind === "kept" && job !== chosen) {
      const reason = satisfiedReason("It was done before.", job.deciding.intent.createdMs);
      waiting.push(waitingOf(job, { state: "succeeded", reasons: [reason] }));
    }
  }
  if (chosen === undefined) return [];
  const all = due.length > 0 ? due : [chosen];
  return [{ job: chosen, from: sourcesOf(all.flatMap(({ wishes }) => wishes)) }];
}

function handle(one: Representative, desk: Desk): void {
  const { job } = one;
  const { operation, verdict } = job;
  if (verdict.kind === "kept") return keepUp(one, desk);
  if (operation === "uninstall") return uninstall(one, desk);
  return operation === "launch" ? launch(one, desk) : install(one, desk);
}

/** What is done stays done, whatever its dependents do; these are repaired where it is kept up. */
function keepUp({ job, from }: Representative, desk: Desk): void {
  const { known, deciding, wishes } = job;
  const { below, problem, direct } = desk.dependents.closureOf(known);
  const isStatic = wishes.every((wish) => wish.isStatic);
  const due = { deciding, from, isOnlyKept: isStatic || problem !== undefined };
  for (const dependent of below) needed(dependent, due, desk);
  if (problem !== undefined && !isStatic) {
    const name = problem.path.at(-1) ?? known.name;
    desk.waiting.push({
      ref: { name, version: undefined },
      job: `perform-${shortHash([desk.input.endpoint.id, name])}`,
      operation: "install",
      from,
      state: "waiting",
      reasons: dependencyReasons(known, problem),
    });
  }
  // What ran once has no say in what comes after it.
  if (!isStatic) settle(known, deciding, desk);
  add(entryOf(job, { from, isKept: true, after: idsOf(direct, desk) }), desk);
}

function install(one: Representative, desk: Desk): void {
  const { job, from } = one;
  const { known, deciding } = job;
  const { dependents } = desk;
  const { uninstallsOld } = deciding.intent.schedule;
  const excluder = dependents.excluderOf(known, uninstallsOld);
  if (excluder !== undefined) {
    const text = `${packageRefText(known)} and ${packageRefText(excluder.known)} of ${excluder.from} exclude each other.`;
    const endsWhen = "one of the wishes is withdrawn or changed";
    const sinceMs = deciding.intent.createdMs;
    return hold(one, "waiting", [{ code: "loop", text, endsWhen, sinceMs }], desk);
  }
  const conflict = dependents.conflictOf(known);
  if (conflict !== undefined) return hold(one, "conflict", [conflict], desk);
  const { below, direct, problem } = dependents.closureOf(known);
  if (problem !== undefined) return hold(one, "waiting", dependencyReasons(known, problem), desk);
  const replaced = dependents.replacedBy(known, uninstallsOld);
  const stuck = replacementFault(replaced, desk);
  if (stuck !== undefined) return hold(one, "waiting", replacementReasons(known, stuck), desk);
  for (const dependent of below) needed(dependent, { deciding, from, isOnlyKept: false }, desk);
  settle(known, deciding, desk);
  const before = replaced.map((old) => takeOff(old, { deciding, from }, desk));
  add(entryOf(job, { from, isKept: false, after: [...before, ...idsOf(direct, desk)] }), desk);
}

function uninstall(one: Representative, desk: Desk): void {
  const { job, from } = one;
  const { known, deciding } = job;
  const { below, direct, problem } = desk.dependents.closureOf(known, UNINSTALL_SETS);
  if (problem !== undefined) return hold(one, "waiting", dependencyReasons(known, problem), desk);
  for (const dependent of below) needed(dependent, { deciding, from, isOnlyKept: false }, desk);
  add(entryOf(job, { from, isKept: false, after: idsOf(direct, desk) }), desk);
}

/** ZEN-13, ZEN-19: everything below is there first, and launched before. */
function launch(one: Representative, desk: Desk): void {
  const { job, from } = one;
  const { known, deciding } = job;
  const { below, problem } = desk.dependents.closureOf(known);
  if (problem !== undefined) return hold(one, "waiting", dependencyReasons(known, problem), desk);
  const conflict = desk.presence.has(known) ? undefined : desk.dependents.conflictOf(known);
  if (conflict !== undefined) return hold(one, "conflict", [conflict], desk);
  const all = [...below, known];
  for (const each of all) needed(each, { deciding, from, isOnlyKept: false }, desk);
  const installs = idsOf(all, desk);
  const launches = below
    .filter(({ rules }) => rules.onLaunch !== undefined)
    .map((each) => launchDependent(each, { deciding, from, after: installs }, desk));
  add(entryOf(job, { from, isKept: false, after: [...installs, ...launches] }), desk);
}

function launchDependent(
  known: PlanPackage,
  { deciding, from, after }: Pick<Entry, "deciding" | "from" | "after">,
  desk: Desk,
): string {
  const { intent } = deciding;
  const id = jobIdOf(desk.input.endpoint.id, known, "launch", intent);
  const extras = intent.resets === 0 ? [] : [["resets", intent.resets] as const];
  const revision = revisionOf(known, "launch", extras);
  const shared = { id, revision, known, deciding, from, after, isWished: false, isKept: false };
  add({ ...shared, operation: "launch", attemptLimit: ATTEMPT_LIMIT_DEFAULT }, desk);
  return id;
}

interface Need {
  readonly deciding: Wish;
  readonly from: readonly string[];
  /** Nothing new is done for it. */
  readonly isOnlyKept: boolean;
}

/** A dependent: what is wished of it for itself keeps its job, and it may come earlier for its primary. */
function needed(known: PlanPackage, { deciding, from, isOnlyKept }: Need, desk: Desk): void {
  const { presence, dependents } = desk;
  const { id, revision, attemptLimit, isKept, own } = installing(known, desk);
  if (!isKept && (isOnlyKept || presence.has(known))) return;
  // What has its place already has all that comes before it, too: nothing may be put behind it now.
  const isPlaced = desk.entries.has(id);
  const uninstallsOlder = own?.deciding.intent.schedule.uninstallsOld ?? true;
  const replaced = isKept || isPlaced ? [] : dependents.replacedBy(known, uninstallsOlder);
  const before = replaced.map((old) => takeOff(old, { deciding, from }, desk));
  const direct = isPlaced ? [] : dependents.closureOf(known).direct;
  if (!isOnlyKept) {
    const { uninstallsOld } = deciding.intent.schedule;
    dependents.settle({ known, uninstallsOld, from: from[0] ?? fromText(deciding.intent) });
  }
  add(
    {
      id,
      revision,
      known,
      from,
      isKept,
      attemptLimit,
      operation: "install",
      deciding: own?.deciding.hold === undefined ? (own?.deciding ?? deciding) : deciding,
      isWished: own !== undefined,
      after: [...before, ...idsOf(direct, desk)],
    },
    desk,
  );
}

/** The job that installs it: one that is wished for itself where that is due, a container's included. */
function installing(
  known: PlanPackage,
  { byKey, dependents }: Desk,
): Pick<Entry, "id" | "revision" | "attemptLimit" | "isKept"> & { readonly own: Job | undefined } {
  const shared = dependents.installOf(known);
  const wished = byKey.get(operationKey("install", known))?.job;
  const isOwn = wished?.verdict.kind === "due" || wished?.id === shared.id;
  const own = isOwn ? wished : undefined;
  const { id, revision, record } = own ?? shared;
  const attemptLimit = own?.deciding.intent.schedule.attemptLimit ?? shared.attemptLimit;
  const isKept = standingOf(record, attemptLimit) === "done";
  return { id, revision, attemptLimit, isKept, own };
}

/** The uninstall of what something else takes the place of; an order for it serves as well. */
function takeOff(
  old: PlanPackage,
  { deciding, from }: Omit<Need, "isOnlyKept">,
  desk: Desk,
): string {
  const ordered = desk.byKey.get(operationKey("uninstall", old))?.job;
  const { id, revision } = ordered ?? sharedUninstall(old, desk);
  add(
    {
      id,
      revision,
      known: old,
      operation: "uninstall",
      deciding: ordered?.deciding ?? deciding,
      isWished: ordered !== undefined,
      isKept: false,
      attemptLimit: ordered?.deciding.intent.schedule.attemptLimit ?? ATTEMPT_LIMIT_DEFAULT,
      from,
      after: [],
    },
    desk,
  );
  return id;
}

function entryOf(job: Job, more: Pick<Entry, "from" | "isKept" | "after">): Entry {
  const { id, revision, operation, known, deciding } = job;
  const { attemptLimit } = deciding.intent.schedule;
  return { id, revision, operation, known, deciding, attemptLimit, isWished: true, ...more };
}

/** Once, at its first place; those who want it add up. */
function add(entry: Entry, { entries }: Desk): void {
  const before = entries.get(entry.id);
  if (before === undefined) {
    entries.set(entry.id, entry);
    return;
  }
  const from = [...new Set([...before.from, ...entry.from])];
  const after = [...new Set([...before.after, ...entry.after])].filter((id) => id !== entry.id);
  entries.set(entry.id, { ...before, from, after, isWished: before.isWished || entry.isWished });
}

function settle(known: PlanPackage, { intent }: Wish, { dependents }: Desk): void {
  const { uninstallsOld } = intent.schedule;
  dependents.settle({ known, uninstallsOld, from: fromText(intent) });
}

/** Ids of the installs of these packages that are handed out; what is there needs none. */
function idsOf(all: readonly PlanPackage[], desk: Desk): readonly string[] {
  return all.flatMap((known) => {
    const { id } = installing(known, desk);
    return desk.entries.has(id) ? [id] : [];
  });
}

function hold(one: Representative, state: WaitingJob["state"], reasons: Reasons, desk: Desk): void {
  const { job, from } = one;
  desk.held.push(job);
  desk.waiting.push({ ...waitingOf(job, { state, reasons }), from });
}

function replacementReasons(known: PlanPackage, fault: Fault): Reasons {
  const text = `${packageRefText(known)} comes after the uninstall of what it takes the place of.`;
  const reason: WaitReason = {
    code: "dependency",
    text,
    endsWhen: "that is uninstalled",
    sinceMs: fault.sinceMs,
  };
  return [reason, fault];
}

function waitingOf(
  job: Job,
  { state, reasons }: Pick<WaitingJob, "state"> & { readonly reasons: readonly WaitReason[] },
): WaitingJob {
  const { id, operation, known, wishes } = job;
  const ref = { name: known.name, version: known.version };
  return { ref, job: id, operation, from: sourcesOf(wishes), state, reasons };
}

function sourcesOf(wishes: readonly Wish[]): readonly string[] {
  return [...new Set(wishes.map(({ intent }) => fromText(intent)))];
}

/** What is being taken off is no longer kept up, or the endpoint would repair it at once. */
function withoutReplaced({ entries, waiting, held }: Desk): Outcome {
  const all = [...entries.values()];
  const off = new Set(
    all
      .filter(({ operation }) => operation === "uninstall")
      .map(({ known }) => packageRefText(known)),
  );
  const isReplaced = ({ isKept, known }: Entry): boolean =>
    isKept && off.has(packageRefText(known));
  const replaced = all.filter((entry) => isReplaced(entry) && entry.isWished);
  return {
    entries: all.filter((entry) => !isReplaced(entry)),
    waiting: [...waiting, ...replaced.map(replacedJob)],
    held,
  };
}

function replacedJob({ id, operation, known, from, deciding }: Entry): WaitingJob {
  const reason = satisfiedReason("It was done, and is being replaced.", deciding.intent.createdMs);
  const ref = { name: known.name, version: known.version };
  return { ref, job: id, operation, from, state: "succeeded", reasons: [reason] };
}
