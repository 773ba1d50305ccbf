/**
 * Which version of a dependent is taken on this endpoint, and whether it can be installed: never one that a
 * wish, or a package chosen before, would take off again.
 */
import { packageRefText, type PackageName } from "../../../protocol/ids.ts";
import { ATTEMPT_LIMIT_DEFAULT } from "../../../protocol/limits.ts";
import {
  inVersionRange,
  parseVersionRange,
  type VersionRange,
} from "../../../protocol/version-order.ts";
import {
  closureFinder,
  fitting,
  noVersionFault,
  type Closure,
  type DependencyChoice,
  type Fault,
  type FindClosure,
} from "./dependencies.ts";
import { isSuperseded, removes } from "./loops.ts";
import {
  sharedDrafts,
  sharedInstall,
  sharedUninstall,
  standingOf,
  type Draft,
  type Identity,
} from "./plan-drafts.ts";
import { fromText } from "./plan-identity.ts";
import type { PlanCatalog, PlanInput, PlanPackage, WaitReason } from "./plan-model.ts";
import type { PlanPresence } from "./plan-presence.ts";
import { unmetRequirement } from "./plan-requirements.ts";
import { exhaustedReason } from "./plan-verdicts.ts";
import type { Wish } from "./plan-wishes.ts";

/** A package that is to be there in the end. */
export interface Settled {
  readonly known: PlanPackage;
  readonly uninstallsOld: boolean;
  /** Who wants it. */
  readonly from: string;
}

export interface Dependents {
  readonly closureOf: FindClosure;
  /** What was decided to be there. */
  readonly settle: (settled: Settled) => void;
  /** What will be decided for a state that is kept up: an order that runs once cannot undo it. */
  readonly foresee: (settled: Settled) => void;
  /** What and this package cannot both be there in the end. */
  readonly excluderOf: (known: PlanPackage, uninstallsOld: boolean) => Settled | undefined;
  readonly conflictOf: (known: PlanPackage) => Fault | undefined;
  /** Versions and packages whose place this one takes, and that can be uninstalled. */
  readonly replacedBy: (known: PlanPackage, uninstallsOld: boolean) => readonly PlanPackage[];
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
  const shelf = openShelf(input.packages, wishes.free.flatMap(settledWish));
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
  const findClosure = closureFinder({
    choose: versionChooser(wishes, { packages: input.packages, excluderOf }),
    faultOf: (dependent) => {
      const isThere = presence.has(dependent);
      const installing = installOf(dependent);
      if (isThere || standingOf(installing.record, installing.attemptLimit) === "done") {
        return undefined;
      }
      return (
        installFault(dependent, installing, input) ??
        conflictOf(dependent) ??
        replacementFault(replacedBy(dependent, true), grounds)
      );
    },
  });
  return {
    closureOf: (known, sets) => consistent(known, findClosure(known, sets), input.packages),
    excluderOf,
    conflictOf,
    replacedBy,
    installOf,
    foresee: shelf.add,
    settle: (one) => {
      shelf.add(one);
      const key = packageRefText(one.known);
      if (!settled.has(key)) settled.set(key, one);
    },
  };
}

/** What is to be there, by name: only versions of one name, and what supersedes, can exclude each other. */
function openShelf(
  packages: PlanCatalog,
  wished: readonly Settled[],
): {
  readonly add: (one: Settled) => void;
  readonly excluderOf: Dependents["excluderOf"];
} {
  const seen = new Set<string>();
  const byName = new Map<PackageName, Settled[]>();
  const all: Settled[] = [];
  const successors: Settled[] = [];
  const add = (one: Settled): void => {
    const key = packageRefText(one.known);
    if (seen.has(key)) return;
    seen.add(key);
    all.push(one);
    const family = byName.get(one.known.name) ?? [];
    family.push(one);
    byName.set(one.known.name, family);
    if (one.known.rules.supersedes !== undefined) successors.push(one);
  };
  for (const one of wished) add(one);
  return {
    add,
    excluderOf: (known, uninstallsOld) => {
      const others = known.rules.supersedes === undefined ? successors : all;
      const isExclusive = (other: Settled): boolean =>
        areExclusive({ known, uninstallsOld }, other, packages);
      return byName.get(known.name)?.find(isExclusive) ?? others.find(isExclusive);
    },
  };
}

/** An old version that cannot be taken off blocks what takes its place. */
export function replacementFault(
  replaced: readonly PlanPackage[],
  grounds: Omit<Grounds, "drafts">,
): Fault | undefined {
  for (const old of replaced) {
    const { record } = sharedUninstall(old, grounds);
    if (record === undefined || standingOf(record, ATTEMPT_LIMIT_DEFAULT) !== "exhausted") continue;
    const reason = exhaustedReason(record.attempt, record.atMs);
    return { ...reason, text: `${packageRefText(old)} cannot be uninstalled: ${reason.text}` };
  }
  return undefined;
}

/** Only what is kept up: what runs once has no say in what comes after it. */
function settledWish({ known, isStatic, operation, intent }: Wish): readonly Settled[] {
  if (known === undefined || isStatic || operation === "uninstall") return [];
  return [{ known, uninstallsOld: intent.schedule.uninstallsOld, from: fromText(intent) }];
}

function areExclusive(
  one: Omit<Settled, "from">,
  other: Omit<Settled, "from">,
  packages: PlanCatalog,
): boolean {
  if (one.known === other.known) return false;
  return (
    removes(one.known, other.known, packages, one.uninstallsOld) ||
    removes(other.known, one.known, packages, other.uninstallsOld)
  );
}

/** What a package needs must be able to be there all together, and beside the package. */
function consistent(known: PlanPackage, closure: Closure, packages: PlanCatalog): Closure {
  if (closure.problem !== undefined) return closure;
  const all = [...closure.below, known];
  for (const [at, one] of all.entries()) {
    const others = all.slice(at + 1);
    const other = others.find((each) => areExclusive(always(one), always(each), packages));
    const fault =
      other === undefined
        ? conflictFault(
            one,
            others.map((each) => ({ name: each.name, known: each })),
          )
        : besideFault(one, packageRefText(other));
    if (fault !== undefined)
      return { ...closure, problem: { path: [known.name, one.name], fault } };
  }
  return closure;
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

function versionChooser(
  { begun, free }: { readonly begun: readonly Wish[]; readonly free: readonly Wish[] },
  {
    packages,
    excluderOf,
  }: { readonly packages: PlanCatalog; readonly excluderOf: Dependents["excluderOf"] },
): DependencyChoice["choose"] {
  const ranges = rangesFinder(free, packages);
  const absent = begun.filter(({ operation, isStatic }) => operation === "uninstall" && !isStatic);
  const ordered = new Set(
    free.flatMap(({ known, isStatic }) => (isStatic && known !== undefined ? [known] : [])),
  );
  return (edge, primary) => {
    const unwanted = absent.find(({ ref }) => ref.name === edge.name);
    if (unwanted !== undefined) return unwantedFault(unwanted);
    const fits = fitting(edge, packages);
    const [newest] = fits;
    if (newest === undefined) return noVersionFault(edge, primary);
    const able = fits.filter((one) => excluderOf(one, true) === undefined);
    const scheme = newest.rules.versionScheme ?? "numbers";
    const best = able.find(({ version }) =>
      ranges(edge.name).every((range) => inVersionRange(range, scheme, version)),
    );
    // An order for one version of it counts more than that a newer one is there.
    const asked = able.find((one) => ordered.has(one));
    return asked ?? best ?? able[0] ?? excludedFault(newest, excluderOf);
  };
}

function conflictFault(
  known: PlanPackage,
  others: readonly { readonly name: PackageName; readonly known: PlanPackage | undefined }[],
): Fault | undefined {
  const { conflicts = [] } = known.rules;
  const other = others.find(
    (one) =>
      one.name !== known.name &&
      (conflicts.includes(one.name) || one.known?.rules.conflicts?.includes(known.name) === true),
  );
  if (other === undefined) return undefined;
  return {
    code: "conflict",
    text: `${packageRefText(known)} and ${other.name} must not be there at the same time.`,
    endsWhen: `${other.name} is removed, and nothing wishes it any more`,
    sinceMs: known.createdMs,
  };
}

/** Why a dependent cannot be installed for itself; undefined where it can. */
function installFault(
  dependent: PlanPackage,
  { record, attemptLimit }: Installing,
  input: PlanInput,
): Fault | undefined {
  const standing = standingOf(record, attemptLimit);
  const name = packageRefText(dependent);
  if (record !== undefined && standing === "exhausted") {
    const reason = exhaustedReason(record.attempt, record.atMs);
    return { ...reason, text: `${name}: ${reason.text}` };
  }
  const unmet =
    standing === "refused"
      ? "the endpoint itself found it incompatible"
      : unmetRequirement(dependent, input);
  if (unmet === undefined) return undefined;
  return {
    code: "requirement",
    text: `${name} does not fit this endpoint: ${unmet}.`,
    endsWhen: "the endpoint meets the requirement",
    sinceMs: dependent.createdMs,
  };
}

function unwantedFault({ intent, ref }: Wish): Fault {
  const text = `${fromText(intent)} wants ${ref.name} gone.`;
  const endsWhen = "one of the wishes is withdrawn or changed";
  return { code: "loop", text, endsWhen, sinceMs: intent.createdMs };
}

function excludedFault(known: PlanPackage, excluderOf: Dependents["excluderOf"]): Fault {
  const by = excluderOf(known, true);
  const other = by === undefined ? "another package" : `${packageRefText(by.known)} of ${by.from}`;
  return besideFault(known, other);
}

function besideFault(known: PlanPackage, other: string): Fault {
  return {
    code: "conflict",
    text: `${packageRefText(known)} cannot be there beside ${other}.`,
    endsWhen: "one of the wishes is withdrawn or changed",
    sinceMs: known.createdMs,
  };
}

/** All ranges that anything wished puts on a package, over all levels. */
function rangesFinder(
  free: readonly Wish[],
  packages: PlanCatalog,
): (name: PackageName) => readonly VersionRange[] {
  let found: Map<PackageName, VersionRange[]> | undefined;
  return (name) => {
    found ??= collectRanges(free, packages);
    return found.get(name) ?? [];
  };
}

function collectRanges(
  free: readonly Wish[],
  packages: PlanCatalog,
): Map<PackageName, VersionRange[]> {
  const found = new Map<PackageName, VersionRange[]>();
  const seen = new Set<string>();
  const open = free.flatMap(({ known, operation }) =>
    known === undefined || operation === "uninstall" ? [] : [known],
  );
  for (let one = open.pop(); one !== undefined; one = open.pop()) {
    const key = packageRefText(one);
    if (seen.has(key)) continue;
    seen.add(key);
    for (const edge of one.rules.dependencies ?? []) {
      const ranges = found.get(edge.name) ?? [];
      if (edge.versions !== undefined) ranges.push(parseVersionRange(edge.versions));
      found.set(edge.name, ranges);
      const [newest] = fitting(edge, packages);
      if (newest !== undefined) open.push(newest);
    }
  }
  return found;
}

/** The chain of reasons for a primary whose dependents cannot be there (ZEN-9, ZEN-15). */
export function dependencyReasons(
  known: PlanPackage,
  problem: { readonly path: readonly PackageName[]; readonly fault: Fault },
): readonly [WaitReason, WaitReason] {
  const { path, fault } = problem;
  const last = path.at(-1) ?? known.name;
  return [
    {
      code: "dependency",
      text: `${packageRefText(known)} needs ${last} (${path.join(">")}), which cannot be there.`,
      endsWhen: `${last} is installed`,
      sinceMs: fault.sinceMs,
    },
    fault,
  ];
}
