/**
 * What an action came to, for the report: the end of a command by the package's rules, and every
 * failure of the agent's own as system code -9999 (OCO-44).
 */
import { randomUUID } from "node:crypto";
import { constants } from "node:os";
import { DeployError } from "../../protocol/errors.ts";
import type { Outcome } from "../../protocol/outcome.ts";
import { AGENT_ERROR, isSuccess, outcomeOf } from "../core/outcome.ts";
import { endOf } from "./output-tail.ts";
import type { RunEnd } from "./process-runner.ts";
import type { RunOrder } from "./run-files.ts";

/** Bounds of the report's fields. */
const REPORT_OUTPUT_MAX_CHARACTERS = 4096;
const REPORT_REASON_MAX_CHARACTERS = 1900;

export interface ActionResult {
  readonly outcome: Outcome;
  readonly exitCode?: number;
  readonly systemCode?: number;
  readonly reason?: string;
  readonly output?: string;
}

export interface AgentError extends ActionResult {
  readonly systemCode: number;
  readonly reason: string;
}

export function resultOfRun(end: RunEnd, order: RunOrder): ActionResult {
  if (end.kind === "interrupted") {
    return { outcome: "interrupted", reason: reasonOf(new DeployError("ATTEMPT_INTERRUPTED")) };
  }
  const output =
    end.output === "" ? {} : { output: endOf(end.output, REPORT_OUTPUT_MAX_CHARACTERS) };
  switch (end.kind) {
    case "exited":
      return { ...resultOfExit(end.exitCode, order), ...output };
    case "killed":
      // As shells report it, so that a success list can name it.
      return { ...resultOfExit(128 + signalNumber(end.by), order), ...output };
    case "timedOut": {
      const error = new DeployError("COMMAND_TIMEOUT", { timeoutSec: order.timeoutMs / 1000 });
      return { outcome: "failed", reason: reasonOf(error), ...output };
    }
    case "notStarted":
      return resultOfError(
        new DeployError("COMMAND_NOT_STARTED", {
          command: order.executable,
          problem: end.problem,
        }),
      );
    default:
      return end satisfies never;
  }
}

/**
 * Any exception on the agent's side (OCO-44…OCO-47): the class, the system's own words, and a number under
 * which the agent's log has the rest.
 */
export function resultOfError(error: unknown): AgentError {
  const trace = randomUUID().slice(0, 8);
  const name = error instanceof Error ? error.name : typeof error;
  const reason = `${reasonOf(error)} (${name}, trace ${trace})`;
  return { outcome: "failed", systemCode: AGENT_ERROR, reason };
}

/** One line for a person: our code and sentence, or the class and text of a foreign error. */
export function reasonOf(error: unknown): string {
  if (error instanceof DeployError) return shortened(`${error.code}: ${error.message}`);
  return shortened(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
}

// OCS-31: without captureExitCode the code is not looked at: that the command ran is the result.
function resultOfExit(exitCode: number, order: RunOrder): ActionResult {
  if (!order.isExitCodeReported) return { outcome: "success" };
  const outcome = outcomeOf(exitCode, order.successCodes, order.exitCodes);
  const reason = isSuccess(outcome)
    ? {}
    : { reason: `exit code ${exitCode} does not mean success` };
  return { outcome, exitCode, ...reason };
}

function signalNumber(name: string): number {
  return Object.entries(constants.signals).find(([key]) => key === name)?.[1] ?? 0;
}

function shortened(text: string): string {
  return text.slice(0, REPORT_REASON_MAX_CHARACTERS).toWellFormed();
}
