/** Where a deployment stands, out of the fleet's status: a pure judgement, so that waiting is testable. */
import type { PackageRef } from "../../protocol/ids.ts";
import type { Status, StatusJob } from "../../protocol/operator-api.ts";
import type { JobState } from "../../protocol/report.ts";

const GOOD_STATES: ReadonlySet<JobState> = new Set(["succeeded", "alreadyInstalled"]);
const BAD_STATES: ReadonlySet<JobState> = new Set([
  "failed",
  "expired",
  "incompatible",
  "conflict",
]);

export interface EndpointStanding {
  readonly endpoint: string;
  readonly verdict: "pending" | "good" | "bad";
  /** Absent until the coordinator has planned it. */
  readonly state?: JobState;
  readonly reason?: string;
  readonly exitCode?: number;
}

export interface DeploymentStanding {
  readonly endpoints: readonly EndpointStanding[];
  readonly pending: readonly EndpointStanding[];
  readonly bad: readonly EndpointStanding[];
}

export function standingOf(
  status: Status,
  ref: PackageRef,
  names: readonly string[],
): DeploymentStanding {
  const endpoints = names.map((name) => {
    const found = status.endpoints.find((endpoint) => endpoint.name === name);
    const job = found?.jobs.find(
      (each) => each.package === ref.name && each.version === ref.version,
    );
    return endpointStanding(name, job);
  });
  return {
    endpoints,
    pending: endpoints.filter((endpoint) => endpoint.verdict === "pending"),
    bad: endpoints.filter((endpoint) => endpoint.verdict === "bad"),
  };
}

/** `4 downloading, 1 waiting`: the pending ones by state. */
export function pendingText(standing: DeploymentStanding): string {
  const counts = new Map<string, number>();
  for (const { state } of standing.pending) {
    const word = state ?? "not planned yet";
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts].map(([word, count]) => `${count} ${word}`).join(", ");
}

function endpointStanding(endpoint: string, job: StatusJob | undefined): EndpointStanding {
  if (job === undefined) return { endpoint, verdict: "pending" };
  const { state, reason, exitCode } = job;
  return {
    endpoint,
    verdict: verdictOf(state),
    state,
    ...(reason === undefined ? {} : { reason }),
    ...(exitCode === undefined ? {} : { exitCode }),
  };
}

function verdictOf(state: JobState): EndpointStanding["verdict"] {
  if (GOOD_STATES.has(state)) return "good";
  return BAD_STATES.has(state) ? "bad" : "pending";
}
