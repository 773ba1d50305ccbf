/**
 * The reports of jobs: one numbered row, whatever is told (BR-5, OCS-11). Numbers never go back, also
 * over restarts.
 */
import { randomUUID } from "node:crypto";
import type { SourceBytes } from "../../protocol/check-in.ts";
import type { EndpointId, PackageRef, SiteName } from "../../protocol/ids.ts";
import type { Instruction } from "../../protocol/directive.ts";
import type { JobReport, JobState } from "../../protocol/report.ts";
import type { TraceEntry } from "./attempt.ts";
import type { ActionResult } from "./command-result.ts";

export interface JobFacts {
  readonly endpoint: EndpointId;
  readonly ref: PackageRef;
  readonly instruction: Instruction;
  readonly attempt: number;
  readonly trace: readonly TraceEntry[];
  readonly bytes: SourceBytes;
  readonly site: SiteName | undefined;
  readonly dp: EndpointId | undefined;
}

export function jobReport(
  facts: JobFacts,
  state: JobState,
  order: number,
  nowMs: number,
  result: Partial<ActionResult> = {},
): JobReport {
  const { job, revision, purpose, operation } = facts.instruction;
  return {
    kind: "job",
    id: randomUUID(),
    endpoint: facts.endpoint,
    job,
    revision,
    order,
    name: facts.ref.name,
    version: facts.ref.version,
    purpose,
    ...(operation === undefined ? {} : { operation }),
    state,
    attempt: Math.min(facts.attempt, 100),
    ...result,
    atMs: nowMs,
    trace: [...facts.trace],
    bytes: facts.bytes,
    ...(facts.site === undefined ? {} : { site: facts.site }),
    ...(facts.dp === undefined ? {} : { dp: facts.dp }),
  };
}

/** The final report of an attempt that began in an earlier process, out of the report of its start. */
export function resumedReport(
  start: JobReport,
  state: JobState,
  order: number,
  nowMs: number,
  end: { readonly result: ActionResult; readonly trace: readonly TraceEntry[] },
): JobReport {
  const trace = end.trace.length === 0 ? start.trace : [...end.trace];
  const ended = { step: "actionEnded", atMs: nowMs } as const;
  return {
    ...start,
    ...end.result,
    id: randomUUID(),
    state,
    order,
    atMs: nowMs,
    trace: end.result.outcome === "interrupted" ? trace : [...trace, ended],
  };
}
