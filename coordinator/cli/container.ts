/** Job containers at the command line: the assistant, their metadata, their jobs. */
import {
  parseChangesAnswer,
  parseContainerDetail,
  parseContainers,
  parseDraft,
  type ContainerView,
  type JobView,
} from "../../protocol/intent-api.ts";
import { OperationSchema } from "../../protocol/intent.ts";
import { parserOf } from "../../protocol/json.ts";
import { dryRunField, printChanges } from "./change-text.ts";
import type { ChangingOptions } from "./group.ts";
import { openClient, type OperatorOptions } from "./operator.ts";
import { scheduleFrom, type ScheduleOptions } from "./schedule-options.ts";
import { shownText, tableText } from "./table.ts";
import { printResult, type Session } from "./terminal.ts";

export interface ContainerOptions extends ChangingOptions, ScheduleOptions {
  readonly endpoint?: readonly string[];
  readonly endpointGroup?: readonly string[];
  readonly having?: readonly string[];
  readonly package?: readonly string[];
  readonly packageGroup?: readonly string[];
  readonly operation?: string;
  readonly force?: boolean;
}

const parseOperation = parserOf("--operation", OperationSchema);

export async function createContainer(
  name: string,
  options: ContainerOptions,
  session: Session,
): Promise<void> {
  const schedule = scheduleFrom(options);
  const { operation, force, endpoint, endpointGroup, having, packageGroup } = options;
  const body = {
    name,
    ...(schedule === undefined ? {} : { schedule }),
    ...(endpoint === undefined ? {} : { endpoints: endpoint }),
    ...(endpointGroup === undefined ? {} : { endpointGroups: endpointGroup }),
    ...(having === undefined ? {} : { having }),
    ...(options.package === undefined ? {} : { packages: options.package }),
    ...(packageGroup === undefined ? {} : { packageGroups: packageGroup }),
    ...(operation === undefined ? {} : { operation: parseOperation(operation) }),
    ...(force === undefined ? {} : { force }),
    ...dryRunField(options),
  };
  await using client = await openClient(options, session);
  const answer = await client.tell("POST", "/v1/containers", body, parseChangesAnswer);
  printChanges(answer, options, session);
}

/** What a page of the console would begin with (OCO-4). */
export async function draftContainer(
  options: OperatorOptions & {
    readonly endpoint?: string;
    readonly package?: string;
    readonly having?: string;
  },
  session: Session,
): Promise<void> {
  const query = new URLSearchParams();
  for (const key of ["endpoint", "package", "having"] as const) {
    const value = options[key];
    if (value !== undefined) query.set(key, value);
  }
  await using client = await openClient(options, session);
  const draft = await client.ask(`/v1/containers/draft?${query.toString()}`, parseDraft);
  const text = `endpoints: ${draft.endpoints.join(", ")}\npackages: ${draft.packages.join(", ")}\n`;
  printResult(session.terminal, options.json, draft, text);
}

export async function editContainer(
  name: string,
  options: ChangingOptions & ScheduleOptions,
  session: Session,
): Promise<void> {
  const path = `/v1/containers/${encodeURIComponent(name)}`;
  await using client = await openClient(options, session);
  const { schedule: before } = await client.ask(path, parseContainerDetail);
  const schedule = { ...before, ...scheduleFrom(options) };
  const body = { schedule, ...dryRunField(options) };
  printChanges(await client.tell("PUT", path, body, parseChangesAnswer), options, session);
}

export async function listContainers(options: OperatorOptions, session: Session): Promise<void> {
  await using client = await openClient(options, session);
  const containers = await client.ask("/v1/containers", parseContainers);
  const text =
    containers.length === 0
      ? "no container\nnext: branchline container create --help\n"
      : tableText(
          ["NAME", "STATE", "JOBS", "TOTAL", "EFFECTIVE", "BY STATE"],
          containers.map(containerRow),
        );
  printResult(session.terminal, options.json, { containers }, text);
}

export async function showContainer(
  name: string,
  options: OperatorOptions,
  session: Session,
): Promise<void> {
  await using client = await openClient(options, session);
  const path = `/v1/containers/${encodeURIComponent(name)}`;
  const container = await client.ask(path, parseContainerDetail);
  const { totalRuntime, effectiveRuntime, state } = container;
  const head = `${name}: ${state}, total run time ${totalRuntime}, effective ${effectiveRuntime}\n`;
  printResult(session.terminal, options.json, container, head + jobsText(container.jobs));
}

function containerRow(one: ContainerView): string[] {
  const counts = Object.entries(one.counts).map(([state, count]) => `${count} ${state}`);
  return [
    one.name,
    one.isAborted ? `${one.state}, aborted` : one.state,
    String(one.jobCount),
    one.totalRuntime,
    one.effectiveRuntime,
    counts.join(", "),
  ];
}

export function jobsText(jobs: readonly JobView[]): string {
  const rows = jobs.map((job) => [
    job.endpoint,
    job.version === null ? job.name : `${job.name}@${job.version}`,
    job.operation,
    job.state,
    job.exitCode === undefined ? String(job.systemCode ?? "") : String(job.exitCode),
    String(job.attempt),
    shownText(job.reason ?? ""),
  ]);
  const headings = ["ENDPOINT", "PACKAGE", "OPERATION", "STATE", "CODE", "ATTEMPT", "REASON"];
  return rows.length === 0 ? "no job\n" : tableText(headings, rows);
}
