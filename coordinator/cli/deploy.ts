/** `deploy`: gives a package to endpoints and, on request, waits until each has a result. */
import { setTimeout as delay } from "node:timers/promises";
import { DeployError } from "../../protocol/errors.ts";
import { packageRefText, parsePackageRef, type PackageRef } from "../../protocol/ids.ts";
import type { DeploymentAnswer } from "../../protocol/operator-api.ts";
import type { ApiClient } from "./api-client.ts";
import { deployTargetText, parseDeployTarget } from "./deploy-target.ts";
import { pendingText, standingOf, type DeploymentStanding } from "./deployment-progress.ts";
import { openClient, type OperatorOptions } from "./operator.ts";
import { startProgress } from "./progress.ts";
import { countText, durationText } from "./quantities.ts";
import { shownText, tableText } from "./table.ts";
import { printResult, type Session } from "./terminal.ts";

/** An unchanged fleet costs the coordinator one read; a second is quick enough to watch. */
const POLL_MS = 1000;

export interface DeployOptions extends OperatorOptions {
  readonly to: string;
  readonly wait?: boolean;
  readonly dryRun?: boolean;
  /** In milliseconds. */
  readonly timeout: number;
}

export async function deploy(
  refText: string,
  options: DeployOptions,
  session: Session,
): Promise<void> {
  const ref = parsePackageRef(refText);
  const target = parseDeployTarget(options.to);
  await using client = await openClient(options, session);
  const isDryRun = options.dryRun === true;
  const answer = await client.deploy({ ...ref, target, ...(isDryRun ? { isDryRun } : {}) });
  const count = countText(answer.endpoints.length, "endpoint");
  const heading = `${packageRefText(ref)} goes to ${deployTargetText(target)}: ${count} right now\n`;
  if (isDryRun) {
    const text = `${heading}dry run: nothing was done\n`;
    printResult(session.terminal, options.json, { ...answer, isDryRun }, text);
    return;
  }
  if (!answer.isActive && options.wait === true) throw notActive(ref);
  if (!answer.isActive && options.json !== true) session.terminal.writeErr(inactiveText(ref));
  if (options.wait !== true) {
    const next = "next: branchline status --watch\n";
    printResult(session.terminal, options.json, answer, heading + next);
    return;
  }
  if (options.json !== true) session.terminal.writeErr(heading);
  const standing = await waited(client, answer, options, session);
  printResult(
    session.terminal,
    options.json,
    { ...answer, results: standing.endpoints },
    resultText(standing),
  );
  refuseIncomplete(ref, standing, options);
}

function inactiveText(ref: PackageRef): string {
  const shown = packageRefText(ref);
  return `warning: ${shown} is not activated yet: nothing happens until \`branchline package activate ${shown}\`\n`;
}

/** Waiting would not end before somebody activates the package. */
function notActive(ref: PackageRef): DeployError {
  const shown = packageRefText(ref);
  return new DeployError("CLI_INCOMPLETE", {
    problem: `${shown} is not activated yet: no endpoint gets it`,
    remedy: `The deployment is made; run \`branchline package activate ${shown}\`.`,
  });
}

async function waited(
  client: ApiClient,
  answer: DeploymentAnswer,
  options: DeployOptions,
  session: Session,
): Promise<DeploymentStanding> {
  const progress = startProgress(session, "count");
  const endsAtMs = session.nowMs() + options.timeout;
  let standing: DeploymentStanding | undefined;
  try {
    for (;;) {
      standing = (await nextStanding(client, answer)) ?? standing;
      const total = answer.endpoints.length;
      const done = total - (standing?.pending.length ?? total);
      const text = standing === undefined ? "no answer" : pendingText(standing);
      progress.update(`waiting for results (${text || "all done"})`, done, total);
      if (standing !== undefined && standing.pending.length === 0) return standing;
      if (session.nowMs() >= endsAtMs) break;
      await delay(POLL_MS, undefined, { signal: session.signal });
    }
  } catch (cause) {
    if (!session.signal.aborted) throw cause;
    const remedy = "The deployment goes on; see `branchline status`.";
    throw new DeployError("CLI_INTERRUPTED", { remedy }, { cause });
  } finally {
    progress.end();
  }
  return (
    standing ??
    standingOf({ endpoints: [], sites: [], packages: [], notices: [] }, answer, answer.endpoints)
  );
}

/** Undefined while the coordinator is away: it may be restarting, and the wait has its own end. */
async function nextStanding(
  client: ApiClient,
  answer: DeploymentAnswer,
): Promise<DeploymentStanding | undefined> {
  try {
    return standingOf(await client.status(), answer, answer.endpoints);
  } catch (error) {
    const isAway =
      error instanceof DeployError &&
      (error.code === "CLI_UNREACHABLE" || error.code === "CLI_NOT_RUNNING");
    if (isAway) return undefined;
    throw error;
  }
}

function resultText(standing: DeploymentStanding): string {
  if (standing.endpoints.length === 0) return "no endpoint matches right now\n";
  const rows = standing.endpoints.map((endpoint) => [
    endpoint.endpoint,
    endpoint.state ?? "not planned yet",
    endpoint.exitCode === undefined ? "" : String(endpoint.exitCode),
    shownText(endpoint.reason ?? ""),
  ]);
  return tableText(["ENDPOINT", "STATE", "EXIT CODE", "REASON"], rows);
}

function refuseIncomplete(
  ref: PackageRef,
  standing: DeploymentStanding,
  options: DeployOptions,
): void {
  const { bad, pending, endpoints } = standing;
  const total = countText(endpoints.length, "endpoint");
  if (pending.length > 0) {
    throw new DeployError("CLI_INCOMPLETE", {
      problem: `${pending.length} of ${total} had no result after ${durationText(options.timeout)}`,
      remedy: "The deployment goes on; see `branchline status`.",
    });
  }
  if (bad.length > 0) {
    throw new DeployError("CLI_INCOMPLETE", {
      problem: `${packageRefText(ref)} failed on ${bad.length} of ${total}`,
      remedy: "`branchline status` shows the reasons and the steps of each job.",
    });
  }
}
