/**
 * Which version of a dependent is taken: one that nothing takes off again, that everything wished agrees on
 * where there is such a one, and the newest of these.
 */
import { packageRefText, type PackageName } from "../../../protocol/ids.ts";
import {
  inVersionRange,
  parseVersionRange,
  type VersionRange,
} from "../../../protocol/version-order.ts";
import { fitting, noVersionFault, type DependencyChoice, type Fault } from "./dependencies.ts";
import { besideFault, unwantedFault } from "./plan-faults.ts";
import type { PlanCatalog, PlanPackage } from "./plan-model.ts";
import type { Shelf } from "./plan-shelf.ts";
import type { Wish } from "./plan-wishes.ts";

export function versionChooser(
  { begun, free }: { readonly begun: readonly Wish[]; readonly free: readonly Wish[] },
  {
    packages,
    excluderOf,
  }: { readonly packages: PlanCatalog; readonly excluderOf: Shelf["excluderOf"] },
): DependencyChoice["choose"] {
  const ranges = rangesFinder(free, packages);
  const absent = begun.filter(({ operation, isStatic }) => operation === "uninstall" && !isStatic);
  const ordered = new Set(
    free.flatMap(({ known, isStatic, operation }) =>
      isStatic && operation === "install" && known !== undefined ? [known] : [],
    ),
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

function excludedFault(known: PlanPackage, excluderOf: Shelf["excluderOf"]): Fault {
  const by = excluderOf(known, true);
  const other = by === undefined ? "another package" : `${packageRefText(by.known)} of ${by.from}`;
  return besideFault(known, other);
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
