/**
 * What is to be there in the end, as it is decided package by package, and what cannot be there beside it:
 * versions that take each other's place, and successors.
 */
import { packageRefText, type PackageName } from "../../../protocol/ids.ts";
import { isSameVersion } from "../../../protocol/version-order.ts";
import { removes } from "./loops.ts";
import { fromText } from "./plan-identity.ts";
import type { PlanCatalog, PlanPackage } from "./plan-model.ts";
import { compareWishes, type Wish } from "./plan-wishes.ts";

/** A package that is to be there in the end. */
export interface Settled {
  readonly known: PlanPackage;
  readonly uninstallsOld: boolean;
  /** Who wants it. */
  readonly from: string;
}

export interface Shelf {
  readonly add: (one: Settled) => void;
  /** What and this package cannot both be there in the end. */
  readonly excluderOf: (known: PlanPackage, uninstallsOld: boolean) => Settled | undefined;
  /** Who wants this version to be there. */
  readonly wanterOf: (known: PlanPackage) => Settled | undefined;
}

/** By name: only versions of one name, and what supersedes, can exclude each other. */
export function openShelf(packages: PlanCatalog, wished: readonly Settled[]): Shelf {
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
    wanterOf: ({ name, version }) =>
      byName.get(name)?.find((one) => isSameVersion(one.known.version, version)),
    excluderOf: (known, uninstallsOld) => {
      const others = known.rules.supersedes === undefined ? successors : all;
      const isExclusive = (other: Settled): boolean =>
        areExclusive({ known, uninstallsOld }, other, packages);
      return byName.get(known.name)?.find(isExclusive) ?? others.find(isExclusive);
    },
  };
}

/**
 * Only what is kept up: what runs once has no say in what comes after it. Of several wishes for one version
 * each decides in its hours, so an older one cannot stay where any of them takes it off.
 */
export function settledWishes(wishes: readonly Wish[]): readonly Settled[] {
  const found = new Map<PlanPackage, Settled>();
  for (const { known, isStatic, operation, intent } of wishes.toSorted(compareWishes)) {
    if (known === undefined || isStatic || operation === "uninstall") continue;
    const before = found.get(known);
    const { uninstallsOld } = intent.schedule;
    found.set(known, {
      known,
      uninstallsOld: uninstallsOld || before?.uninstallsOld === true,
      from: before?.from ?? fromText(intent),
    });
  }
  return [...found.values()];
}

export function areExclusive(
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
