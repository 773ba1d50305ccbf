/**
 * Which version of a dependent is taken on this endpoint, and whether it can be installed: never one that a
 * wish, or a package chosen before, would take off again.
 */
import { packageRefText } from "../../../protocol/ids.ts";
import { ATTEMPT_LIMIT_DEFAULT } from "../../../protocol/limits.ts";
import {
  closureFinder,
  type Closure,
  type DependencyChoice,
  type Fault,
  type FindClosure,
  type FindUninstall,
} from "./dependencies.ts";
import { isSuperseded } from "./loops.ts";
import {
  sharedDrafts,
  sharedInstall,
  sharedUninstall,
  standingOf,
  type Draft,
  type Identity,
} from "./plan-drafts.ts";
import { besideFault, conflictFault, installFault, uninstallFault } from "./plan-faults.ts";
import type { PlanCatalog, PlanInput, PlanPackage } from "./plan-model.ts";
import type { PlanPresence } from "./plan-presence.ts";
import { areExclusive, openShelf, settledWishes, type Settled, type Shelf } from "./plan-shelf.ts";
import { versionChooser } from "./version-choice.ts";
import type { Wish } from "./plan-wishes.ts";

export interface Dependents {
  readonly closureOf: FindClosure;
  /** What was decided to be there. */
  readonly settle: (settled: Settled) => void;
  /** What will be decided for a state that is kept up: an order that runs once cannot undo it. */
  readonly foresee: (settled: Settled) => void;
  /** What and this package cannot both be there in the end. */
  readonly excluderOf: Shelf["excluderOf"];
  readonly wanterOf: Shelf["wanterOf"];
  readonly conflictOf: (known: PlanPackage) => Fault | undefined;
  /** Why it cannot be installed for the sake of something else. */
  readonly faultOf: (known: PlanPackage) => Fault | undefined;
  /** Versions and packages whose place this one takes, and that can be uninstalled. */
  readonly replacedBy: (known: PlanPackage, uninstallsOld: boolean) => readonly PlanPackage[];
  /** Why one of these cannot be taken off before this one. */
  readonly replacementFaultOf: (known: PlanPackage, uninstallsOld: boolean) => Fault | undefined;
  /** What has to be there to uninstall it. */
  readonly uninstallOf: (old: PlanPackage) => Closure;
  /** The job that installs it, for whoever needs it. */
  readonly installOf: (known: PlanPackage) => Installing;
}

export interface Installing extends Identity {
  readonly attemptLimit: number;
}

interface Grounds {
  readonly input: PlanInput;
  readonly presence: PlanPresence;
  readonly drafts: readonly Draft[];
}

/** `begun`: wishes in force; `free`: those of them that nothing excludes. */
export function dependentsOf(
  wishes: { readonly begun: readonly Wish[]; readonly free: readonly Wish[] },
  grounds: Grounds,
): Dependents {
  const { input, presence } = grounds;
  const shelf = openShelf(input.packages, settledWishes(wishes.free));
  const settled = new Map<string, Settled>();
  const installOf = installFinder(grounds);
  const replacedBy: Dependents["replacedBy"] = (known, uninstallsOld) =>
    replacedPackages(known, uninstallsOld, grounds);
  const { excluderOf } = shelf;
  const conflictOf: Dependents["conflictOf"] = (known) => {
    const replaced = new Set(replacedBy(known, true).map(packageRefText));
    const there = presence.all().filter((ref) => !replaced.has(packageRefText(ref)));
    return conflictFault(known, [
      ...there.map((ref) => ({ name: ref.name, known: input.packages.get(ref) })),
      ...[...settled.values()].map((one) => ({ name: one.known.name, known: one.known })),
    ]);
  };
  const faultOf: DependencyChoice["faultOf"] = (dependent, below, uninstallOf) => {
    if (presence.has(dependent)) return undefined;
    const installing = installOf(dependent);
    const isDone = standingOf(installing.record, installing.attemptLimit) === "done";
    const replacing = { known: dependent, replaced: replacedBy(dependent, true), below };
    return (
      (isDone
        ? undefined
        : (installFault(dependent, installing, input) ?? conflictOf(dependent))) ??
      replacementFault(replacing, uninstallOf, grounds)
    );
  };
  const choose = versionChooser(wishes, { packages: input.packages, excluderOf });
  const { closureOf, uninstallOf } = closureFinder({ choose, faultOf });
  const coherent = coherenceFinder(uninstallOf, grounds);
  const before = (known: PlanPackage): readonly PlanPackage[] =>
    withUninstalls(closureOf(known).below, uninstallOf, grounds);
  return {
    closureOf: (known, sets) => coherent(known, closureOf(known, sets)),
    excluderOf,
    wanterOf: shelf.wanterOf,
    conflictOf,
    faultOf: (known) => faultOf(known, before(known), uninstallOf),
    replacedBy,
    replacementFaultOf: (known, uninstallsOld) => {
      const replaced = replacedBy(known, uninstallsOld);
      if (replaced.length === 0) return undefined;
      return replacementFault({ known, replaced, below: before(known) }, uninstallOf, grounds);
    },
    uninstallOf: (old) => coherent(old, uninstallOf(old)),
    installOf,
    foresee: shelf.add,
    settle: (one) => {
      shelf.add(one);
      const key = packageRefText(one.known);
      if (!settled.has(key)) settled.set(key, one);
    },
  };
}

/** Whether a closure can be there; remembers what it has judged. */
function coherenceFinder(
  uninstallOf: FindUninstall,
  grounds: Grounds,
): (known: PlanPackage, closure: Closure) => Closure {
  const judged = new Map<Closure, Closure>();
  return (known, closure) => {
    const last = judged.get(closure);
    if (last !== undefined) return last;
    const coming = withUninstalls(closure.below, uninstallOf, grounds);
    const made = consistent(known, { ...closure, coming }, grounds.input.packages);
    judged.set(closure, made);
    return made;
  };
}

/**
 * An old version that cannot be taken off blocks what takes its place. So does an uninstall that needs what
 * cannot be there beside the package or what that needs: it would be installed and taken off in turns.
 */
function replacementFault(
  {
    known,
    replaced,
    below,
  }: {
    readonly known: PlanPackage;
    readonly replaced: readonly PlanPackage[];
    /** What is there before the package. */
    readonly below: readonly PlanPackage[];
  },
  uninstallOf: FindUninstall,
  grounds: Grounds,
): Fault | undefined {
  const { packages } = grounds.input;
  const there = [known, ...below];
  for (const old of replaced) {
    const closure = uninstallOf(old);
    const coming = withUninstalls(closure.below, uninstallOf, grounds);
    const { record } = sharedUninstall(old, grounds);
    const unable = uninstallFault(old, record, consistent(old, { ...closure, coming }, packages));
    if (unable !== undefined) return unable;
    for (const one of there) {
      const fault = clashFault(one, coming, packages);
      if (fault !== undefined) return fault;
    }
    there.push(...coming);
  }
  return undefined;
}

/** All of these, and what the uninstalls of what they take the place of need in their turn. */
function withUninstalls(
  all: readonly PlanPackage[],
  uninstallOf: FindUninstall,
  grounds: Grounds,
): readonly PlanPackage[] {
  const found = new Set(all);
  // A set goes through what is added on the way, too.
  for (const one of found) {
    if (grounds.presence.has(one)) continue;
    for (const old of replacedPackages(one, true, grounds)) {
      for (const needed of uninstallOf(old).below) found.add(needed);
    }
  }
  return [...found];
}

/** What a package needs must be able to be there all together, and beside the package. */
function consistent(
  known: PlanPackage,
  { coming, ...closure }: Closure & { readonly coming: readonly PlanPackage[] },
  packages: PlanCatalog,
): Closure {
  if (closure.problem !== undefined) return closure;
  const all = [...coming, known];
  for (const [at, one] of all.entries()) {
    const fault = clashFault(one, all.slice(at + 1), packages);
    if (fault !== undefined)
      return { ...closure, problem: { path: [known.name, one.name], fault } };
  }
  return closure;
}

/** Why a package cannot be there beside one of the others. */
function clashFault(
  known: PlanPackage,
  others: readonly PlanPackage[],
  packages: PlanCatalog,
): Fault | undefined {
  const other = others.find((each) => areExclusive(always(known), always(each), packages));
  if (other !== undefined) return besideFault(known, packageRefText(other));
  return conflictFault(
    known,
    others.map((each) => ({ name: each.name, known: each })),
  );
}

function always(known: PlanPackage): Omit<Settled, "from"> {
  return { known, uninstallsOld: true };
}

function installFinder(grounds: Grounds): Dependents["installOf"] {
  const shared = sharedDrafts(grounds.drafts);
  const found = new Map<string, Installing>();
  return (known) => {
    const key = packageRefText(known);
    const before = found.get(key);
    if (before !== undefined) return before;
    const draft = shared.get(key);
    const limits = (draft?.wishes ?? []).map(({ intent }) => intent.schedule.attemptLimit);
    const attemptLimit = draft === undefined ? ATTEMPT_LIMIT_DEFAULT : Math.max(...limits);
    const { id, revision, record } = draft ?? sharedInstall(known, grounds);
    const installing = { id, revision, record, attemptLimit };
    found.set(key, installing);
    return installing;
  };
}

function replacedPackages(
  known: PlanPackage,
  uninstallsOld: boolean,
  { input, presence }: Grounds,
): readonly PlanPackage[] {
  const isExplicit = (known.rules.upgrade ?? "explicitUninstall") === "explicitUninstall";
  const isOld = isExplicit && uninstallsOld && !presence.has(known);
  const old = isOld ? presence.versionsOf(known.name) : [];
  const superseded =
    known.rules.supersedes === undefined
      ? []
      : presence.all().filter((ref) => isSuperseded(ref, known, input.packages));
  return [...old, ...superseded].flatMap((ref) => {
    const one = input.packages.get(ref);
    return one?.rules.uninstall === undefined ? [] : [one];
  });
}
