/**
 * The packages as the planner looks them up, by name and newest first, with a number for each name that
 * changes with anything about it: plans that never looked at a name stay valid when it changes.
 */
import type { PlanCatalog, PlanPackage } from "../core/plan/plan-model.ts";
import { packageRefText, type PackageName } from "../../protocol/ids.ts";
import { compareVersions } from "../../protocol/version-order.ts";
import { planPackage } from "./plan-catalog.ts";
import type { Records } from "./records.ts";
import { TABLES, type PackageRecord } from "./tables.ts";

export interface PackageIndex extends PlanCatalog {
  /** 0 while there is no such package. */
  readonly revisionOf: (name: PackageName) => number;
}

interface Family {
  readonly records: readonly PackageRecord[];
  readonly versions: readonly PlanPackage[];
  readonly revision: number;
}

/** The index in force; brought up to date when a package was published, activated or removed. */
export function packageIndexFinder(): (records: Records) => PackageIndex {
  let families = new Map<PackageName, Family>();
  let byRef = new Map<string, PlanPackage>();
  let revision: number | undefined;
  let count = 0;

  function refresh(records: Records): void {
    const groups = Map.groupBy(records.all(TABLES.packages), ({ name }) => name);
    const next = new Map<PackageName, Family>();
    for (const [name, group] of groups) {
      const before = families.get(name);
      const isSame = before !== undefined && isSameList(before.records, group);
      next.set(name, isSame ? before : familyOf(group, ++count));
    }
    families = next;
    byRef = new Map(
      [...next.values()].flatMap(({ versions }) =>
        versions.map((one) => [packageRefText(one), one] as const),
      ),
    );
  }

  const index: PackageIndex = {
    get: (ref) => byRef.get(packageRefText(ref)),
    versions: (name) => families.get(name)?.versions ?? [],
    revisionOf: (name) => families.get(name)?.revision ?? 0,
  };
  return (records) => {
    const now = records.revision(TABLES.packages);
    if (revision !== now) refresh(records);
    revision = now;
    return index;
  };
}

/** Records are never changed in place. */
function isSameList(one: readonly PackageRecord[], other: readonly PackageRecord[]): boolean {
  return one.length === other.length && one.every((record, at) => record === other[at]);
}

function familyOf(records: readonly PackageRecord[], revision: number): Family {
  const versions = records.map(planPackage).toSorted(newestFirst);
  return { records, versions, revision };
}

function newestFirst(one: PlanPackage, other: PlanPackage): number {
  return compareVersions(one.rules.versionScheme ?? "numbers", other.version, one.version);
}
