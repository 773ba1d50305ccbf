/** What queries over the inventory see of one endpoint. */
import { isInstalled } from "../core/plan/installed.ts";
import { packageRefText } from "../../protocol/ids.ts";
import type { InventoryFacts } from "../../protocol/inventory-query.ts";
import type { PresenceBook } from "./presence-book.ts";
import type { Records } from "./records.ts";
import { TABLES, type EndpointRecord } from "./tables.ts";

const BYTES_PER_MB = 1024 ** 2;

export function inventoryFacts(
  records: Records,
  presence: PresenceBook,
  { id, name, homeSite, isDp }: EndpointRecord,
): InventoryFacts {
  const seen = presence.get(id);
  const system = seen?.system;
  return {
    name,
    site: seen?.site ?? homeSite,
    role: isDp ? "dp" : "agent",
    os: seen?.os,
    arch: seen?.arch,
    address: seen?.publicAddress,
    osName: system?.osName,
    osVersion: system?.osVersion,
    isServer: system?.isServer,
    hasUser: system?.hasUser,
    memoryMb: system === undefined ? undefined : Math.floor(system.memoryBytes / BYTES_PER_MB),
    freeDiskGb: system?.freeDiskGb,
    software: records.get(TABLES.scans, id)?.software ?? [],
    installed: records
      .below(TABLES.installed, id)
      .map(([, row]) => row)
      .filter(isInstalled)
      .map((row) => ({
        ...row,
        scheme: records.get(TABLES.packages, packageRefText(row))?.rules?.versionScheme,
      })),
  };
}
