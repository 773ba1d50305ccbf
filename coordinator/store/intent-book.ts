/**
 * What operators want of one endpoint: its groups, the wishes of these, its own jobs, and what is known to
 * be installed there. Costs what its groups and their wishes cost; nothing is done by endpoint when a
 * wish changes, because the revision is put together from the revisions of the groups.
 */
import type { Intent, PlanInput, PlanInstalled } from "../core/plan/plan-model.ts";
import { currentRing, ringOf, rolloutHold } from "../core/intent/rollout.ts";
import type { EndpointId } from "../../protocol/ids.ts";
import { groupIndexFinder, recordNumbers } from "./group-index.ts";
import { openGroupMembers, type GroupMembers, type GroupSources } from "./group-members.ts";
import { openIdIndex } from "./id-index.ts";
import type { RolloutRecord } from "./intent-records.ts";
import type { PresenceBook } from "./presence-book.ts";
import type { Records } from "./records.ts";
import { TABLES, type EndpointRecord } from "./tables.ts";
import { jobWish, rolloutWishes } from "./wishes.ts";

/** One part of what the planner looks at. */
export interface EndpointIntents {
  readonly intents: readonly Intent[];
  readonly windows: PlanInput["windows"];
  readonly abortedContainers: ReadonlySet<string>;
  /** Containers for which it was woken in time. */
  readonly wokenFor: ReadonlySet<string>;
  readonly installed: readonly PlanInstalled[];
}

export interface IntentBook extends GroupMembers {
  /** Changes with anything that `of` answers; costs a few look-ups. */
  revision(record: EndpointRecord): string;
  of(record: EndpointRecord): EndpointIntents;
  /** Ids of the jobs of a container. */
  jobsOf(container: string): ReadonlySet<string>;
  /** Ids of the records that a package version is installed somewhere. */
  installedOn(packageText: string): ReadonlySet<string>;
  /** Place of the next intent in the order of creation. */
  nextOrder(): number;
  /** Zone of time frames without one (D5). */
  readonly zone: string;
}

export interface IntentBookOptions {
  readonly zone: string;
  readonly now: () => number;
}

interface Desk extends GroupSources, IntentBookOptions {
  readonly groups: GroupMembers;
}

export function openIntentBook(
  records: Records,
  presence: PresenceBook,
  options: IntentBookOptions,
): IntentBook {
  const identify = recordNumbers();
  const findIndex = groupIndexFinder(records, options.zone, identify);
  const sources = { records, presence, findIndex, identify };
  const groups = openGroupMembers(sources);
  const desk: Desk = { ...sources, ...options, groups };
  const jobs = openIdIndex(records, TABLES.containerJobs, (id) => id.split("/")[1] ?? "");
  const installed = openIdIndex(records, TABLES.installed, (id) => id.slice(id.indexOf("/") + 1));
  return {
    ...groups,
    zone: options.zone,
    revision: (record) => revisionOf(desk, record),
    of: (record) => intentsOf(desk, record),
    jobsOf: (container) => jobs.at(container),
    installedOn: (text) => installed.at(text.replace("@", "/")),
    nextOrder: orderCounter(records),
  };
}

function revisionOf(desk: Desk, record: EndpointRecord): string {
  const { records, identify, groups } = desk;
  const { id } = record;
  const index = desk.findIndex();
  const containers = containersOf(desk, id).names.map((name) =>
    identify(records.get(TABLES.containers, name)),
  );
  return [
    ...groups.groupsOf(record).map((name) => `${name}:${index.of(name).revision}`),
    targetsOf(desk, record)
      .map((target) => index.deployedTo(target).revision)
      .join("/"),
    containers.join(","),
    records.revision(TABLES.containerJobs, id),
    records.revision(TABLES.resets, id),
    records.revision(TABLES.installed, id),
    records.revision(TABLES.wakes, id),
    identify(records.get(TABLES.scans, id)),
  ].join(" ");
}

function intentsOf(desk: Desk, record: EndpointRecord): EndpointIntents {
  const { records, zone } = desk;
  const { id } = record;
  const index = desk.findIndex();
  const groups = desk.groups.groupsOf(record);
  const wishes = groups.map((name) => index.of(name));
  const containers = containersOf(desk, id).names.flatMap(
    (name) => records.get(TABLES.containers, name) ?? [],
  );
  const rollouts = wishes.flatMap((one) => one.rollouts);
  const intents = [
    ...wishes.flatMap((one) => one.intents),
    ...rollouts.flatMap((rollout) => rolloutIntents(desk, rollout, record, groups)),
    ...targetsOf(desk, record).flatMap((target) => index.deployedTo(target).intents),
    ...jobIntents(desk, id),
  ];
  const woken = records
    .below(TABLES.wakes, id)
    .filter(([, { wokenMs }]) => wokenMs !== undefined)
    .map(([, { container }]) => container);
  const aborted = containers.filter(({ abortedMs }) => abortedMs !== undefined);
  return {
    intents: intents.map((intent) => withResets(desk, intent, id)),
    windows: wishes
      .flatMap((one) => one.windows)
      .map((one) => ({ name: one.name, frames: one.timeFrames, zone: one.zone ?? zone })),
    abortedContainers: new Set(aborted.map(({ name }) => name)),
    wokenFor: new Set(woken),
    installed: records.below(TABLES.installed, id).map(([, row]) => row),
  };
}

function jobIntents(desk: Desk, id: EndpointId): readonly Intent[] {
  return containersOf(desk, id).own.flatMap((job) => {
    const container = desk.records.get(TABLES.containers, job.container);
    return container === undefined ? [] : [jobWish(job, container, desk.zone)];
  });
}

function rolloutIntents(
  { records, zone, now }: Desk,
  rollout: RolloutRecord,
  { id, joinedMs }: EndpointRecord,
  groups: readonly string[],
): readonly Intent[] {
  const packages = records.get(TABLES.packageGroups, rollout.packageGroup);
  const own = ringOf(rollout, id, (name) => groups.includes(name));
  const hold = rolloutHold(rollout, rollout, currentRing(rollout, own, joinedMs), now());
  return packages === undefined ? [] : rolloutWishes(rollout, packages, zone, hold);
}

function withResets({ records }: Desk, intent: Intent, id: EndpointId): Intent {
  const reset = records.get(TABLES.resets, `${id}/${intent.package}`);
  return reset === undefined ? intent : { ...intent, resets: intent.resets + reset.count };
}

function targetsOf({ presence }: Desk, { id, homeSite }: EndpointRecord): readonly string[] {
  return ["all", `site/${presence.get(id)?.site ?? homeSite}`, `endpoint/${id}`];
}

function containersOf({ records }: Desk, id: EndpointId) {
  const own = records.below(TABLES.containerJobs, id).map(([, job]) => job);
  return { own, names: [...new Set(own.map(({ container }) => container))] };
}

function orderCounter(records: Records): () => number {
  const tables = [
    TABLES.endpointGroups,
    TABLES.packageGroups,
    TABLES.assignments,
    TABLES.rules,
    TABLES.containers,
    TABLES.rollouts,
    TABLES.windows,
    TABLES.deployments,
  ] as const;
  let last = tables
    .flatMap((table) => records.all<{ readonly order: number }>(table))
    .reduce((highest, { order }) => Math.max(highest, order), -1);
  return () => ++last;
}
