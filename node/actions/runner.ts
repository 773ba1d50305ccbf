/**
 * The runner: a small program of its own session that starts one command and outlives a restart of the
 * agent. `node runner.ts RUN-FOLDER`: claim, run, bound, write the result, end.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";
import { dirname } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { isErrorCode, syncFolder, writeFileDurably } from "../content/write-file.ts";
import { OutputTail } from "./output-tail.ts";
import { bootId, killTree, startTimeOf } from "./process-table.ts";
import { readOrder, RUN_VARIABLE, runFile, type RunOrder, type RunResult } from "./run-files.ts";

/** A background process may hold the pipes open for ever; what comes later than this is not kept. */
const DRAIN_MS = 500;

async function main(folder: string): Promise<void> {
  const order = await readOrder(folder);
  if (order === undefined || !(await claim(folder))) return;
  // Files that a command leaves on the endpoint are readable, as an installer's are.
  process.umask(0o022);
  const result = await run(order);
  await writeFileDurably(runFile(folder, "result"), JSON.stringify(result));
}

/** False where another runner has it: a command is started at most once per claim. */
async function claim(folder: string): Promise<boolean> {
  const path = runFile(folder, "claim");
  const mine = {
    bootId: await bootId(),
    pid: process.pid,
    startTime: (await startTimeOf(process.pid)) ?? "unknown",
  };
  try {
    await using file = await open(path, "wx", 0o600);
    await file.writeFile(JSON.stringify(mine));
    await file.sync();
  } catch (cause) {
    if (isErrorCode(cause, "EEXIST")) return false;
    throw cause;
  }
  await syncFolder(dirname(path));
  return true;
}

async function run(order: RunOrder): Promise<RunResult> {
  const output = new OutputTail(order.outputLimitBytes);
  const ended = (): { output: string; endedAtMs: number } => ({
    output: output.text(),
    endedAtMs: Date.now(),
  });
  const started = await start(order);
  if (started.kind === "failed")
    return { kind: "notStarted", problem: started.problem, ...ended() };
  const { child } = started;
  const streams = [collected(child.stdout, output), collected(child.stderr, output)];
  const deadline = new AbortController();
  const end = once(child, "exit");
  const isInTime = await Promise.race([
    end.then(() => true),
    pause(order.timeoutMs, false, { signal: deadline.signal }),
  ]);
  if (!isInTime && child.pid !== undefined) {
    await killTree(child.pid, RUN_VARIABLE, order.run);
    await end;
  }
  deadline.abort();
  await Promise.race([Promise.all(streams), pause(DRAIN_MS, undefined, { ref: false })]);
  if (!isInTime) return { kind: "timedOut", ...ended() };
  if (child.exitCode === null) return { kind: "killed", by: child.signalCode ?? "", ...ended() };
  return { kind: "exited", exitCode: child.exitCode, ...ended() };
}

type Started =
  | { readonly kind: "started"; readonly child: ChildProcess }
  | { readonly kind: "failed"; readonly problem: string };

async function start(order: RunOrder): Promise<Started> {
  try {
    const child = spawn(order.executable, order.args, {
      cwd: order.folder,
      env: order.env,
      stdio: ["ignore", "pipe", "pipe"],
      // A process group of its own, so that all of it can be ended.
      detached: process.platform !== "win32",
      windowsHide: true,
    });
    await once(child, "spawn");
    return { kind: "started", child };
  } catch (error) {
    return { kind: "failed", problem: error instanceof Error ? error.message : String(error) };
  }
}

async function collected(stream: Readable | null, output: OutputTail): Promise<void> {
  if (stream === null) return;
  stream.on("data", (piece: Buffer) => output.add(piece));
  await once(stream, "close");
}

const [, , folder] = process.argv;
if (folder !== undefined) {
  await main(folder);
  // Pipes that a background process still holds must not keep the runner.
  process.exit(0);
}
