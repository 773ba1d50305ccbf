/**
 * Between the coordinator's records and the objects that operators write: what is exported can be applied
 * again and changes nothing. Defaults are left out, members and jobs are in a fixed order.
 */
import type {
  Assignment,
  DeploymentRule,
  EndpointGroup,
  IntentFile,
  JobContainer,
  MaintenanceWindow,
  PackageGroup,
  Rollout,
  Schedule,
} from "../../protocol/intent.ts";
import type { EndpointId, EndpointName } from "../../protocol/ids.ts";
import { TENANT_DEFAULT } from "./group-members.ts";
import type {
  AssignmentRecord,
  ContainerJobRecord,
  ContainerRecord,
  EndpointGroupRecord,
  PackageGroupRecord,
  RolloutRecord,
  RuleRecord,
  WindowRecord,
} from "./intent-records.ts";
import type { RecordDraft } from "./record-draft.ts";
import type { Records } from "./records.ts";
import { TABLES } from "./tables.ts";

/** Where a record is looked up: the records in force, or a draft over them. */
export type RecordView = Pick<RecordDraft | Records, "get" | "all">;

export function endpointGroupObject(
  { name, tenant, query }: EndpointGroupRecord,
  members: readonly EndpointName[],
): EndpointGroup {
  return {
    name,
    ...(tenant === TENANT_DEFAULT ? {} : { tenant }),
    ...(query === undefined ? { endpoints: members.toSorted() } : { query }),
  };
}

export function packageGroupObject({ name, entries }: PackageGroupRecord): PackageGroup {
  return { name, entries };
}

export function assignmentObject(record: AssignmentRecord): Assignment {
  const { packageGroup, endpointGroup, schedule } = record;
  return { packageGroup, endpointGroup, ...scheduleField(schedule) };
}

export function ruleObject(record: RuleRecord): DeploymentRule {
  const { name, endpointGroup, packageGroup, isEnabled, schedule } = record;
  return {
    name,
    endpointGroup,
    packageGroup,
    ...(isEnabled === true ? { isEnabled } : {}),
    ...scheduleField(schedule),
  };
}

export function containerObject(
  { name, schedule }: ContainerRecord,
  jobs: readonly ContainerJobRecord[],
  nameOf: (endpoint: EndpointId) => EndpointName | undefined,
): JobContainer {
  return {
    name,
    ...scheduleField(schedule),
    jobs: jobs
      .toSorted((one, other) => one.sequence - other.sequence)
      .flatMap((job) => {
        const endpoint = nameOf(job.endpoint);
        if (endpoint === undefined) return [];
        const { version, operation, force } = job;
        return [
          {
            endpoint,
            name: job.name,
            version,
            ...(operation === "install" ? {} : { operation }),
            ...(force === true ? { force } : {}),
          },
        ];
      }),
  };
}

export function rolloutObject(record: RolloutRecord): Rollout {
  const { name, packageGroup, endpointGroup, rings, schedule } = record;
  return { name, packageGroup, endpointGroup, rings, ...scheduleField(schedule) };
}

export function windowObject({
  name,
  endpointGroup,
  timeFrames,
  zone,
}: WindowRecord): MaintenanceWindow {
  return { name, endpointGroup, timeFrames, ...(zone === undefined ? {} : { zone }) };
}

/** Everything, as a file for `apply`; kinds without objects are left out. */
export function exportIntent(
  view: RecordView,
  membersOf: (group: EndpointGroupRecord) => readonly EndpointName[],
  jobsOf: (container: string) => readonly ContainerJobRecord[],
): IntentFile {
  const nameOf = (id: EndpointId) => view.get(TABLES.endpoints, id)?.name;
  const parts = {
    endpointGroups: inOrder(view.all(TABLES.endpointGroups)).map((one) =>
      endpointGroupObject(one, membersOf(one)),
    ),
    packageGroups: inOrder(view.all(TABLES.packageGroups)).map(packageGroupObject),
    assignments: inOrder(view.all(TABLES.assignments)).map(assignmentObject),
    rules: inOrder(view.all(TABLES.rules)).map(ruleObject),
    containers: inOrder(view.all(TABLES.containers))
      .map((one) => containerObject(one, jobsOf(one.name), nameOf))
      .filter(({ jobs }) => jobs.length > 0),
    rollouts: inOrder(view.all(TABLES.rollouts)).map(rolloutObject),
    windows: inOrder(view.all(TABLES.windows)).map(windowObject),
  };
  const there = Object.entries(parts).filter(([, objects]) => objects.length > 0);
  return { v: 1, ...Object.fromEntries(there) };
}

export function inOrder<T extends { readonly order: number }>(all: readonly T[]): readonly T[] {
  return all.toSorted((one, other) => one.order - other.order);
}

function scheduleField(schedule: Schedule | undefined): { schedule?: Schedule } {
  const isEmpty = schedule === undefined || Object.keys(schedule).length === 0;
  return isEmpty ? {} : { schedule };
}
