/**
 * Whether an endpoint meets what a package requires. What is not known yet is left to the endpoint, which
 * checks again before it acts.
 */
import {
  parseInventoryQuery,
  matchesInventory,
  type InventoryFacts,
} from "../../../protocol/inventory-query.ts";
import type { Requirements } from "../../../protocol/package-rules.ts";
import { inVersionRange, parseVersionRange } from "../../../protocol/version-order.ts";
import { isInstalled } from "./installed.ts";
import type { PlanInput, PlanPackage } from "./plan-model.ts";

const GB_BYTES = 1_000_000_000;

/** The first requirement that does not hold, as the end of a sentence; undefined where all hold. */
export function unmetRequirement(
  { rules }: PlanPackage,
  input: Pick<PlanInput, "endpoint" | "installed" | "scan" | "packages">,
): string | undefined {
  const { requirements } = rules;
  if (requirements === undefined) return undefined;
  return unmetPlatform(requirements, input) ?? unmetSystem(requirements, input);
}

/** What a query can ask of the endpoint that is planned for. */
export function inventoryFactsOf({
  endpoint,
  installed,
  scan,
  packages,
}: Pick<PlanInput, "endpoint" | "installed" | "scan" | "packages">): InventoryFacts {
  const { name, site, role, os, arch, address, system } = endpoint;
  return {
    name,
    site,
    role,
    os,
    arch,
    address,
    osName: system?.osName,
    osVersion: system?.osVersion,
    memoryMb: system === undefined ? undefined : Math.floor(system.memoryBytes / 2 ** 20),
    freeDiskGb: system?.freeDiskGb,
    isServer: system?.isServer,
    hasUser: system?.hasUser,
    software: scan?.software ?? [],
    installed: installed.filter(isInstalled).map((row) => ({
      name: row.name,
      version: row.version,
      scheme: packages.get(row)?.rules.versionScheme,
    })),
  };
}

function unmetPlatform(
  { os, arch }: Requirements,
  { endpoint }: Pick<PlanInput, "endpoint">,
): string | undefined {
  if (os !== undefined && endpoint.os !== undefined && !os.some((one) => one === endpoint.os)) {
    return `it needs ${os.join(" or ")}, the endpoint has ${endpoint.os}`;
  }
  if (arch !== undefined && endpoint.arch !== undefined && !arch.includes(endpoint.arch)) {
    return `it needs the architecture ${arch.join(" or ")}, the endpoint has ${endpoint.arch}`;
  }
  return undefined;
}

function unmetSystem(
  { osVersion, memoryBytes = 0, freeDiskBytes = 0, query }: Requirements,
  input: Pick<PlanInput, "endpoint" | "installed" | "scan" | "packages">,
): string | undefined {
  const { system } = input.endpoint;
  if (system === undefined) return undefined;
  const isInRange =
    osVersion === undefined ||
    inVersionRange(parseVersionRange(osVersion), "numbers", system.osVersion);
  if (!isInRange) {
    return `it needs the system version ${osVersion}, the endpoint has ${system.osVersion}`;
  }
  if (system.memoryBytes < memoryBytes) {
    return `it needs ${gigabytes(memoryBytes)} of memory, the endpoint has ${gigabytes(system.memoryBytes)}`;
  }
  if (system.freeDiskGb < Math.floor(freeDiskBytes / GB_BYTES)) {
    return `it needs ${gigabytes(freeDiskBytes)} of free disk, the endpoint has ${system.freeDiskGb} GB`;
  }
  const matches =
    query === undefined || matchesInventory(parseInventoryQuery(query), inventoryFactsOf(input));
  return matches ? undefined : `its query "${query}" does not match the endpoint`;
}

function gigabytes(sizeBytes: number): string {
  return `${(sizeBytes / GB_BYTES).toFixed(1)} GB`;
}
