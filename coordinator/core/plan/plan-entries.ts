/**
 * From jobs to what is handed out, in order: dependents and old versions' uninstalls before what needs them,
 * each once (ZEN-10, ZEN-14, OCO-41); for the rest the reasons.
 */
import { packageRefText } from "../../../protocol/ids.ts";
import type { Fault } from "./dependencies.ts";
import { removes } from "./loops.ts";
import { dependentsOf } from "./plan-dependents.ts";
import type { Draft } from "./plan-drafts.ts";
import { dependencyReasons } from "./plan-faults.ts";
import { fromText, shortHash } from "./plan-identity.ts";
import type { PlanCatalog, PlanInput, PlanPackage, WaitingJob, WaitReason } from "./plan-model.ts";
import {
  add,
  idsOf,
  launchDependent,
  launchFault,
  needed,
  settle,
  takeOff,
  type Desk,
  type Entry,
  type Representative,
} from "./plan-needs.ts";
import type { PlanPresence } from "./plan-presence.ts";
import type { Settled } from "./plan-shelf.ts";
import { satisfiedReason, type Job, type Reasons } from "./plan-verdicts.ts";
import { compareWishes, type Wish } from "./plan-wishes.ts";

export interface Outcome {
  readonly entries: readonly Entry[];
  readonly waiting: readonly WaitingJob[];
  /** Jobs of level 0 that were to be handed out and are held. */
  readonly held: readonly Job[];
}

/** `begun`: wishes in force; `free`: those of them that nothing excludes. */
export function entriesOf(
  jobs: readonly Job[],
  wishes: { readonly begun: readonly Wish[]; readonly free: readonly Wish[] },
  grounds: {
    readonly input: PlanInput;
    readonly presence: PlanPresence;
    readonly drafts: readonly Draft[];
  },
): Outcome {
  const waiting: WaitingJob[] = [];
  const groups = [...Map.groupBy(jobs, ({ key }) => key).values()];
  const representatives = groups
    .flatMap((group) => representativeOf(group, waiting))
    .toSorted((one, other) => compareWishes(one.job.deciding, other.job.deciding));
  const desk: Desk = {
    input: grounds.input,
    presence: grounds.presence,
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
  const { known, deciding, operation, verdict } = job;
  if (!job.isKeptUp || operation !== "install") return;
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
  const { known, deciding, isKeptUp } = job;
  const { below, problem, direct } = desk.dependents.closureOf(known);
  const due = { deciding, from, isOnlyKept: !isKeptUp || problem !== undefined };
  for (const dependent of below) needed(dependent, due, desk);
  if (problem !== undefined && isKeptUp) {
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
  if (isKeptUp) settle(known, deciding, desk);
  add(entryOf(job, { from, isKept: true, after: idsOf(direct, desk) }), desk);
}

function install(one: Representative, desk: Desk): void {
  const { job, from } = one;
  const { known, deciding } = job;
  const { dependents } = desk;
  const { uninstallsOld } = deciding.intent.schedule;
  const excluder = dependents.excluderOf(known, uninstallsOld);
  if (excluder !== undefined) return hold(one, "waiting", exclusionReasons(job, excluder), desk);
  const conflict = dependents.conflictOf(known);
  if (conflict !== undefined) return hold(one, "conflict", [conflict], desk);
  const { below, direct, problem } = dependents.closureOf(known);
  if (problem !== undefined) return hold(one, "waiting", dependencyReasons(known, problem), desk);
  const replaced = dependents.replacedBy(known, uninstallsOld);
  const stuck = dependents.replacementFaultOf(known, uninstallsOld);
  if (stuck !== undefined) return hold(one, "waiting", replacementReasons(known, stuck), desk);
  for (const dependent of below) needed(dependent, { deciding, from, isOnlyKept: false }, desk);
  settle(known, deciding, desk);
  const before = replaced.map((old) => takeOff(old, { deciding, from }, desk));
  add(entryOf(job, { from, isKept: false, after: [...before, ...idsOf(direct, desk)] }), desk);
}

function uninstall(one: Representative, desk: Desk): void {
  const { job, from } = one;
  const { known, deciding } = job;
  const needer = desk.dependents.wanterOf(known);
  if (needer !== undefined) {
    const text = `${needer.from} needs ${packageRefText(known)} to be there.`;
    const endsWhen = "one of the wishes is withdrawn or changed";
    const sinceMs = deciding.intent.createdMs;
    return hold(one, "waiting", [{ code: "loop", text, endsWhen, sinceMs }], desk);
  }
  const { problem } = desk.dependents.uninstallOf(known);
  if (problem !== undefined) return hold(one, "waiting", dependencyReasons(known, problem), desk);
  takeOff(known, { deciding, from }, desk);
}

/** ZEN-13, ZEN-19: everything below is there first, and launched before. */
function launch(one: Representative, desk: Desk): void {
  const { job, from } = one;
  const { known, deciding } = job;
  const { below, problem } = desk.dependents.closureOf(known);
  if (problem !== undefined) return hold(one, "waiting", dependencyReasons(known, problem), desk);
  const isThere = desk.presence.has(known);
  const excluder = isThere ? undefined : desk.dependents.excluderOf(known, true);
  if (excluder !== undefined) return hold(one, "waiting", exclusionReasons(job, excluder), desk);
  const fault = isThere ? undefined : desk.dependents.faultOf(known);
  const conflict = fault === undefined ? undefined : desk.dependents.conflictOf(known);
  if (conflict !== undefined) return hold(one, "conflict", [conflict], desk);
  if (fault !== undefined) return hold(one, "waiting", launchReasons(known, fault), desk);
  const launched = below.filter(({ rules }) => rules.onLaunch !== undefined);
  for (const each of launched) {
    const failed = launchFault(each, deciding, desk);
    if (failed === undefined) continue;
    const path = { path: [known.name, each.name], fault: failed };
    return hold(one, "waiting", dependencyReasons(known, path), desk);
  }
  const all = [...below, known];
  for (const each of all) needed(each, { deciding, from, isOnlyKept: false }, desk);
  const installs = idsOf(all, desk);
  const launches = launched.map((each) =>
    launchDependent(each, { deciding, from, after: installs }, desk),
  );
  add(entryOf(job, { from, isKept: false, after: [...installs, ...launches] }), desk);
}

function entryOf(job: Job, more: Pick<Entry, "from" | "isKept" | "after">): Entry {
  const { id, revision, operation, known, deciding } = job;
  const { attemptLimit } = deciding.intent.schedule;
  return { id, revision, operation, known, deciding, attemptLimit, isWished: true, ...more };
}

function hold(one: Representative, state: WaitingJob["state"], reasons: Reasons, desk: Desk): void {
  const { job, from } = one;
  desk.held.push(job);
  desk.waiting.push({ ...waitingOf(job, { state, reasons }), from });
}

function exclusionReasons({ known, deciding }: Job, excluder: Settled): Reasons {
  const other = `${packageRefText(excluder.known)} of ${excluder.from}`;
  const text = `${packageRefText(known)} and ${other} exclude each other.`;
  const endsWhen = "one of the wishes is withdrawn or changed";
  return [{ code: "loop", text, endsWhen, sinceMs: deciding.intent.createdMs }];
}

function launchReasons(known: PlanPackage, fault: Fault): Reasons {
  const name = packageRefText(known);
  const text = `${name} is launched when it is installed, and it cannot be.`;
  const endsWhen = `${name} is installed`;
  return [{ code: "dependency", text, endsWhen, sinceMs: fault.sinceMs }, fault];
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

/** What something takes the place of is no longer kept up, or the endpoint would repair it at once. */
function withoutReplaced({ entries, waiting, held, input }: Desk): Outcome {
  const all = [...entries.values()];
  const done = all.filter(({ isKept }) => isKept);
  const acting = all.filter(({ isKept }) => !isKept);
  const off = new Set(
    done.filter(({ known }) => acting.some((one) => takesOff(one, known, input.packages))),
  );
  return {
    entries: all.filter((entry) => !off.has(entry)),
    waiting: [...waiting, ...[...off].filter(({ isWished }) => isWished).map(replacedJob)],
    held,
  };
}

function takesOff(
  { operation, known, deciding, isWished }: Entry,
  kept: PlanPackage,
  packages: PlanCatalog,
): boolean {
  if (operation === "uninstall") return packageRefText(known) === packageRefText(kept);
  const uninstallsOld = !isWished || deciding.intent.schedule.uninstallsOld;
  return operation === "install" && removes(known, kept, packages, uninstallsOld);
}

function replacedJob({ id, operation, known, from, deciding }: Entry): WaitingJob {
  const reason = satisfiedReason("It was done, and is being replaced.", deciding.intent.createdMs);
  const ref = { name: known.name, version: known.version };
  return { ref, job: id, operation, from, state: "succeeded", reasons: [reason] };
}
