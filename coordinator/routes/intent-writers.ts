/** One writer for each kind of object: checks it, and puts its record into the draft. */
import {
  checkEndpointGroup,
  checkPackageGroup,
  checkRollout,
  checkWindow,
} from "../core/intent/intent-checks.ts";
import { checkSchedule } from "../core/intent/intent-schedule.ts";
import { DeployError } from "../../protocol/errors.ts";
import type {
  Assignment,
  ContainerJob,
  DeploymentRule,
  EndpointGroup,
  JobContainer,
  MaintenanceWindow,
  PackageEntry,
  PackageGroup,
  Rollout,
} from "../../protocol/intent.ts";
import { plainVersion } from "../../protocol/version-order.ts";
import { TENANT_DEFAULT, tenantOf } from "../store/group-members.ts";
import type { ContainerJobRecord, PackageGroupRecord } from "../store/intent-records.ts";
import {
  assignmentObject,
  containerObject,
  endpointGroupObject,
  packageGroupObject,
  rolloutObject,
  ruleObject,
  windowObject,
} from "../store/intent-objects.ts";
import { TABLES } from "../store/tables.ts";
import { assignmentName } from "../store/wishes.ts";
import { differs, type Touch } from "./intent-changes.ts";
import {
  containerJobId,
  containerJobs,
  listedMembers,
  requireNamed,
  requirePackage,
  type Pen,
} from "./intent-pen.ts";
import { newestRevision } from "./rule-snapshots.ts";

export function writeEndpointGroup(pen: Pen, input: EndpointGroup): Touch {
  checkEndpointGroup(input);
  const { draft } = pen;
  const { name, query, endpoints = [] } = input;
  const known = draft.get(TABLES.endpointGroups, name);
  const members = known === undefined ? [] : listedMembers(pen, known);
  const before =
    known &&
    endpointGroupObject(
      known,
      members.map((one) => one.name),
    );
  const { tenant = TENANT_DEFAULT } = input;
  const record = { name, tenant, ...(query === undefined ? {} : { query }), ...madeOf(pen, known) };
  const wanted = new Map(endpoints.map((one) => [requireNamed(pen, one).id, one]));
  for (const { id } of members) {
    if (!wanted.has(id)) draft.set(TABLES.members, `${id}/${name}`, undefined);
  }
  for (const [id, endpoint] of wanted) {
    const ofEndpoint = tenantOf(draft, requireNamed(pen, endpoint));
    if (ofEndpoint !== tenant) throw otherTenant(endpoint, ofEndpoint, name, tenant);
    if (draft.get(TABLES.members, `${id}/${name}`) === undefined) {
      draft.set(TABLES.members, `${id}/${name}`, { group: name, endpoint: id });
    }
  }
  const after = endpointGroupObject(record, [...wanted.values()]);
  return written({ kind: "endpointGroup", name, before, after }, () => {
    draft.set(TABLES.endpointGroups, name, record);
  });
}

export function writePackageGroup(pen: Pen, input: PackageGroup): Touch {
  checkPackageGroup(input);
  for (const entry of input.entries) requireEntry(pen, entry);
  const { name, entries } = input;
  const known = pen.draft.get(TABLES.packageGroups, name);
  const additions = additionsOf(known, entries);
  const record = { name, entries, additions, ...madeOf(pen, known) };
  const before = known && packageGroupObject(known);
  return written({ kind: "packageGroup", name, before, after: packageGroupObject(record) }, () =>
    pen.draft.set(TABLES.packageGroups, name, record),
  );
}

export function writeAssignment(pen: Pen, input: Assignment): Touch {
  checkSchedule(input.schedule ?? {});
  const { packageGroup, endpointGroup, schedule } = input;
  const id = `${endpointGroup}/${packageGroup}`;
  const known = pen.draft.get(TABLES.assignments, id);
  const record = { packageGroup, endpointGroup, ...optional({ schedule }), ...madeOf(pen, known) };
  const before = known && assignmentObject(known);
  const name = assignmentName(record);
  return written({ kind: "assignment", name, before, after: assignmentObject(record) }, () =>
    pen.draft.set(TABLES.assignments, id, record),
  );
}

export function writeRule(pen: Pen, input: DeploymentRule): Touch {
  checkSchedule(input.schedule ?? {});
  const { name, endpointGroup, packageGroup, isEnabled, schedule } = input;
  const known = pen.draft.get(TABLES.rules, name);
  const record = {
    name,
    endpointGroup,
    packageGroup,
    ...optional({ isEnabled, schedule }),
    snapshot: known?.snapshot ?? {},
    ...madeOf(pen, known),
  };
  const before = known && ruleObject(known);
  return written({ kind: "rule", name, before, after: ruleObject(record) }, () =>
    pen.draft.set(TABLES.rules, name, record),
  );
}

/** Jobs keep their place and thereby what they reported; what is not named any more goes. */
export function writeContainer(pen: Pen, input: JobContainer): Touch {
  checkSchedule(input.schedule ?? {});
  const { draft } = pen;
  const { name, schedule } = input;
  const known = draft.get(TABLES.containers, name);
  const nameOf = (id: ContainerJobRecord["endpoint"]) => draft.get(TABLES.endpoints, id)?.name;
  const oldJobs = containerJobs(pen, name);
  const before = known && containerObject(known, oldJobs, nameOf);
  const abortedMs = known?.abortedMs;
  const record = { name, ...optional({ schedule, abortedMs }), ...madeOf(pen, known) };
  const jobs = input.jobs.map((job, sequence) => jobRecord(pen, name, job, sequence));
  const ids = new Set(jobs.map(containerJobId));
  const after = containerObject(record, jobs, nameOf);
  return written({ kind: "container", name, before, after }, () => {
    draft.set(TABLES.containers, name, record);
    for (const job of oldJobs) {
      if (!ids.has(containerJobId(job)))
        draft.set(TABLES.containerJobs, containerJobId(job), undefined);
    }
    for (const job of jobs) draft.set(TABLES.containerJobs, containerJobId(job), job);
  });
}

export function writeRollout(pen: Pen, input: Rollout): Touch {
  checkRollout(input);
  checkSchedule(input.schedule ?? {});
  const { name, packageGroup, endpointGroup, rings, schedule } = input;
  const known = pen.draft.get(TABLES.rollouts, name);
  const { stopped, resumedMs } = known ?? {};
  const record = {
    name,
    packageGroup,
    endpointGroup,
    rings,
    ...optional({ schedule, stopped, resumedMs }),
    openedMs: known?.openedMs ?? [],
    ...madeOf(pen, known),
  };
  const before = known && rolloutObject(known);
  return written({ kind: "rollout", name, before, after: rolloutObject(record) }, () =>
    pen.draft.set(TABLES.rollouts, name, record),
  );
}

export function writeWindow(pen: Pen, input: MaintenanceWindow): Touch {
  checkWindow(input);
  const known = pen.draft.get(TABLES.windows, input.name);
  const record = { ...input, ...madeOf(pen, known) };
  const before = known && windowObject(known);
  const { name } = input;
  return written({ kind: "window", name, before, after: windowObject(record) }, () =>
    pen.draft.set(TABLES.windows, name, record),
  );
}

/** The version that is there now: its jobs keep it, whatever is published later (OCO-33). */
function jobRecord(
  pen: Pen,
  container: string,
  job: ContainerJob,
  sequence: number,
): ContainerJobRecord {
  const { endpoint, name, operation = "install", force } = job;
  const { id } = requireNamed(pen, endpoint);
  const known = pen.draft.get(TABLES.containerJobs, `${id}/${container}/${sequence}`);
  const isKept = known?.name === name && plainVersion(known.version) === job.version;
  const version = isKept ? known.version : newestRevision(pen.draft, name, job.version);
  requirePackage(pen, { name, version });
  return { container, endpoint: id, name, version, operation, ...optional({ force }), sequence };
}

function requireEntry(pen: Pen, { name, version, ensure }: PackageEntry): void {
  if (version !== undefined) {
    requirePackage(pen, { name, version: newestRevision(pen.draft, name, version) });
    return;
  }
  const isKnown = pen.draft.all(TABLES.packages).some((one) => one.name === name);
  if (!isKnown && ensure !== "absent") {
    throw new DeployError("NOT_FOUND", { what: `package ${name}` });
  }
}

// SE-23: a package that comes back into the group begins its attempts anew.
function additionsOf(
  known: PackageGroupRecord | undefined,
  entries: readonly PackageEntry[],
): Record<string, number> {
  const before = new Set(known?.entries.map(({ name }) => name));
  const counts = { ...known?.additions };
  for (const name of new Set(entries.map((entry) => entry.name))) {
    if (!before.has(name)) counts[name] = (counts[name] ?? -1) + 1;
  }
  return counts;
}

function madeOf({ parts, nowMs }: Pen, known: { order: number; createdMs: number } | undefined) {
  if (known !== undefined) return { order: known.order, createdMs: known.createdMs };
  return { order: parts.intents.nextOrder(), createdMs: nowMs };
}

function written(touch: Touch, write: () => void): Touch {
  if (differs(touch)) write();
  return touch;
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without the fields that are undefined. */
function optional<T extends Record<string, unknown>>(fields: T): Present<T>;
function optional(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function otherTenant(
  endpoint: string,
  tenant: string,
  group: string,
  expected: string,
): DeployError {
  return new DeployError("TENANT_MISMATCH", { endpoint, tenant, group, expected });
}
