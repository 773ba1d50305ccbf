/** The packages as the planner looks them up; made again only by whoever looks at other records. */
import type { PlanCatalog, PlanPackage } from "../core/plan/plan-model.ts";
import { packageRefText } from "../../protocol/ids.ts";
import { NO_RULES } from "../../protocol/package-rules.ts";
import { compareVersions } from "../../protocol/version-order.ts";
import type { Records } from "./records.ts";
import { TABLES, type PackageRecord } from "./tables.ts";

export function planCatalog(view: Pick<Records, "get" | "all">): PlanCatalog {
  const byName = Map.groupBy(view.all(TABLES.packages), ({ name }) => name);
  return {
    get: (ref) => {
      const known = view.get(TABLES.packages, packageRefText(ref));
      return known === undefined ? undefined : planPackage(known);
    },
    versions: (name) => (byName.get(name) ?? []).map(planPackage).toSorted(newestFirst),
  };
}

export function planPackage(known: PackageRecord): PlanPackage {
  const { rules = NO_RULES, name, version, manifest, isActive, level, hasContent } = known;
  const { createdMs } = known;
  return { name, version, manifest, isActive, level, hasContent, createdMs, rules };
}

function newestFirst(one: PlanPackage, other: PlanPackage): number {
  return compareVersions(one.rules.versionScheme ?? "numbers", other.version, one.version);
}
