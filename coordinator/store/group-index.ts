/**
 * What is wished of the members of each endpoint group, made again only when some wish changed and never
 * by endpoint: a change to a group of a million endpoints costs the same as one to a group of two.
 */
import type { Intent } from "../core/plan/plan-model.ts";
import type { EndpointGroupRecord, RolloutRecord, WindowRecord } from "./intent-records.ts";
import type { Records } from "./records.ts";
import { TABLES, type DeploymentRecord, type Table } from "./tables.ts";
import { assignmentWishes, deploymentWish, ruleWishes } from "./wishes.ts";

export interface GroupWishes {
  /** Changes with everything below. */
  readonly revision: string;
  readonly intents: readonly Intent[];
  readonly rollouts: readonly RolloutRecord[];
  readonly windows: readonly WindowRecord[];
}

export interface GroupIndex {
  /** Groups with a query, in the order of creation. */
  readonly queried: readonly EndpointGroupRecord[];
  /** Changes when the queries of the groups or their tenants change. */
  readonly queriesRevision: string;
  readonly of: (group: string) => GroupWishes;
  /** Deployments by target: `all`, `site/NAME`, `endpoint/ID`. */
  readonly deployedTo: (target: string) => Pick<GroupWishes, "revision" | "intents">;
}

const SOURCES: readonly Table<unknown>[] = [
  TABLES.endpointGroups,
  TABLES.packageGroups,
  TABLES.assignments,
  TABLES.rules,
  TABLES.rollouts,
  TABLES.windows,
  TABLES.deployments,
];

/** A number for every record object: equal numbers, equal content. Records are never changed in place. */
export type Identify = (record: object | undefined) => number;

export function recordNumbers(): Identify {
  const numbers = new WeakMap<object, number>();
  let last = 0;
  return (record) => {
    if (record === undefined) return 0;
    const known = numbers.get(record) ?? ++last;
    numbers.set(record, known);
    return known;
  };
}

/** The index in force; the same object while none of its sources changed. */
export function groupIndexFinder(
  records: Records,
  zone: string,
  identify: Identify,
): () => GroupIndex {
  let known: { readonly revisions: string; readonly index: GroupIndex } | undefined;
  return () => {
    const revisions = SOURCES.map((table) => records.revision(table)).join(" ");
    if (known?.revisions !== revisions) {
      known = { revisions, index: makeIndex(records, zone, identify) };
    }
    return known.index;
  };
}

function makeIndex(records: Records, zone: string, identify: Identify): GroupIndex {
  const assignments = byGroup(records.all(TABLES.assignments));
  const rules = byGroup(records.all(TABLES.rules));
  const rollouts = byGroup(records.all(TABLES.rollouts));
  const windows = byGroup(records.all(TABLES.windows));
  const deployments = Map.groupBy(records.all(TABLES.deployments), targetKey);
  const queried = records
    .all(TABLES.endpointGroups)
    .filter(({ query }) => query !== undefined)
    .toSorted((one, other) => one.order - other.order);
  const packageGroup = (name: string) => records.get(TABLES.packageGroups, name);

  function wishesOf(group: string): GroupWishes {
    const own = {
      assignments: assignments.get(group) ?? [],
      rules: rules.get(group) ?? [],
      rollouts: rollouts.get(group) ?? [],
      windows: windows.get(group) ?? [],
    };
    const linked = [...own.assignments, ...own.rules, ...own.rollouts];
    const sources = [...linked, ...linked.map((one) => packageGroup(one.packageGroup))];
    return {
      revision: [...sources, ...own.windows].map(identify).join(","),
      intents: [
        ...own.assignments.flatMap((one) => {
          const packages = packageGroup(one.packageGroup);
          return packages === undefined ? [] : assignmentWishes(one, packages, zone);
        }),
        ...own.rules.flatMap((one) => {
          const packages = packageGroup(one.packageGroup);
          return packages === undefined ? [] : ruleWishes(one, packages, zone);
        }),
      ],
      rollouts: own.rollouts,
      windows: own.windows,
    };
  }

  return {
    queried,
    queriesRevision: queried.map(identify).join(","),
    of: remembered(wishesOf),
    deployedTo: remembered((target: string) => {
      const own = deployments.get(target) ?? [];
      const intents = own.map((one) => deploymentWish(one, zone));
      return { revision: own.map(identify).join(","), intents };
    }),
  };
}

function byGroup<T extends { readonly endpointGroup: string; readonly order: number }>(
  all: readonly T[],
): ReadonlyMap<string, readonly T[]> {
  const sorted = all.toSorted((one, other) => one.order - other.order);
  return Map.groupBy(sorted, ({ endpointGroup }) => endpointGroup);
}

function targetKey({ target, endpoint }: DeploymentRecord): string {
  if (target.kind === "all") return "all";
  return target.kind === "site" ? `site/${target.name}` : `endpoint/${endpoint}`;
}

function remembered<T>(make: (key: string) => T): (key: string) => T {
  const known = new Map<string, T>();
  return (key) => {
    const found = known.get(key) ?? make(key);
    known.set(key, found);
    return found;
  };
}
