/**
 * The dependency graph of packages: what has to be there before a package acts, dependents first and each
 * once, or why that is impossible and along which path (ZEN-6…ZEN-15).
 */
import { packageRefText, type PackageName } from "../../../protocol/ids.ts";
import type { ActionSet, Dependency } from "../../../protocol/package-rules.ts";
import { inVersionRange, parseVersionRange } from "../../../protocol/version-order.ts";
import type { PlanCatalog, PlanPackage, WaitReason } from "./plan-model.ts";

/** Why a dependent cannot be there. */
export type Fault = Pick<WaitReason, "code" | "text" | "endsWhen" | "sinceMs">;

export interface Closure {
  /** Everything below, dependents first, without the package itself. */
  readonly below: readonly PlanPackage[];
  /** The package's own dependents. */
  readonly direct: readonly PlanPackage[];
  /** Set: the package cannot act, for want of the last one of the path. */
  readonly problem: { readonly path: readonly PackageName[]; readonly fault: Fault } | undefined;
}

export interface DependencyChoice {
  /** The version that meets an edge, or why none does. */
  readonly choose: (edge: Dependency, primary: PlanPackage) => PlanPackage | Fault;
  /** Why a version that was chosen cannot be installed here, after all below it; undefined where it can. */
  readonly faultOf: (
    dependent: PlanPackage,
    below: readonly PlanPackage[],
    uninstallOf: FindUninstall,
  ) => Fault | undefined;
}

/** What an install or a launch needs: whatever anything of the package's life may need, but its end. */
export const PRESENT_SETS: ReadonlySet<ActionSet> = new Set([
  "distribute",
  "install",
  "launch",
  "verify",
]);
export const UNINSTALL_SETS: ReadonlySet<ActionSet> = new Set(["uninstall"]);

/** Everything that a package needs by the newest active versions: for replication, export and the tree. */
export function closureOf(known: PlanPackage, packages: PlanCatalog): Closure {
  return closureFinder({
    choose: (edge, primary) => newestFit(edge, primary, packages),
    faultOf: () => undefined,
  }).closureOf(known);
}

export type FindClosure = (known: PlanPackage, sets?: ReadonlySet<ActionSet>) => Closure;

/** What has to be there to uninstall what something else takes the place of. */
export type FindUninstall = (old: PlanPackage) => Closure;

/** Remembers what it has found: the same dependent below two primaries is decided once (ZEN-10). */
export function closureFinder(choice: DependencyChoice): {
  readonly closureOf: FindClosure;
  readonly uninstallOf: FindUninstall;
} {
  const found = new Map<string, Closure>();
  const open: PackageName[] = [];

  function find(known: PlanPackage, sets: ReadonlySet<ActionSet>): Closure {
    const key = `${packageRefText(known)} ${[...sets].join()}`;
    const before = found.get(key);
    if (before !== undefined) return before;
    open.push(known.name);
    const closure = walk(known, sets);
    open.pop();
    found.set(key, closure);
    return closure;
  }

  function walk(known: PlanPackage, sets: ReadonlySet<ActionSet>): Closure {
    const below = new Map<string, PlanPackage>();
    const direct = new Map<string, PlanPackage>();
    for (const edge of known.rules.dependencies ?? []) {
      if (!sets.has(edge.actionSet)) continue;
      const met = dependentOf(edge, known);
      if ("fault" in met) {
        const problem = { path: [known.name, ...met.path], fault: met.fault };
        return { below: [...below.values()], direct: [...direct.values()], problem };
      }
      for (const one of met.all) below.set(packageRefText(one), one);
      direct.set(packageRefText(met.dependent), met.dependent);
    }
    return { below: [...below.values()], direct: [...direct.values()], problem: undefined };
  }

  function dependentOf(
    edge: Dependency,
    primary: PlanPackage,
  ):
    | { readonly dependent: PlanPackage; readonly all: readonly PlanPackage[] }
    | { readonly path: readonly PackageName[]; readonly fault: Fault } {
    if (open.includes(edge.name)) {
      return { path: [edge.name], fault: cycleFault([...open, edge.name], primary) };
    }
    const chosen = choice.choose(edge, primary);
    if ("code" in chosen) return { path: [edge.name], fault: chosen };
    const { below, problem } = find(chosen, PRESENT_SETS);
    if (problem !== undefined) return problem;
    const fault = choice.faultOf(chosen, below, uninstallOf);
    if (fault !== undefined) return { path: [edge.name], fault };
    return { dependent: chosen, all: [...below, chosen] };
  }

  function uninstallOf(old: PlanPackage): Closure {
    if (!open.includes(old.name)) return find(old, UNINSTALL_SETS);
    // Its uninstall needs, at some remove, what can only be installed after it.
    const fault = cycleFault([...open, old.name], old);
    return { below: [], direct: [], problem: { path: [old.name], fault } };
  }

  return { closureOf: (known, sets = PRESENT_SETS) => find(known, sets), uninstallOf };
}

/** The newest active version within the edge's range. */
export function newestFit(
  edge: Dependency,
  primary: PlanPackage,
  packages: PlanCatalog,
): PlanPackage | Fault {
  return fitting(edge, packages)[0] ?? noVersionFault(edge, primary);
}

/** Active versions within the range, newest first. */
export function fitting(edge: Dependency, packages: PlanCatalog): readonly PlanPackage[] {
  const range = edge.versions === undefined ? undefined : parseVersionRange(edge.versions);
  return packages
    .versions(edge.name)
    .filter(
      ({ isActive, version, rules }) =>
        isActive &&
        (range === undefined || inVersionRange(range, rules.versionScheme ?? "numbers", version)),
    );
}

export function noVersionFault(edge: Dependency, primary: PlanPackage): Fault {
  const range = edge.versions === undefined ? "" : ` ${edge.versions}`;
  return {
    code: "noVersion",
    text: `No active version of ${edge.name}${range} is there.`,
    endsWhen: "one is published and activated",
    sinceMs: primary.createdMs,
  };
}

function cycleFault(chain: readonly PackageName[], { createdMs }: PlanPackage): Fault {
  const [last] = chain.slice(-1);
  const circle = chain.slice(chain.findIndex((name) => name === last));
  return {
    code: "loop",
    text: `The packages depend on each other in a circle: ${circle.join(">")}.`,
    endsWhen: "one of them is published without the dependency",
    sinceMs: createdMs,
  };
}
