/**
 * How rollouts stand, and their next step: rings open and thresholds stop as the reports come in. Judged
 * from what endpoints reported and have installed, so that no plan is made for it.
 */
import { isInstalled } from "../core/plan/installed.ts";
import { planScheduleOf } from "../core/intent/intent-schedule.ts";
import { currentRing, ringOf, rolloutState, type RolloutMember } from "../core/intent/rollout.ts";
import type { RolloutView } from "../../protocol/intent-api.ts";
import type { PackageEntry } from "../../protocol/intent.ts";
import { canonicalText } from "../../protocol/json.ts";
import { plainVersion } from "../../protocol/version-order.ts";
import { inOrder, rolloutObject } from "../store/intent-objects.ts";
import type { RolloutRecord } from "../store/intent-records.ts";
import { setRecord } from "../store/records.ts";
import { planCatalog } from "../store/plan-catalog.ts";
import { TABLES, type EndpointRecord } from "../store/tables.ts";
import { walkGroup } from "./group-walk.ts";
import { withProgress } from "./intent-actions.ts";
import { notFound } from "./intent-pen.ts";
import { instant } from "./job-views.ts";
import type { Parts } from "./parts.ts";

// Judging costs about 10 µs a member; at this rate it takes below a fiftieth of the time.
const MEMBERS_PER_MS = 2;
const JUDGED_EVERY_MIN_MS = 1000;
/** So few are judged at every report. */
const SMALL_MEMBERS = 200;

/** Each rollout that is not over, at most as often as its size allows. */
export async function stepRollouts(parts: Parts, isForced: boolean): Promise<void> {
  const { records, chores, intents, now } = parts;
  const nowMs = now();
  for (const record of records.all(TABLES.rollouts)) {
    const { name, endpointGroup } = record;
    const size = intents.memberIds(endpointGroup).size || records.count(TABLES.endpoints);
    const everyMs = Math.max(JUDGED_EVERY_MIN_MS, size / MEMBERS_PER_MS);
    const isAtOnce = isForced && size <= SMALL_MEMBERS;
    const isDue = chores.isDue(`rollout ${name}`, isAtOnce ? 0 : everyMs, nowMs);
    if (isDue && isStarted(parts, record)) await stepRollout(parts, record);
  }
}

async function stepRollout(parts: Parts, record: RolloutRecord): Promise<void> {
  const { records } = parts;
  const { progress } = await stateOf(parts, record);
  const after = withProgress(record, progress);
  if (canonicalText(after) === canonicalText(record)) return;
  await records.change(() => {
    // Changed while it was judged: the next time judges it as it is then.
    const isSame = records.get(TABLES.rollouts, record.name) === record;
    const changes = isSame ? [setRecord(TABLES.rollouts, record.name, after)] : [];
    return { changes, result: undefined };
  });
}

export async function rolloutViews(parts: Parts): Promise<RolloutView[]> {
  const views: RolloutView[] = [];
  for (const one of inOrder(parts.records.all(TABLES.rollouts))) {
    views.push(await viewOf(parts, one));
  }
  return views;
}

/** Throws NOT_FOUND. */
export async function rolloutView(parts: Parts, name: string): Promise<RolloutView> {
  const record = parts.records.get(TABLES.rollouts, name);
  if (record === undefined) throw notFound(`rollout ${name}`);
  return viewOf(parts, record);
}

async function viewOf(parts: Parts, record: RolloutRecord): Promise<RolloutView> {
  const { rings, state } = await stateOf(parts, record);
  const { stopped, openedMs, schedule } = record;
  const isPaused = schedule?.isPaused === true && state === "running";
  return {
    ...rolloutObject(record),
    state: isPaused ? "paused" : state,
    ...(stopped === undefined ? {} : { stopReason: stopped.reason }),
    standing: rings.map((ring, at) => {
      const opened = openedMs[at];
      return {
        ring: ring.name,
        openedAt: opened === undefined ? null : instant(opened),
        targets: ring.liveCount,
        succeeded: ring.succeededCount,
        failed: ring.failedCount,
      };
    }),
  };
}

function isStarted({ intents, now }: Parts, { schedule }: RolloutRecord): boolean {
  const { startMs, isPaused } = planScheduleOf(schedule, intents.zone);
  return !isPaused && (startMs ?? 0) <= now();
}

async function stateOf(
  parts: Parts,
  record: RolloutRecord,
): Promise<ReturnType<typeof rolloutState>> {
  const entries = parts.records.get(TABLES.packageGroups, record.packageGroup)?.entries ?? [];
  const wanted = entries.map((entry) => ({ entry, version: wantedVersion(parts, entry) }));
  const members: RolloutMember[] = [];
  await walkGroup(parts, record.endpointGroup, (one, groups) => {
    members.push(memberOf(parts, record, { endpoint: one, groups, wanted }));
  });
  return rolloutState(record, record, members, parts.now());
}

interface Wanted {
  readonly entry: PackageEntry;
  /** Undefined: any, or none that could be had. */
  readonly version: string | undefined;
}

interface Membership {
  readonly endpoint: EndpointRecord;
  readonly groups: readonly string[];
  readonly wanted: readonly Wanted[];
}

function wantedVersion({ records }: Parts, { name, version }: PackageEntry): string | undefined {
  return (
    version ??
    planCatalog(records)
      .versions(name)
      .find(({ isActive }) => isActive)?.version
  );
}

function memberOf(
  parts: Parts,
  record: RolloutRecord,
  { endpoint, groups, wanted }: Membership,
): RolloutMember {
  const { id, joinedMs } = endpoint;
  const own = ringOf(record, id, (name) => groups.includes(name));
  const results = wanted.map((one) => resultOf(parts, record, endpoint, one));
  const failed = results.find(({ state }) => state === "failed");
  const isDone = results.every(({ state }) => state === "succeeded");
  return {
    endpoint: id,
    ring: currentRing(record, own, joinedMs),
    seenMs: parts.presence.get(id)?.seenMs,
    state: failed === undefined ? (isDone ? "succeeded" : "pending") : "failed",
    resultMs:
      failed?.atMs ??
      results.reduce<number | undefined>((last, { atMs }) => later(last, atMs), undefined),
  };
}

interface Result {
  readonly state: RolloutMember["state"];
  readonly atMs: number | undefined;
}

/** A failure counts where it was reported after the rollout was made; what is there counts always. */
function resultOf(
  { records }: Parts,
  { createdMs }: RolloutRecord,
  { id }: EndpointRecord,
  { entry, version }: Wanted,
): Result {
  const { name, ensure } = entry;
  const installed = records
    .below(TABLES.installed, id)
    .map(([, one]) => one)
    .find((one) => one.name === name && isInstalled(one) && isWanted(one.version, version));
  if (ensure === "absent")
    return { state: installed === undefined ? "succeeded" : "pending", atMs: undefined };
  if (installed !== undefined) return { state: "succeeded", atMs: installed.sinceMs };
  const failed = records
    .below(TABLES.jobs, id)
    .map(([, report]) => report)
    .find(
      (one) =>
        one.name === name &&
        isWanted(one.version, version) &&
        (one.state === "failed" || one.state === "incompatible" || one.state === "conflict") &&
        one.atMs >= createdMs,
    );
  return failed === undefined
    ? { state: "pending", atMs: undefined }
    : { state: "failed", atMs: failed.atMs };
}

function isWanted(version: string, wanted: string | undefined): boolean {
  return wanted === undefined || version === wanted || plainVersion(version) === wanted;
}

function later(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Math.max(one, other);
}
