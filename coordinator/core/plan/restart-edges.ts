/**
 * ZEN-20: a dependent must not restart or shut down the machine in the middle of its primary's chain,
 * unless the edge says that it may; then the restart is deferred to the end of the chain (D9).
 */
import { packageRefText } from "../../../protocol/ids.ts";
import type { Dependency, PostAction } from "../../../protocol/package-rules.ts";
import { inVersionRange, parseVersionRange } from "../../../protocol/version-order.ts";
import type { PlanCatalog, PlanPackage } from "./plan-model.ts";

export interface RestartEdge {
  readonly primary: string;
  readonly dependent: string;
  readonly postAction: PostAction;
}

/** The first edge of a package, or to it from one of `others`, that is not allowed. */
export function restartEdge(
  known: PlanPackage,
  others: readonly PlanPackage[],
  packages: PlanCatalog,
): RestartEdge | undefined {
  for (const edge of known.rules.dependencies ?? []) {
    for (const dependent of packages.versions(edge.name)) {
      if (isRefused(edge, dependent)) return found(known, dependent);
    }
  }
  for (const primary of others) {
    const edges = primary.rules.dependencies ?? [];
    if (edges.some((edge) => edge.name === known.name && isRefused(edge, known))) {
      return found(primary, known);
    }
  }
  return undefined;
}

function isRefused({ allowsRestart, versions }: Dependency, dependent: PlanPackage): boolean {
  const { postAction = "none", versionScheme = "numbers" } = dependent.rules;
  if (allowsRestart === true || (postAction !== "restart" && postAction !== "shutdown"))
    return false;
  return (
    versions === undefined ||
    inVersionRange(parseVersionRange(versions), versionScheme, dependent.version)
  );
}

function found(primary: PlanPackage, dependent: PlanPackage): RestartEdge {
  const { postAction = "none" } = dependent.rules;
  return { primary: packageRefText(primary), dependent: packageRefText(dependent), postAction };
}
