/**
 * Runs from the agent's side: starts the detached runner, or attaches to one that outlived the agent,
 * and learns the end from the result file.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { DeployError } from "../../protocol/errors.ts";
import { writeFileDurably } from "../content/write-file.ts";
import { bootId, startTimeOf } from "./process-table.ts";
import { readClaim, readResult, runFile, type RunOrder, type RunResult } from "./run-files.ts";

const RUNNER_PATH = fileURLToPath(new URL(`./runner${extension()}`, import.meta.url));
/** The result is looked for this often at first, then ever less often. */
const POLL_MIN_MS = 20;
const POLL_MAX_MS = 250;

/** `interrupted`: the command was started, and nobody knows how it ended (design 7). */
export type RunEnd = RunResult | { readonly kind: "interrupted" };

/**
 * Starts the order's command and waits for its end. An abort stops the waiting, not the command: the
 * next agent attaches. Throws COMMAND_NOT_STARTED where the runner ended before it claimed the run.
 */
export async function startRun(
  folder: string,
  order: RunOrder,
  signal: AbortSignal,
): Promise<RunEnd> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFileDurably(runFile(folder, "order"), JSON.stringify(order));
  signal.throwIfAborted();
  const runner = spawn(process.execPath, [RUNNER_PATH, folder], {
    cwd: folder,
    env: order.env.PATH === undefined ? {} : { PATH: order.env.PATH },
    stdio: "ignore",
    detached: true,
    windowsHide: true,
  });
  runner.unref();
  return waitForEnd(folder, signal, runner);
}

/** Whether the run's command was started, or may have been. */
export async function isClaimed(folder: string): Promise<boolean> {
  return (await readClaim(folder)) !== undefined;
}

/** Waits for a claimed run that an earlier agent started. */
export async function attachRun(folder: string, signal: AbortSignal): Promise<RunEnd> {
  return waitForEnd(folder, signal, undefined);
}

async function waitForEnd(
  folder: string,
  signal: AbortSignal,
  runner: ChildProcess | undefined,
): Promise<RunEnd> {
  const ended = Promise.withResolvers<void>();
  runner?.once("exit", () => ended.resolve());
  runner?.once("error", () => ended.resolve());
  for (let pollMs = POLL_MIN_MS; ; pollMs = Math.min(pollMs * 1.5, POLL_MAX_MS)) {
    // Asked before the result is read: a runner that ends in between has written it by then.
    const isRunning = await isRunnerAlive(folder, runner);
    const result = await readResult(folder);
    if (result !== undefined) return result;
    if (!isRunning) return endWithoutResult(folder);
    await Promise.race([pause(pollMs, undefined, { signal }), ended.promise]);
  }
}

async function isRunnerAlive(folder: string, runner: ChildProcess | undefined): Promise<boolean> {
  if (runner !== undefined) {
    return runner.pid !== undefined && runner.exitCode === null && runner.signalCode === null;
  }
  const claim = await readClaim(folder);
  if (claim === undefined || claim === "torn" || claim.bootId !== (await bootId())) return false;
  return (await startTimeOf(claim.pid)) === claim.startTime;
}

async function endWithoutResult(folder: string): Promise<RunEnd> {
  if (await isClaimed(folder)) return { kind: "interrupted" };
  throw new DeployError("COMMAND_NOT_STARTED", {
    command: "of the package",
    problem: "the runner ended before it began",
  });
}

// In a release the sources are emitted as JavaScript.
function extension(): string {
  return import.meta.url.endsWith(".ts") ? ".ts" : ".js";
}
