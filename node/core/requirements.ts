/** What a package needs of the endpoint (ZEN-15): the first thing that is missing, in words. */
import {
  matchesInventory,
  parseInventoryQuery,
  type InventoryFacts,
} from "../../protocol/inventory-query.ts";
import type { Requirements } from "../../protocol/package-rules.ts";
import { inVersionRange, parseVersionRange } from "../../protocol/version-order.ts";

/** What this endpoint is, exactly and right now; the check-in tells the rounded values. */
export interface EndpointFacts {
  readonly inventory: InventoryFacts;
  readonly memoryBytes: number;
  readonly freeDiskBytes: number;
}

/** Undefined where everything holds. */
export function missingRequirement(
  requirements: Requirements | undefined,
  facts: EndpointFacts,
): string | undefined {
  if (requirements === undefined) return undefined;
  const { os, osVersion, arch, memoryBytes, freeDiskBytes, query } = requirements;
  const { inventory } = facts;
  if (os !== undefined && !os.some((one) => one === inventory.os)) {
    return `it needs ${os.join(" or ")}, this is ${inventory.os ?? "another system"}`;
  }
  if (osVersion !== undefined && !isVersionIn(osVersion, inventory.osVersion)) {
    return `it needs system version ${osVersion}, this is ${inventory.osVersion ?? "unknown"}`;
  }
  if (arch !== undefined && !arch.some((one) => one === inventory.arch)) {
    return `it needs ${arch.join(" or ")}, this is ${inventory.arch ?? "unknown"}`;
  }
  if (memoryBytes !== undefined && facts.memoryBytes < memoryBytes) {
    return `it needs ${memoryBytes} bytes of memory, there are ${facts.memoryBytes}`;
  }
  if (freeDiskBytes !== undefined && facts.freeDiskBytes < freeDiskBytes) {
    return `it needs ${freeDiskBytes} free bytes on disk, there are ${facts.freeDiskBytes}`;
  }
  const isMet = query === undefined || matchesInventory(parseInventoryQuery(query), inventory);
  return isMet ? undefined : `it needs: ${query}`;
}

function isVersionIn(range: string, version: string | undefined): boolean {
  return version !== undefined && inVersionRange(parseVersionRange(range), "numbers", version);
}
