/**
 * Plans already made, each with what it was made from: the same inputs and the same packages give the very
 * same plan without planning, until its time is over. A bound on their number keeps a large fleet in memory;
 * a plan that was dropped is made again at the endpoint's next check-in.
 */
import type { Plan, PlanCatalog } from "../core/plan/plan-model.ts";
import type { EndpointId, PackageName, PackageRef } from "../../protocol/ids.ts";
import { packageIndexFinder, type PackageIndex } from "./package-index.ts";
import type { Records } from "./records.ts";

/** About 4 KB each for endpoints with a few packages: 200 MB. */
const PLANS_MAX_COUNT = 50_000;

export interface PlanBook {
  /** `inputs` names the revisions of everything that `make` looks at besides the packages and the time. */
  get(endpoint: EndpointId, now: PlanMoment, make: (packages: PlanCatalog) => Plan): Plan;
  packages(records: Records): PackageIndex;
  /** What the DPs of a site hold; made again when the site's inputs changed. */
  replicas(
    site: string,
    inputs: readonly [coarse: string, exact: () => string],
    make: () => readonly PackageRef[],
  ): { readonly refs: readonly PackageRef[]; readonly revision: number };
}

export interface PlanMoment {
  readonly records: Records;
  readonly inputs: string;
  readonly nowMs: number;
}

interface Made {
  readonly inputs: string;
  /** Names that it looked at, with their revisions then. */
  readonly packages: ReadonlyMap<PackageName, number>;
  readonly plan: Plan;
}

interface Replicas {
  coarse: string;
  readonly exact: string;
  readonly refs: readonly PackageRef[];
  readonly revision: number;
}

export function openPlanBook(maxCount: number = PLANS_MAX_COUNT): PlanBook {
  const plans = new Map<EndpointId, Made>();
  const sites = new Map<string, Replicas>();
  const findIndex = packageIndexFinder();
  let replicaCount = 0;

  function remember(endpoint: EndpointId, made: Made): Plan {
    // The one that was used longest ago goes first: a map keeps the order of insertion.
    plans.delete(endpoint);
    plans.set(endpoint, made);
    const [oldest] = plans.keys();
    if (plans.size > maxCount && oldest !== undefined) plans.delete(oldest);
    return made.plan;
  }

  return {
    packages: findIndex,
    get: (endpoint, { records, inputs, nowMs }, make) => {
      const index = findIndex(records);
      const last = plans.get(endpoint);
      if (last?.inputs === inputs && isCurrent(last, index, nowMs)) return remember(endpoint, last);
      const packages = new Map<PackageName, number>();
      const plan = make(watched(index, packages));
      return remember(endpoint, { inputs, packages, plan });
    },
    replicas: (site, [coarse, exact], make) => {
      const last = sites.get(site);
      if (last?.coarse === coarse) return last;
      const inputs = exact();
      if (last?.exact === inputs) {
        last.coarse = coarse;
        return last;
      }
      const made = { coarse, exact: inputs, refs: make(), revision: ++replicaCount };
      sites.set(site, made);
      return made;
    },
  };
}

function isCurrent({ plan, packages }: Made, index: PackageIndex, nowMs: number): boolean {
  if (plan.changesMs !== undefined && nowMs >= plan.changesMs) return false;
  for (const [name, revision] of packages) {
    if (index.revisionOf(name) !== revision) return false;
  }
  return true;
}

/** The same catalog, which notes what was looked at. */
function watched(index: PackageIndex, seen: Map<PackageName, number>): PlanCatalog {
  return {
    get: (ref) => {
      seen.set(ref.name, index.revisionOf(ref.name));
      return index.get(ref);
    },
    versions: (name) => {
      seen.set(name, index.revisionOf(name));
      return index.versions(name);
    },
  };
}
