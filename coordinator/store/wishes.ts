/**
 * From the records of operators' wishes to the planner's normal form (design 6). One list serves all
 * endpoints of a group; what differs by endpoint is added in the intent book.
 */
import { planScheduleOf } from "../core/intent/intent-schedule.ts";
import type { Intent, IntentSource, PlanSchedule, WaitReason } from "../core/plan/plan-model.ts";
import type { Ensure, Operation, PackageEntry, Schedule } from "../../protocol/intent.ts";
import type { PackageVersion } from "../../protocol/ids.ts";
import type {
  AssignmentRecord,
  ContainerJobRecord,
  ContainerRecord,
  PackageGroupRecord,
  RolloutRecord,
  RuleRecord,
} from "./intent-records.ts";
import type { DeploymentRecord } from "./tables.ts";

interface Origin {
  readonly source: IntentSource;
  readonly name: string;
  readonly createdMs: number;
  readonly order: number;
  readonly schedule: PlanSchedule;
}

/** Every package of the one group on every endpoint of the other (SE-8). */
export function assignmentWishes(
  record: AssignmentRecord,
  group: PackageGroupRecord,
  zone: string,
): readonly Intent[] {
  const name = assignmentName(record);
  return entryWishes(originOf("wishlist", name, record, zone), group);
}

export function assignmentName({
  packageGroup,
  endpointGroup,
}: Pick<AssignmentRecord, "packageGroup" | "endpointGroup">): string {
  return `${packageGroup} x ${endpointGroup}`;
}

/** A disabled rule wishes for a preview only (OCO-30); versions are those of its snapshot (OCO-33). */
export function ruleWishes(
  record: RuleRecord,
  group: PackageGroupRecord,
  zone: string,
): readonly Intent[] {
  const isPreview = record.isEnabled !== true;
  return entryWishes(originOf("rule", record.name, record, zone), group).map((wish) => ({
    ...wish,
    version:
      wish.version === undefined ? undefined : snapshotVersion(record, wish.package, wish.version),
    isPreview,
  }));
}

/** `hold` for endpoints whose ring is not open. */
export function rolloutWishes(
  record: RolloutRecord,
  group: PackageGroupRecord,
  zone: string,
  hold: WaitReason | undefined,
): readonly Intent[] {
  const wishes = entryWishes(originOf("rollout", record.name, record, zone), group);
  return hold === undefined ? wishes : wishes.map((wish) => ({ ...wish, hold }));
}

export function jobWish(job: ContainerJobRecord, record: ContainerRecord, zone: string): Intent {
  const origin = originOf("container", record.name, record, zone);
  return {
    ...wishOf(origin, job.sequence),
    package: job.name,
    version: job.version,
    ensure: job.operation === "uninstall" ? "absent" : "present",
    operation: job.operation,
    isForced: job.force ?? false,
  };
}

export function deploymentWish(record: DeploymentRecord, zone: string): Intent {
  const schedule = record.isPaused === true ? { isPaused: true } : undefined;
  const origin = originOf("deployment", record.id, { ...record, schedule }, zone);
  return {
    ...wishOf(origin, 0),
    package: record.name,
    version: record.version,
    ensure: "present",
    operation: "install",
  };
}

/** How an entry's version is named in a rule's snapshot. */
export function snapshotKey(name: string, version: string): string {
  return `${name}@${version}`;
}

function snapshotVersion(
  { snapshot }: RuleRecord,
  name: string,
  version: PackageVersion,
): PackageVersion {
  return snapshot[snapshotKey(name, version)] ?? version;
}

function originOf(
  source: IntentSource,
  name: string,
  record: {
    readonly createdMs: number;
    readonly order: number;
    readonly schedule?: Schedule | undefined;
  },
  zone: string,
): Origin {
  const { createdMs, order } = record;
  return { source, name, createdMs, order, schedule: planScheduleOf(record.schedule, zone) };
}

// SE-23: an entry that was taken out and added again begins its attempts anew.
function entryWishes(
  origin: Origin,
  { entries, additions }: PackageGroupRecord,
): readonly Intent[] {
  return entries.map((entry, sequence) => ({
    ...entryWish(origin, entry, sequence),
    resets: additions[entry.name] ?? 0,
  }));
}

// SE-4: the entry's own settings win over those of the link.
function entryWish(origin: Origin, entry: PackageEntry, sequence: number): Intent {
  const ensure: Ensure = entry.ensure ?? "present";
  const operation: Operation = ensure === "absent" ? "uninstall" : "install";
  const wish = wishOf(origin, sequence);
  const attemptLimit = entry.attemptLimit ?? wish.schedule.attemptLimit;
  return {
    ...wish,
    package: entry.name,
    version: entry.version,
    ensure,
    operation,
    schedule: { ...wish.schedule, attemptLimit },
    isPinned: entry.isPinned ?? false,
  };
}

function wishOf(origin: Origin, sequence: number) {
  return {
    ...origin,
    sequence,
    isPreview: false,
    isForced: false,
    isPinned: false,
    hold: undefined,
    resets: 0,
  };
}
