/**
 * From the end of a process to the class of its result (OCO-50, design 7). Exit codes and our own
 * system codes never share a number space.
 */
import type { JobState } from "../../protocol/report.ts";
import type { Outcome } from "../../protocol/outcome.ts";

/** Our code for anything that went wrong on the agent's side (OCO-44). */
export const AGENT_ERROR = -9999;
/** Our code for a job that never ran because an earlier one of its sequence failed (OCO-48). */
export const SEQUENCE_ABORTED = -8888;

// Windows Installer: done but a restart is due; done and restarting; another installation runs.
const REBOOT_REQUIRED = 3010;
const REBOOT_INITIATED = 1641;
const ANOTHER_INSTALLATION = 1618;

/** Class of one exit code, as the package's rules name it. */
export interface ExitCodeClass {
  readonly code: number;
  readonly outcome: Outcome;
}

/**
 * The package's own classes come first, then its list of success codes, then what Windows Installer
 * means by its codes. An empty list means every code is a success (OCO-50).
 */
export function outcomeOf(
  exitCode: number,
  successCodes: readonly number[],
  classes: readonly ExitCodeClass[] = [],
): Outcome {
  const named = classes.find(({ code }) => code === exitCode);
  if (named !== undefined) return named.outcome;
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
