/**
 * What a job report changes beside itself: the belief of what is installed, and the container that a
 * failure ends for everybody (OCO-37, OCO-48, D4).
 */
import { installedAfter } from "../core/plan/installed.ts";
import type { PlanInstalled } from "../core/plan/plan-model.ts";
import { packageRefText, type EndpointId, type PackageRef } from "../../protocol/ids.ts";
import type { PackageRules } from "../../protocol/package-rules.ts";
import type { JobReport } from "../../protocol/report.ts";
import { setRecord, type RecordChange } from "../store/records.ts";
import { TABLES } from "../store/tables.ts";
import type { Parts } from "./parts.ts";
import { planFor } from "./planning.ts";

export function effectsOf(parts: Parts, report: JobReport): readonly RecordChange[] {
  if (report.purpose !== "perform") return [];
  return [...installedChanges(parts, report), ...abortChanges(parts, report)];
}

function installedChanges(parts: Parts, report: JobReport): readonly RecordChange[] {
  const { records, now } = parts;
  const { endpoint, name, version, operation = "install", state } = report;
  const before = records.below(TABLES.installed, endpoint).map(([, one]) => one);
  const rulesOf = (ref: PackageRef): PackageRules | undefined =>
    records.get(TABLES.packages, packageRefText(ref))?.rules;
  const done = { ref: { name, version }, operation, state };
  // By the coordinator's clock: it is compared with instants of its own.
  const after = installedAfter(before, done, rulesOf, now());
  if (after === before) return [];
  return installedRows(endpoint, before, after);
}

/** Rows that differ; none is ever deleted. */
export function installedRows(
  endpoint: EndpointId,
  before: readonly PlanInstalled[],
  after: readonly PlanInstalled[],
): readonly RecordChange[] {
  return after
    .filter((row) => !before.includes(row))
    .map((row) => setRecord(TABLES.installed, `${endpoint}/${row.name}/${row.version}`, row));
}

function abortChanges(parts: Parts, report: JobReport): readonly RecordChange[] {
  const { records, now } = parts;
  if (report.state !== "failed") return [];
  return containersOf(parts, report).flatMap((name) => {
    const container = records.get(TABLES.containers, name);
    const schedule = container?.schedule;
    const isEnded =
      schedule?.sequenceMode === "abortAfterFailed" && schedule.abortScope !== "endpoint";
    if (container === undefined || !isEnded || container.abortedMs !== undefined) return [];
    return [setRecord(TABLES.containers, name, { ...container, abortedMs: now() })];
  });
}

/** Containers that the reported job was handed out for. */
function containersOf(parts: Parts, report: JobReport): readonly string[] {
  const record = parts.records.get(TABLES.endpoints, report.endpoint);
  if (record === undefined || !hasContainers(parts, report.endpoint)) return [];
  const instruction = planFor(parts, record).instructions.find(
    ({ job, revision }) => job === report.job && revision === report.revision,
  );
  return (instruction?.from ?? []).flatMap((source) => {
    const [kind, ...name] = source.split("/");
    return kind === "container" ? [name.join("/")] : [];
  });
}

function hasContainers({ records }: Parts, endpoint: EndpointId): boolean {
  return records.below(TABLES.containerJobs, endpoint).length > 0;
}
