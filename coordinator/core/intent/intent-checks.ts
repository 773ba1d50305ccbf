/**
 * What is wrong with an object of intent by itself, beyond its schema. What it refers to is looked up by
 * the caller.
 */
import { DeployError } from "../../../protocol/errors.ts";
import type {
  EndpointGroup,
  MaintenanceWindow,
  PackageEntry,
  PackageGroup,
  Rollout,
} from "../../../protocol/intent.ts";
import { parseInventoryQuery } from "../../../protocol/inventory-query.ts";
import { checkTimeZone, parseTimeFrames } from "../../../protocol/time-frame.ts";

/** Throws INPUT_INVALID. */
export function checkEndpointGroup({ name, endpoints, query }: EndpointGroup): void {
  if ((endpoints === undefined) === (query === undefined)) {
    throw invalid(`the endpoint group ${name}`, "either endpoints or a query");
  }
  if (query !== undefined) parseInventoryQuery(query);
}

/** Throws INPUT_INVALID. */
export function checkPackageGroup({ name, entries }: PackageGroup): void {
  const seen = new Set<string>();
  for (const entry of entries) {
    const shown = entryText(entry);
    if (seen.has(shown)) {
      throw invalid(`the package group ${name}`, `${shown} only once`);
    }
    seen.add(shown);
    checkEntry(entry, `${shown} in the package group ${name}`);
  }
}

function checkEntry({ version, ensure = "present" }: PackageEntry, what: string): void {
  if (ensure === "present" && version === undefined) {
    throw invalid(what, "a version, or ensure latest, updateOnly or absent");
  }
  if ((ensure === "latest" || ensure === "updateOnly") && version !== undefined) {
    throw invalid(what, `no version with ensure ${ensure}: it takes the newest active one`);
  }
}

function entryText({ name, version }: PackageEntry): string {
  return version === undefined ? name : `${name}@${version}`;
}

/** Throws INPUT_INVALID. */
export function checkRollout({ name, rings }: Rollout): void {
  const names = new Set(rings.map((ring) => ring.name));
  if (names.size !== rings.length) throw invalid(`the rollout ${name}`, "rings of different names");
}

/** Throws INPUT_INVALID. */
export function checkWindow({ timeFrames, zone }: MaintenanceWindow): void {
  parseTimeFrames(timeFrames);
  if (zone !== undefined) checkTimeZone(zone);
}

function invalid(what: string, expected: string): DeployError {
  return new DeployError("INPUT_INVALID", { what, expected });
}
