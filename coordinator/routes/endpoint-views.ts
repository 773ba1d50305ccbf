/** One endpoint: what is on it, what it did, and why each wish stands as it does. */
import { isInstalled } from "../core/plan/installed.ts";
import { isFinished } from "../core/intent/container-standing.ts";
import type { PlannedInstruction, WaitingJob, WaitReason } from "../core/plan/plan-model.ts";
import { parseEndpointId } from "../../protocol/ids.ts";
import type { EndpointDetail, Why } from "../../protocol/page-api.ts";
import { tenantOf } from "../store/group-members.ts";
import { TABLES, type EndpointRecord } from "../store/tables.ts";
import { barField } from "./bar-views.ts";
import { notFound } from "./intent-pen.ts";
import { instant } from "./job-views.ts";
import type { Parts } from "./parts.ts";
import { effectiveSite, planFor } from "./planning.ts";

/** By name or id. Throws NOT_FOUND. */
export function requireEndpoint(
  { records }: Pick<Parts, "records">,
  nameOrId: string,
): EndpointRecord {
  const named = records.get(TABLES.names, nameOrId)?.endpoint;
  const id = named ?? (nameOrId.startsWith("12D3KooW") ? parseEndpointId(nameOrId) : undefined);
  const record = id === undefined ? undefined : records.get(TABLES.endpoints, id);
  if (record === undefined) throw notFound(`endpoint ${nameOrId.slice(0, 100)}`);
  return record;
}

export function endpointDetail(parts: Parts, nameOrId: string): EndpointDetail {
  const { records, intents } = parts;
  const record = requireEndpoint(parts, nameOrId);
  const { id, name } = record;
  const scan = records.get(TABLES.scans, id);
  return {
    name,
    id,
    site: effectiveSite(parts, record),
    tenant: tenantOf(records, record),
    groups: [...intents.groupsOf(record)],
    installed: records
      .below(TABLES.installed, id)
      .map(([, one]) => one)
      .filter(isInstalled)
      .map((one) => ({ name: one.name, version: one.version, since: instant(one.sinceMs) })),
    detected: scan?.software ?? [],
    scannedAt: scan === undefined ? null : instant(scan.atMs),
    runs: (records.get(TABLES.runs, id) ?? []).toReversed(),
    ...barField(parts, id),
  };
}

type WhyJob = Why["jobs"][number];

/** What is done is listed without reasons. `packageName`: only that one. */
export function whyOf(parts: Parts, nameOrId: string, packageName: string | undefined): Why {
  const record = requireEndpoint(parts, nameOrId);
  const plan = planFor(parts, record);
  const jobs = [
    ...plan.instructions
      .filter(({ purpose }) => purpose === "perform")
      .map((one) => whyHandedOut(parts, record, one)),
    ...plan.waiting.map((one) => whyWaiting(parts, record, one, false)),
    ...plan.preview.map((one) => whyWaiting(parts, record, one, true)),
  ];
  return {
    endpoint: record.name,
    ...barField(parts, record.id),
    jobs: jobs.filter(({ name }) => packageName === undefined || name === packageName),
  };
}

function whyHandedOut(parts: Parts, { id }: EndpointRecord, one: PlannedInstruction): WhyJob {
  const report = parts.records.get(TABLES.jobs, `${id}/${one.job}`);
  const isOfIt = report !== undefined && report.revision === one.revision;
  const state = isOfIt ? report.state : "waiting";
  const seenMs = parts.presence.get(id)?.seenMs;
  const reasons: WhyJob["reasons"] = [];
  if (!isOfIt) {
    const contact = seenMs === undefined ? "none since it joined" : instant(seenMs);
    reasons.push({
      code: "notPickedUp",
      text: `It is handed out and the endpoint has not answered yet; last contact ${contact}.`,
      since: instant(seenMs ?? 0),
      endsWhen: "the endpoint checks in",
    });
  } else if (!isFinished(state)) {
    reasons.push({
      code: state,
      text: report.reason ?? `The endpoint says: ${state}.`,
      since: instant(report.atMs),
      endsWhen: state === "waiting" ? "its next attempt" : "it reports the result",
    });
  }
  return {
    name: one.ref.name,
    version: one.ref.version,
    operation: one.operation ?? "install",
    state,
    from: [...one.from],
    attempt: isOfIt ? report.attempt : 0,
    attemptLimit: one.attemptLimit,
    reasons,
    isPreview: false,
  };
}

function whyWaiting(
  parts: Parts,
  { id }: EndpointRecord,
  one: WaitingJob,
  isPreview: boolean,
): WhyJob {
  const report = parts.records.get(TABLES.jobs, `${id}/${one.job}`);
  const isDone = one.state === "succeeded" || one.state === "alreadyInstalled";
  return {
    name: one.ref.name,
    version: one.ref.version ?? null,
    operation: one.operation,
    state: one.state,
    from: [...one.from],
    attempt: report?.attempt ?? 0,
    attemptLimit: attemptLimitOf(parts, id, one),
    reasons: isDone ? [] : one.reasons.map(reasonView),
    isPreview,
  };
}

function attemptLimitOf(parts: Parts, id: EndpointRecord["id"], { from }: WaitingJob): number {
  const record = parts.records.get(TABLES.endpoints, id);
  const intents = record === undefined ? [] : parts.intents.of(record).intents;
  const own = intents.find(({ source, name }) => from.includes(`${source}/${name}`));
  return own?.schedule.attemptLimit ?? 0;
}

function reasonView({ code, text, sinceMs, endsWhen, endsMs }: WaitReason) {
  const endsAt = endsMs === undefined ? {} : { endsAt: instant(endsMs) };
  return { code, text, since: instant(sinceMs), endsWhen, ...endsAt };
}
