/**
 * Jobs of rules and containers keep the package procedure they were made from (OCO-33): the revision `+N`
 * of a version that was the newest then. A rule takes newer ones when it is evaluated again by hand.
 */
import { parsePackageVersion, type PackageName, type PackageVersion } from "../../protocol/ids.ts";
import { isSameVersion, plainVersion, versionRevision } from "../../protocol/version-order.ts";
import type { PackageGroupRecord, RuleRecord } from "../store/intent-records.ts";
import type { RecordDraft } from "../store/record-draft.ts";
import { TABLES } from "../store/tables.ts";
import { snapshotKey } from "../store/wishes.ts";
import type { Pen } from "./intent-pen.ts";

/** The newest revision of a version, active ones first; a version with a revision is meant exactly. */
export function newestRevision(
  { all }: Pick<RecordDraft, "all">,
  name: PackageName,
  version: PackageVersion,
): PackageVersion {
  if (plainVersion(version) !== version) return version;
  const [newest] = all(TABLES.packages)
    .filter((one) => one.name === name && isSameVersion(plainVersion(one.version), version))
    .toSorted(
      (one, other) =>
        Number(other.isActive) - Number(one.isActive) ||
        versionRevision(other.version) - versionRevision(one.version),
    );
  return newest?.version ?? parsePackageVersion(version);
}

/** New entries get the revision of now; known ones keep theirs. */
export function settleSnapshots(pen: Pen): void {
  const { draft } = pen;
  const changed = new Set(draft.touched(TABLES.packageGroups));
  const rules = new Set(draft.touched(TABLES.rules));
  if (changed.size === 0 && rules.size === 0) return;
  for (const rule of draft.all(TABLES.rules)) {
    if (!changed.has(rule.packageGroup) && !rules.has(rule.name)) continue;
    const group = draft.get(TABLES.packageGroups, rule.packageGroup);
    if (group === undefined) continue;
    const snapshot = snapshotOf(draft, group, rule.snapshot);
    if (JSON.stringify(snapshot) !== JSON.stringify(rule.snapshot)) {
      draft.set(TABLES.rules, rule.name, { ...rule, snapshot });
    }
  }
}

/** Everything taken anew. */
export function reevaluated({ draft }: Pen, rule: RuleRecord): RuleRecord {
  const group = draft.get(TABLES.packageGroups, rule.packageGroup);
  return group === undefined ? rule : { ...rule, snapshot: snapshotOf(draft, group, {}) };
}

function snapshotOf(
  draft: RecordDraft,
  { entries }: PackageGroupRecord,
  known: RuleRecord["snapshot"],
): RuleRecord["snapshot"] {
  const snapshot: RuleRecord["snapshot"] = {};
  for (const { name, version } of entries) {
    if (version === undefined) continue;
    const key = snapshotKey(name, version);
    snapshot[key] = known[key] ?? newestRevision(draft, name, version);
  }
  return snapshot;
}
