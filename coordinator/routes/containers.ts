/**
 * Job containers: the assistant that makes one, how they stand, and their end (OCO-1…OCO-6, OCO-25,
 * OCO-26, OCO-38, OCO-40).
 */
import { containerStanding, isPurgeDue, runtimeText } from "../core/intent/container-standing.ts";
import { isInstalled } from "../core/plan/installed.ts";
import { planScheduleOf } from "../core/intent/intent-schedule.ts";
import { DeployError } from "../../protocol/errors.ts";
import {
  packageRefText,
  parsePackageRef,
  type EndpointName,
  type PackageRef,
} from "../../protocol/ids.ts";
import type {
  AssistInput,
  ChangesAnswer,
  ContainerDetail,
  ContainerView,
  Draft,
} from "../../protocol/intent-api.ts";
import type { ContainerJob, PackageEntry, Schedule } from "../../protocol/intent.ts";
import { inOrder } from "../store/intent-objects.ts";
import type { ContainerJobRecord, ContainerRecord } from "../store/intent-records.ts";
import { planCatalog } from "../store/plan-catalog.ts";
import { openDraft } from "../store/record-draft.ts";
import { TABLES, type EndpointRecord } from "../store/tables.ts";
import { applyIntent } from "./intent-apply.ts";
import { membersOf } from "./intent-changes.ts";
import { notFound, type Pen } from "./intent-pen.ts";
import { removeContainer } from "./intent-removal.ts";
import { instant, jobsOf, jobView, type FoundJob } from "./job-views.ts";
import type { Parts } from "./parts.ts";

/** One job for each endpoint and package, in the order in which the packages are named (OCO-3). */
export async function assist(parts: Parts, input: AssistInput): Promise<ChangesAnswer> {
  const { name, schedule, operation, force, isDryRun = false } = input;
  const { records } = parts;
  if (records.get(TABLES.containers, name) !== undefined) {
    throw new DeployError("INTENT_IN_USE", {
      what: `the name ${name}`,
      users: "another container",
    });
  }
  const endpoints = selectedEndpoints(parts, input);
  const packages = selectedPackages(parts, input);
  if (endpoints.length === 0 || packages.length === 0) {
    const what =
      endpoints.length === 0 ? "the selection of endpoints" : "the selection of packages";
    throw new DeployError("INPUT_INVALID", { what, expected: "at least one" });
  }
  const jobs: ContainerJob[] = endpoints.flatMap((endpoint) =>
    packages.map((ref) => ({
      endpoint,
      ...ref,
      ...(operation === undefined ? {} : { operation }),
      ...(force === undefined ? {} : { force }),
    })),
  );
  const container = { name, jobs, ...(schedule === undefined ? {} : { schedule }) };
  return applyIntent(parts, { intent: { v: 1, containers: [container] }, isDryRun });
}

/** What a page begins with: its own endpoint, package, or everybody who has a version (OCO-4, OCO-40). */
export function draftOf(
  parts: Parts,
  query: {
    readonly endpoint?: string;
    readonly package?: string;
    readonly having?: string;
  },
): Draft {
  const { endpoint, having } = query;
  if (endpoint !== undefined && parts.records.get(TABLES.names, endpoint) === undefined) {
    throw notFound(`endpoint ${endpoint.slice(0, 100)}`);
  }
  const named =
    endpoint === undefined
      ? []
      : parts.records.all(TABLES.endpoints).filter(({ name }) => name === endpoint);
  const owners = having === undefined ? [] : ownersOf(parts, having);
  const ref =
    query.package === undefined ? undefined : packageRefText(parsePackageRef(query.package));
  if (ref !== undefined && parts.records.get(TABLES.packages, ref) === undefined) {
    throw notFound(`package ${ref}`);
  }
  return {
    endpoints: [...new Set([...named, ...owners].map(({ name }) => name))],
    packages: ref === undefined ? [] : [ref],
  };
}

/** Endpoints that a version is installed on, in the order of their joining. */
export function ownersOf(parts: Parts, packageText: string): readonly EndpointRecord[] {
  const text = packageRefText(parsePackageRef(packageText));
  return [...parts.intents.installedOn(text)]
    .filter((id) => {
      const row = parts.records.get(TABLES.installed, id);
      return row !== undefined && isInstalled(row);
    })
    .flatMap((id) => parts.records.get(TABLES.endpoints, id.slice(0, id.indexOf("/"))) ?? [])
    .toSorted((one, other) => one.joinedMs - other.joinedMs);
}

export function containerViews(parts: Parts): ContainerView[] {
  return inOrder(parts.records.all(TABLES.containers)).map((one) => viewOf(parts, one).view);
}

/** Throws NOT_FOUND. */
export function containerDetail(parts: Parts, name: string): ContainerDetail {
  const record = parts.records.get(TABLES.containers, name);
  if (record === undefined) throw notFound(`job container ${name}`);
  const { view, jobs } = viewOf(parts, record);
  return { ...view, jobs: jobs.map(jobView) };
}

/** Every pending job follows at once: they have no metadata of their own (OCO-2). */
export async function reschedule(
  parts: Parts,
  name: string,
  schedule: Schedule,
  isDryRun: boolean,
): Promise<ChangesAnswer> {
  const { jobs } = exported(parts, name);
  const containers = [{ name, schedule, jobs }];
  return applyIntent(parts, { intent: { v: 1, containers }, isDryRun });
}

/** Finished containers go after their time; open ones never (OCO-38). */
export async function purgeContainers(parts: Parts): Promise<void> {
  const { records, settings, now } = parts;
  const nowMs = now();
  const due = records
    .all(TABLES.containers)
    .filter((one) => isPurgeDue(viewOf(parts, one).standing, nowMs, settings.kept));
  if (due.length === 0) return;
  await records.change(() => {
    const draft = openDraft(records);
    for (const { name } of due) {
      if (draft.get(TABLES.containers, name) !== undefined) {
        removeContainer({ parts, draft, nowMs }, name);
      }
    }
    return { changes: draft.changes(), result: undefined };
  });
}

/** Names of the endpoints of a container that still have something open in it. */
export function openTargets(parts: Parts, record: ContainerRecord): readonly EndpointRecord[] {
  const open = foundJobs(parts, record).filter(({ endedMs }) => endedMs === undefined);
  return [...new Set(open.map(({ endpoint }) => endpoint))];
}

function viewOf(parts: Parts, record: ContainerRecord) {
  const { name, schedule = {}, createdMs, abortedMs } = record;
  const jobs = foundJobs(parts, record);
  const startMs = planScheduleOf(schedule, parts.intents.zone).startMs ?? createdMs;
  const standing = containerStanding(jobs, startMs, parts.now());
  const isOpen = standing.endedMs === undefined;
  const view: ContainerView = {
    name,
    schedule,
    createdAt: instant(createdMs),
    state: standing.state,
    isAborted: abortedMs !== undefined,
    counts: standing.counts,
    jobCount: jobs.length,
    totalRuntime: runtimeText(standing.totalMs, isOpen),
    effectiveRuntime: runtimeText(standing.effectiveMs, isOpen),
    totalRuntimeSec: Math.floor(standing.totalMs / 1000),
    effectiveRuntimeSec: Math.floor(standing.effectiveMs / 1000),
  };
  return { view, jobs, standing };
}

/** Its own jobs only: what they bring along (dependents, old versions) is not among them. */
function foundJobs(parts: Parts, { name }: ContainerRecord): readonly FoundJob[] {
  const own = [...parts.intents.jobsOf(name)]
    .flatMap((id) => parts.records.get(TABLES.containerJobs, id) ?? [])
    .toSorted((one, other) => one.sequence - other.sequence);
  const endpoints = [...new Set(own.map(({ endpoint }) => endpoint))].flatMap(
    (id) => parts.records.get(TABLES.endpoints, id) ?? [],
  );
  const found = Map.groupBy(jobsOf(parts, `container/${name}`, endpoints), (job) =>
    jobKey(job.endpoint.id, job.ref.name, job.ref.version, job.operation),
  );
  return own.flatMap((job) => {
    const key = jobKey(job.endpoint, job.name, job.version, job.operation);
    const endpoint = parts.records.get(TABLES.endpoints, job.endpoint);
    return found.get(key)?.[0] ?? (endpoint === undefined ? [] : unplanned(endpoint, job));
  });
}

function unplanned(endpoint: EndpointRecord, job: ContainerJobRecord): FoundJob {
  const { name, version, operation } = job;
  return {
    endpoint,
    operation,
    ref: { name, version },
    state: "waiting",
    reason: "not planned yet",
    sinceMs: endpoint.joinedMs,
    report: undefined,
    startedMs: undefined,
    endedMs: undefined,
  };
}

function jobKey(...parts: readonly (string | undefined)[]): string {
  return parts.join(" ");
}

function exported(parts: Parts, name: string): { readonly jobs: ContainerJob[] } {
  if (parts.records.get(TABLES.containers, name) === undefined)
    throw notFound(`job container ${name}`);
  const jobs = [...parts.intents.jobsOf(name)]
    .flatMap((id) => parts.records.get(TABLES.containerJobs, id) ?? [])
    .toSorted((one, other) => one.sequence - other.sequence)
    .flatMap((job) => {
      const endpoint = parts.records.get(TABLES.endpoints, job.endpoint)?.name;
      const { version, operation } = job;
      if (endpoint === undefined) return [];
      const force = job.force === undefined ? {} : { force: job.force };
      return [{ endpoint, name: job.name, version, operation, ...force }];
    });
  return { jobs };
}

function selectedEndpoints(parts: Parts, input: AssistInput): readonly EndpointName[] {
  const pen: Pen = { parts, draft: openDraft(parts.records), nowMs: parts.now() };
  const ofGroups = (input.endpointGroups ?? []).flatMap((group) => {
    if (parts.records.get(TABLES.endpointGroups, group) === undefined) {
      throw notFound(`endpoint group ${group}`);
    }
    return [...(membersOf(pen, group, true) ?? [])].flatMap(
      (id) => parts.records.get(TABLES.endpoints, id)?.name ?? [],
    );
  });
  const having = (input.having ?? []).flatMap((text) =>
    ownersOf(parts, text).map(({ name }) => name),
  );
  return [...new Set([...(input.endpoints ?? []), ...ofGroups, ...having])];
}

function selectedPackages(
  parts: Parts,
  input: AssistInput,
): readonly Omit<ContainerJob, "endpoint">[] {
  const ofGroups = (input.packageGroups ?? []).flatMap((name) => {
    const group = parts.records.get(TABLES.packageGroups, name);
    if (group === undefined) throw notFound(`package group ${name}`);
    return group.entries.map((entry) => entryRef(parts, entry));
  });
  return [...(input.packages ?? []).map(parsePackageRef), ...ofGroups];
}

/** A static job names a version: `latest` is the newest active one of now. */
function entryRef({ records }: Parts, { name, version, ensure }: PackageEntry): PackageRef {
  const newest = planCatalog(records)
    .versions(name)
    .find(({ isActive }) => isActive);
  const found = version ?? newest?.version;
  if (ensure !== "absent" && found !== undefined) return { name, version: found };
  const what = `${name} of the package group`;
  const expected = "a version to install, or an active one; uninstall jobs name their packages";
  throw new DeployError("INPUT_INVALID", { what, expected });
}
