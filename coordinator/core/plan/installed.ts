/**
 * The belief of what is installed on an endpoint, after one more report. Decisions read it; a scan of the
 * endpoint can prove it wrong. Rows stay when a version is removed, with the time of that.
 */
import type { PackageRef } from "../../../protocol/ids.ts";
import type { Operation } from "../../../protocol/intent.ts";
import type { PackageRules } from "../../../protocol/package-rules.ts";
import type { JobState } from "../../../protocol/report.ts";
import { isSameVersion } from "../../../protocol/version-order.ts";
import type { PlanInstalled } from "./plan-model.ts";

export function isInstalled({ sinceMs, removedMs }: PlanInstalled): boolean {
  return removedMs === undefined || removedMs < sinceMs;
}

/** The same list where the report changes nothing. */
export function installedAfter(
  list: readonly PlanInstalled[],
  done: { readonly ref: PackageRef; readonly operation: Operation; readonly state: JobState },
  rulesOf: (ref: PackageRef) => PackageRules | undefined,
  nowMs: number,
): readonly PlanInstalled[] {
  const { ref, operation, state } = done;
  const isDone = state === "succeeded" || state === "alreadyInstalled";
  if (!isDone || operation === "launch") return list;
  if (operation === "uninstall") return forgottenAfter(list, ref, nowMs);
  const before = list.find((row) => row.name === ref.name && row.version === ref.version);
  if (before !== undefined && isInstalled(before)) return list;
  const rules = rulesOf(ref) ?? {};
  const others = list
    .filter((row) => row !== before)
    .map((row) => (isReplaced(row, ref, rules, rulesOf) ? removed(row, nowMs) : row));
  // Later than its removal, also where both happen within a millisecond.
  const sinceMs = Math.max(nowMs, (before?.removedMs ?? -1) + 1);
  const row = { name: ref.name, version: ref.version, sinceMs };
  return [
    ...others,
    before?.removedMs === undefined ? row : { ...row, removedMs: before.removedMs },
  ];
}

/** The same list where it is not there. */
export function forgottenAfter(
  list: readonly PlanInstalled[],
  { name, version }: PackageRef,
  nowMs: number,
): readonly PlanInstalled[] {
  const isMeant = (row: PlanInstalled): boolean =>
    row.name === name && isSameVersion(row.version, version) && isInstalled(row);
  return list.some(isMeant) ? list.map((row) => (isMeant(row) ? removed(row, nowMs) : row)) : list;
}

function removed(row: PlanInstalled, nowMs: number): PlanInstalled {
  return { ...row, removedMs: Math.max(nowMs, row.sinceMs) };
}

/** An older version without an uninstall command was installed over; one with it has a job of its own. */
function isReplaced(
  row: PlanInstalled,
  ref: PackageRef,
  { upgrade = "explicitUninstall" }: PackageRules,
  rulesOf: (ref: PackageRef) => PackageRules | undefined,
): boolean {
  if (row.name !== ref.name || !isInstalled(row)) return false;
  if (isSameVersion(row.version, ref.version) || upgrade === "replaces") return true;
  return upgrade === "explicitUninstall" && rulesOf(row)?.uninstall === undefined;
}
