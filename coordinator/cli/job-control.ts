/** What is done to jobs that are there: rules and rollouts switched, pauses, deployments taken back, retries. */
import { DeployError } from "../../protocol/errors.ts";
import { parseEndpointName, parsePackageName, parseSiteName } from "../../protocol/ids.ts";
import {
  parseChangesAnswer,
  parseDeployments,
  parseRetryAnswer,
  type PauseInput,
} from "../../protocol/intent-api.ts";
import { dryRunField, printChanges } from "./change-text.ts";
import { deployTargetText } from "./deploy-target.ts";
import type { ChangingOptions } from "./group.ts";
import { openClient, type OperatorOptions } from "./operator.ts";
import { countText } from "./quantities.ts";
import { tableText } from "./table.ts";
import { printResult, type Session } from "./terminal.ts";

export async function actOn(
  kind: "rules" | "rollouts",
  name: string,
  action: string,
  options: ChangingOptions,
  session: Session,
): Promise<void> {
  await using client = await openClient(options, session);
  const path = `/v1/${kind}/${encodeURIComponent(name)}`;
  const body = { action, ...dryRunField(options) };
  printChanges(await client.tell("POST", path, body, parseChangesAnswer), options, session);
}

export async function setPaused(
  what: string,
  isPaused: boolean,
  options: ChangingOptions,
  session: Session,
): Promise<void> {
  await using client = await openClient(options, session);
  const body = { ...pausable(what), isPaused, ...dryRunField(options) };
  const answer = await client.tell("POST", "/v1/intent/pause", body, parseChangesAnswer);
  printChanges(answer, options, session);
}

export async function listDeployments(options: OperatorOptions, session: Session): Promise<void> {
  await using client = await openClient(options, session);
  const deployments = await client.ask("/v1/deployments", parseDeployments);
  const rows = deployments.map((one) => [
    one.id,
    `${one.name}@${one.version}`,
    deployTargetText(one.target),
    String(one.endpointCount),
    one.isPaused ? "paused" : "",
  ]);
  const text =
    rows.length === 0
      ? "no deployment yet\nnext: branchline deploy --help\n"
      : tableText(["ID", "PACKAGE", "TO", "ENDPOINTS", ""], rows);
  printResult(session.terminal, options.json, { deployments }, text);
}

export async function cancelDeployment(
  id: string,
  options: ChangingOptions,
  session: Session,
): Promise<void> {
  await using client = await openClient(options, session);
  const body = { id, ...dryRunField(options) };
  const answer = await client.tell("POST", "/v1/deployments/cancel", body, parseChangesAnswer);
  printChanges(answer, options, session);
}

export interface RetryOptions extends ChangingOptions {
  readonly endpoint?: string;
  readonly endpointGroup?: string;
  readonly site?: string;
  readonly package?: string;
  readonly container?: string;
}

export async function retryJobs(options: RetryOptions, session: Session): Promise<void> {
  const { endpoint, endpointGroup, site, container } = options;
  const body = {
    ...(endpoint === undefined ? {} : { endpoint: parseEndpointName(endpoint) }),
    ...(endpointGroup === undefined ? {} : { endpointGroup }),
    ...(site === undefined ? {} : { site: parseSiteName(site) }),
    ...(options.package === undefined ? {} : { name: parsePackageName(options.package) }),
    ...(container === undefined ? {} : { container }),
    ...dryRunField(options),
  };
  await using client = await openClient(options, session);
  const answer = await client.tell("POST", "/v1/jobs/retry", body, parseRetryAnswer);
  const count = countText(answer.jobs.length, "failed job");
  const rows = answer.jobs.map((job) => [job.endpoint, job.name, String(job.resets)]);
  const table = rows.length === 0 ? "" : tableText(["ENDPOINT", "PACKAGE", "TIMES RESET"], rows);
  const end = answer.isDryRun ? "would begin anew, nothing was done" : "get new attempts";
  const text = `${table}${count} ${end}\n`;
  printResult(session.terminal, options.json, answer, text);
}

/** `rule/nightly`, `container/c1`, `rollout/r1`, `assignment/office x counters`, `deployment/ID`. */
function pausable(what: string): Pick<PauseInput, "kind" | "name"> {
  const at = what.indexOf("/");
  const kind = what.slice(0, Math.max(at, 0));
  const name = what.slice(at + 1);
  const isKind =
    kind === "rule" ||
    kind === "container" ||
    kind === "rollout" ||
    kind === "assignment" ||
    kind === "deployment";
  if (isKind && name !== "") return { kind, name };
  throw new DeployError("INPUT_INVALID", {
    what: `"${what.slice(0, 100)}"`,
    expected: "KIND/NAME with rule, container, rollout, assignment or deployment as the kind",
  });
}
