/**
 * Attempts begun anew, one endpoint or a thousand at once, and records corrected by hand. Nothing here
 * changes what is wished (OCO-36, OCO-45).
 */
import { forgottenAfter } from "../core/plan/installed.ts";
import type { EndpointName, PackageName } from "../../protocol/ids.ts";
import type { ChangesAnswer, RetryAnswer, RetryInput } from "../../protocol/intent-api.ts";
import type { ForgetInput } from "../../protocol/page-api.ts";
import type { JobReport } from "../../protocol/report.ts";
import { openDraft } from "../store/record-draft.ts";
import { TABLES, type EndpointRecord } from "../store/tables.ts";
import { membersOf } from "./intent-changes.ts";
import { containerJobId, containerJobs, notFound, requireNamed, type Pen } from "./intent-pen.ts";
import type { Parts } from "./parts.ts";
import { installedRows } from "./report-effects.ts";
import { effectiveSite } from "./planning.ts";
import { newestRevision } from "./rule-snapshots.ts";
import { parsePackageVersion } from "../../protocol/ids.ts";
import { plainVersion } from "../../protocol/version-order.ts";

/** Failed jobs that fit; their containers take the newest procedure of the version as well. */
export async function retry(parts: Parts, input: RetryInput): Promise<RetryAnswer> {
  const { records } = parts;
  const isDryRun = input.isDryRun === true;
  return records.change(() => {
    const pen: Pen = { parts, draft: openDraft(records), nowMs: parts.now() };
    const jobs = selected(pen, input).flatMap((endpoint) =>
      failedPackages(parts, endpoint, input).map((name) => ({
        endpoint: endpoint.name,
        name,
        resets: reset(pen, endpoint, name),
      })),
    );
    renewContainers(pen, jobs);
    return { changes: isDryRun ? [] : pen.draft.changes(), result: { isDryRun, jobs } };
  });
}

/** The record of an installation goes, and nothing runs; a rule that still wants it installs it again. */
export async function forget(parts: Parts, input: ForgetInput): Promise<ChangesAnswer> {
  const { name, version, isDryRun = false } = input;
  return parts.records.change(() => {
    const pen: Pen = { parts, draft: openDraft(parts.records), nowMs: parts.now() };
    const endpoint = requireNamed(pen, input.endpoint);
    const before = parts.records.below(TABLES.installed, endpoint.id).map(([, row]) => row);
    const after = forgottenAfter(before, { name, version }, pen.nowMs);
    if (after === before) {
      throw notFound(`record that ${name}@${version} is installed on ${input.endpoint}`);
    }
    const change = {
      kind: "package" as const,
      name: `${name}@${version}`,
      change: "delete" as const,
      fields: [],
      endpointCount: 1,
    };
    const result = { isDryRun, changes: [change] };
    return { changes: isDryRun ? [] : installedRows(endpoint.id, before, after), result };
  });
}

function selected(pen: Pen, input: RetryInput): readonly EndpointRecord[] {
  const { parts } = pen;
  const { endpoint, endpointGroup, site, container } = input;
  const groupIds = endpointGroup === undefined ? undefined : requireGroup(pen, endpointGroup);
  const containerIds =
    container === undefined
      ? undefined
      : new Set(containerJobs(pen, container).map((job) => job.endpoint));
  const from =
    endpoint === undefined ? parts.records.all(TABLES.endpoints) : [requireNamed(pen, endpoint)];
  return from.filter(
    (one) =>
      groupIds?.has(one.id) !== false &&
      containerIds?.has(one.id) !== false &&
      (site === undefined || effectiveSite(parts, one) === site),
  );
}

function requireGroup(pen: Pen, name: string) {
  if (pen.draft.get(TABLES.endpointGroups, name) === undefined) {
    throw notFound(`endpoint group ${name}`);
  }
  return membersOf(pen, name, true);
}

function failedPackages(
  { records }: Parts,
  { id }: EndpointRecord,
  { name, container }: RetryInput,
): readonly PackageName[] {
  const ofContainer = records
    .below(TABLES.containerJobs, id)
    .filter(([, job]) => job.container === container)
    .map(([, job]) => job.name);
  const failed = records
    .below(TABLES.jobs, id)
    .map(([, report]) => report)
    .filter(isFailed)
    .map((report) => report.name)
    .filter((one) => name === undefined || one === name)
    .filter((one) => container === undefined || ofContainer.includes(one));
  return [...new Set(failed)];
}

function isFailed({ state }: JobReport): boolean {
  return state === "failed" || state === "expired";
}

function reset({ draft, nowMs }: Pen, { id }: EndpointRecord, name: PackageName): number {
  const key = `${id}/${name}`;
  const count = (draft.get(TABLES.resets, key)?.count ?? 0) + 1;
  draft.set(TABLES.resets, key, { count, atMs: nowMs });
  return count;
}

/** Their jobs take the newest revision, and a container that a failure had ended goes on. */
function renewContainers(
  pen: Pen,
  jobs: readonly { readonly endpoint: EndpointName; readonly name: PackageName }[],
): void {
  const { draft, parts } = pen;
  const renewed = new Set<string>();
  for (const { endpoint, name } of jobs) {
    const { id } = requireNamed(pen, endpoint);
    for (const [, job] of parts.records.below(TABLES.containerJobs, id)) {
      if (job.name !== name) continue;
      renewed.add(job.container);
      const plain = parsePackageVersion(plainVersion(job.version));
      const version = newestRevision(draft, name, plain);
      if (version !== job.version) {
        draft.set(TABLES.containerJobs, containerJobId(job), { ...job, version });
      }
    }
  }
  for (const container of renewed) {
    const known = draft.get(TABLES.containers, container);
    if (known?.abortedMs === undefined) continue;
    const { abortedMs: _abortedMs, ...rest } = known;
    draft.set(TABLES.containers, container, rest);
  }
}
