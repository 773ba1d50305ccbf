/** Runs a small program of the system for its output: no shell, no input, bounded time and output. */
import { spawn } from "node:child_process";
import { isErrorCode } from "../content/write-file.ts";

export interface BoundedCommand {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly outputLimitBytes: number;
  readonly folder?: string;
  readonly signal?: AbortSignal;
}

export type BoundedEnd =
  | { readonly kind: "exited"; readonly exitCode: number; readonly output: string }
  /** There is no such program here. */
  | { readonly kind: "absent" }
  | { readonly kind: "failed"; readonly problem: string };

/** Never rejects. The whole process group ends with the time limit or the signal. */
export async function runBounded(command: BoundedCommand): Promise<BoundedEnd> {
  const { file, args, env, folder, timeoutMs, signal } = command;
  const ended = Promise.withResolvers<BoundedEnd>();
  const child = spawn(file, args, {
    env,
    ...(folder === undefined ? {} : { cwd: folder }),
    stdio: ["ignore", "pipe", "ignore"],
    detached: process.platform !== "win32",
    windowsHide: true,
  });
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  child.stdout.on("data", (part: Buffer) => {
    if (sizeBytes < command.outputLimitBytes) parts.push(part);
    sizeBytes += part.length;
  });
  const giveUp = (problem: string): void => {
    killGroup(child.pid);
    ended.resolve({ kind: "failed", problem });
  };
  const timer = setTimeout(() => giveUp(`it ran longer than ${timeoutMs} ms`), timeoutMs);
  const onAbort = (): void => giveUp("it was given up");
  signal?.addEventListener("abort", onAbort, { once: true });
  child.once("error", (error) => {
    const isAbsent = isErrorCode(error, "ENOENT");
    ended.resolve(isAbsent ? { kind: "absent" } : { kind: "failed", problem: error.message });
  });
  child.once("close", (exitCode) => {
    const output = Buffer.concat(parts).toString("utf8", 0, command.outputLimitBytes);
    ended.resolve({ kind: "exited", exitCode: exitCode ?? -1, output });
  });
  try {
    return await ended.promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === "win32" ? pid : -pid, "SIGKILL");
  } catch (cause) {
    // It has just ended by itself.
    if (!isErrorCode(cause, "ESRCH")) throw cause;
  }
}
