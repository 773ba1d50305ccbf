/**
 * The jobs of one container, rule, assignment or rollout: what the plan makes of them on each endpoint, and
 * what the endpoints reported.
 */
import { isFinished, type JobTimes } from "../core/intent/container-standing.ts";
import type { PlannedInstruction, WaitingJob } from "../core/plan/plan-model.ts";
import type { JobView } from "../../protocol/intent-api.ts";
import type { JobReport } from "../../protocol/report.ts";
import { TABLES, type EndpointRecord } from "../store/tables.ts";
import type { Parts } from "./parts.ts";
import { planFor } from "./planning.ts";

export interface FoundJob extends JobTimes {
  readonly endpoint: EndpointRecord;
  readonly ref: WaitingJob["ref"];
  readonly operation: JobView["operation"];
  readonly reason: string | undefined;
  readonly sinceMs: number;
  readonly report: JobReport | undefined;
}

/** `tag`: `container/NAME`, `rule/NAME`, as the plan names its sources. */
export function jobsOf(
  parts: Parts,
  tag: string,
  endpoints: readonly EndpointRecord[],
): readonly FoundJob[] {
  return endpoints.flatMap((endpoint) => {
    const { instructions, waiting, preview } = planFor(parts, endpoint);
    return [
      ...instructions
        .filter(({ purpose, from }) => purpose === "perform" && from.includes(tag))
        .map((one) => handedOut(parts, endpoint, one)),
      ...[...waiting, ...preview]
        .filter(({ from }) => from.includes(tag))
        .map((one) => heldBack(parts, endpoint, one)),
    ];
  });
}

export function jobView(job: FoundJob): JobView {
  const { endpoint, ref, operation, state, reason, report, startedMs, endedMs } = job;
  return {
    endpoint: endpoint.name,
    name: ref.name,
    version: ref.version ?? null,
    operation,
    state,
    attempt: report?.attempt ?? 0,
    since: instant(job.sinceMs),
    ...(report?.outcome === undefined ? {} : { outcome: report.outcome }),
    ...(report?.exitCode === undefined ? {} : { exitCode: report.exitCode }),
    ...(report?.systemCode === undefined ? {} : { systemCode: report.systemCode }),
    ...(reason === undefined ? {} : { reason }),
    ...(startedMs === undefined ? {} : { startedAt: instant(startedMs) }),
    ...(endedMs === undefined ? {} : { endedAt: instant(endedMs) }),
  };
}

export function instant(atMs: number): string {
  return new Date(atMs).toISOString();
}

function handedOut(parts: Parts, endpoint: EndpointRecord, one: PlannedInstruction): FoundJob {
  const report = parts.records.get(TABLES.jobs, `${endpoint.id}/${one.job}`);
  const isOfIt = report !== undefined && report.revision === one.revision;
  const shared = { endpoint, ref: one.ref, operation: one.operation ?? "install" };
  if (!isOfIt) {
    const seenMs = parts.presence.get(endpoint.id)?.seenMs;
    return {
      ...shared,
      state: "waiting",
      reason: notPickedUp(seenMs),
      sinceMs: seenMs ?? endpoint.joinedMs,
      report: undefined,
      startedMs: undefined,
      endedMs: undefined,
    };
  }
  return { ...shared, ...timesOf(report), reason: report.reason, sinceMs: report.atMs, report };
}

function heldBack(parts: Parts, endpoint: EndpointRecord, one: WaitingJob): FoundJob {
  const report = parts.records.get(TABLES.jobs, `${endpoint.id}/${one.job}`);
  const sinceMs = one.reasons[0]?.sinceMs ?? endpoint.joinedMs;
  // A report of this very result knows more than the plan; any other is of an older wish.
  const own = report?.state === one.state ? report : undefined;
  const times = own === undefined ? undefined : timesOf(own);
  return {
    endpoint,
    ref: one.ref,
    operation: one.operation,
    state: one.state,
    reason: own?.reason ?? one.reasons.map(({ text }) => text).join(" "),
    sinceMs: own?.atMs ?? sinceMs,
    report: own,
    startedMs: times?.startedMs,
    endedMs: times?.endedMs ?? (isFinished(one.state) ? sinceMs : undefined),
  };
}

export function notPickedUp(seenMs: number | undefined): string {
  const contact = seenMs === undefined ? "none since it joined" : instant(seenMs);
  return `not yet picked up; last contact ${contact}`;
}

function timesOf({ state, trace, atMs }: JobReport): JobTimes {
  const startedMs = trace[0]?.atMs ?? (state === "waiting" ? undefined : atMs);
  return { state, startedMs, endedMs: isFinished(state) ? atMs : undefined };
}
