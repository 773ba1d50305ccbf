/**
 * From the end of a process to the class of its result (OCO-50, design 7). Exit codes and our own
 * system codes never share a number space.
 */
import type { JobState, Outcome } from "../../protocol/report.ts";

/** Our code for anything that went wrong on the agent's side (OCO-44). */
export const AGENT_ERROR = -9999;

// Windows Installer: done but a restart is due; done and restarting; another installation runs.
const REBOOT_REQUIRED = 3010;
const REBOOT_INITIATED = 1641;
const ANOTHER_INSTALLATION = 1618;

/** Success is what the package lists; an empty list means every code (OCO-50). */
export function outcomeOf(exitCode: number, successCodes: readonly number[]): Outcome {
  const isListed = successCodes.length === 0 || successCodes.includes(exitCode);
  if (!isListed) return exitCode === ANOTHER_INSTALLATION ? "retryable" : "failed";
  if (exitCode === REBOOT_REQUIRED) return "successRebootRequired";
  if (exitCode === REBOOT_INITIATED) return "rebootInitiated";
  return "success";
}

export function isSuccess(outcome: Outcome): boolean {
  switch (outcome) {
    case "success":
    case "successRebootRequired":
    case "rebootInitiated":
      return true;
    case "retryable":
    case "failed":
    case "blocked":
    case "interrupted":
      return false;
    default:
      return outcome satisfies never;
  }
}

/** An attempt that failed with tries left leaves its job waiting for the next one (SE-20, SE-21). */
export function endStateOf(outcome: Outcome, attempt: number, attemptLimit: number): JobState {
  if (isSuccess(outcome)) return "succeeded";
  return attempt >= attemptLimit ? "failed" : "waiting";
}
