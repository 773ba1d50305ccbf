/** One package as its publisher signed it, who it needs and who needs it (OCS-16, ZEN-2…ZEN-8). */
import { newestFit } from "../core/plan/dependencies.ts";
import type { PlanCatalog, PlanPackage } from "../core/plan/plan-model.ts";
import { packageRefText, parsePackageRef } from "../../protocol/ids.ts";
import type { PackageDetail, PackageTree } from "../../protocol/page-api.ts";
import { readJson } from "../../protocol/json.ts";
import { MANIFEST_MAX_BYTES } from "../../protocol/limits.ts";
import { parseManifest } from "../../protocol/manifest.ts";
import { planCatalog } from "../store/plan-catalog.ts";
import { TABLES, type PackageRecord } from "../store/tables.ts";
import { ownersOf } from "./containers.ts";
import { notFound } from "./intent-pen.ts";
import { instant } from "./job-views.ts";
import type { Parts } from "./parts.ts";

/** Throws NOT_FOUND. */
export async function packageDetail(parts: Parts, text: string): Promise<PackageDetail> {
  const record = requireRecord(parts, text);
  const bytes = await parts.manifests.bytes(record.manifest);
  if (bytes === undefined) throw notFound(`manifest of ${text}`);
  const manifest = parseManifest(readJson("the manifest", bytes, MANIFEST_MAX_BYTES));
  const { name, version, wireBytes, fileBytes, fragmentCount, isActive, level } = record;
  const primaries = parts.records
    .all(TABLES.packages)
    .filter(({ rules }) => rules?.dependencies?.some((edge) => edge.name === name) === true);
  const dependents = (record.rules?.dependencies ?? []).map((edge) => edge.name);
  return {
    name,
    version,
    manifest: record.manifest,
    isActive,
    level,
    epoch: manifest.epoch,
    wireBytes,
    fileBytes,
    fragmentCount,
    createdAt: instant(record.createdMs),
    action: manifest.action,
    rules: manifest.rules ?? {},
    dependents: [...new Set(dependents)],
    primaries: primaries.map(packageRefText),
    installedOn: ownersOf(parts, packageRefText(record)).map((one) => one.name),
  };
}

/** Every edge below a package, each once; what would be taken for it now is named. */
export function packageTree(parts: Parts, text: string): PackageTree {
  const catalog = planCatalog(parts.records);
  const root = catalog.get(requireRecord(parts, text));
  const edges = new Map<string, PackageTree["edges"][number]>();
  const depth = root === undefined ? 1 : walk(root, { catalog, edges, path: [] });
  return { package: text, depth, edges: [...edges.values()] };
}

interface Walk {
  readonly catalog: PlanCatalog;
  readonly edges: Map<string, PackageTree["edges"][number]>;
  /** Packages above, so that a circle ends. */
  readonly path: readonly string[];
}

/** Packages on the longest chain from here. */
function walk(primary: PlanPackage, { catalog, edges, path }: Walk): number {
  let depth = 1;
  for (const edge of primary.rules.dependencies ?? []) {
    const chosen = newestFit(edge, primary, catalog);
    const found = "code" in chosen ? undefined : chosen;
    const from = packageRefText(primary);
    edges.set(`${from} ${edge.name} ${edge.actionSet}`, {
      primary: from,
      dependent: edge.name,
      resolved: found === undefined ? null : packageRefText(found),
      versions: edge.versions ?? null,
      actionSet: edge.actionSet,
    });
    const isCircle = path.includes(edge.name) || edge.name === primary.name;
    const below =
      found === undefined || isCircle
        ? 1
        : walk(found, { catalog, edges, path: [...path, primary.name] });
    depth = Math.max(depth, 1 + below);
  }
  return depth;
}

function requireRecord(parts: Parts, text: string): PackageRecord {
  const ref = packageRefText(parsePackageRef(text));
  const record = parts.records.get(TABLES.packages, ref);
  if (record === undefined) throw notFound(`package ${ref}`);
  return record;
}
