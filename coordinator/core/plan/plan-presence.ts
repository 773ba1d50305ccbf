/**
 * What is on the endpoint: the installed records, corrected by a later complete scan for packages that have
 * detection rules. A scan knows better than a record (SE-15, SE-19).
 */
import type { PackageName, PackageRef, PackageVersion } from "../../../protocol/ids.ts";
import { isSameVersion } from "../../../protocol/version-order.ts";
import { isInstalled } from "./installed.ts";
import type { PlanCatalog, PlanInput, PlanInstalled } from "./plan-model.ts";

export interface PlanPresence {
  readonly has: (ref: PackageRef) => boolean;
  /** Versions that are there, as they were recorded or found. */
  readonly versionsOf: (name: PackageName) => readonly PackageRef[];
  /** Everything that is there. */
  readonly all: () => readonly PackageRef[];
  /** The record of a version, there or removed. */
  readonly recordOf: (ref: PackageRef) => PlanInstalled | undefined;
  /** Whether nothing could be there that is not known. */
  readonly isSureOf: (name: PackageName) => boolean;
}

export function planPresence({
  installed,
  scan,
  packages,
}: Pick<PlanInput, "installed" | "scan" | "packages">): PlanPresence {
  const records = Map.groupBy(installed, ({ name }) => name);
  const found = new Map<string, Set<string>>();
  for (const { name, version, source } of scan?.software ?? []) {
    if (source === "rule") found.set(name, (found.get(name) ?? new Set()).add(version));
  }
  const isFound = ({ name, version }: PackageRef): boolean =>
    found.get(name)?.has(version) === true;
  const isDisproved = (row: PlanInstalled): boolean =>
    scan?.isComplete === true &&
    scan.atMs > row.sinceMs &&
    hasDetection(packages, row) &&
    !isFound(row);
  const read = (name: PackageName): readonly PackageRef[] => {
    const rows = (records.get(name) ?? []).filter((row) => isInstalled(row) && !isDisproved(row));
    const unrecorded = [...(found.get(name) ?? [])].flatMap((version) =>
      rows.some((row) => isSameVersion(row.version, version))
        ? []
        : packages.versions(name).filter((known) => known.version === version),
    );
    return [...rows, ...unrecorded].map(({ version }) => ({ name, version }));
  };
  const versionsRead = new Map<PackageName, readonly PackageRef[]>();
  const versionsOf = (name: PackageName): readonly PackageRef[] => {
    const versions = versionsRead.get(name) ?? read(name);
    versionsRead.set(name, versions);
    return versions;
  };
  let all: readonly PackageRef[] | undefined;
  return {
    versionsOf,
    all: () => (all ??= [...records.keys()].flatMap(versionsOf)),
    has: ({ name, version }) =>
      versionsOf(name).some((other) => isSameVersion(other.version, version)),
    recordOf: ({ name, version }) =>
      records.get(name)?.find((row) => row.version === version) ??
      sameVersionRow(records.get(name), version),
    isSureOf: (name) =>
      scan?.isComplete === true ||
      packages.versions(name).every((known) => known.rules.detection === undefined),
  };
}

function sameVersionRow(
  rows: readonly PlanInstalled[] | undefined,
  version: PackageVersion,
): PlanInstalled | undefined {
  return rows?.find((row) => isSameVersion(row.version, version));
}

function hasDetection(packages: PlanCatalog, ref: PackageRef): boolean {
  return packages.get(ref)?.rules.detection !== undefined;
}
