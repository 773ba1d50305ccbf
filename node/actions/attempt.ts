/**
 * One attempt of one package: files out of fragments, then the action, each exactly as the signed
 * manifest says. A crash at any point leaves the attempt open in the journal for the next start.
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Bitmap } from "../../protocol/bitmap.ts";
import { DeployError } from "../../protocol/errors.ts";
import type { FragmentEntry } from "../../protocol/fragment-index.ts";
import { packageRefText } from "../../protocol/ids.ts";
import { COMMAND_OUTPUT_MAX_BYTES } from "../../protocol/limits.ts";
import type { Content, Manifest } from "../../protocol/manifest.ts";
import type { ExecuteAction, LaunchAction } from "../../protocol/package-action.ts";
import type { TraceStep } from "../../protocol/report.ts";
import { swarmSections } from "../../protocol/swarm-order.ts";
import { assemble, type LocalContent } from "../content/assemble.ts";
import { readContentIndex, type ContentIndex } from "../content/content-index.ts";
import type { Assembly, FragmentStore } from "../content/ports.ts";
import { resultOfError, resultOfRun, type ActionResult } from "./command-result.ts";
import { executeCommand } from "./execute.ts";
import { launchCommand } from "./launch.ts";
import type { OperationWork } from "./operation.ts";
import { attachRun, isClaimed, startRun } from "./process-runner.ts";
import { readOrder, RUN_VARIABLE, type RunOrder } from "./run-files.ts";
import { storeContent } from "./store.ts";

/** A fragment that rotted on disk is fetched again this often before the attempt fails. */
const REFETCH_LIMIT = 2;

export interface TraceEntry {
  readonly step: TraceStep;
  readonly atMs: number;
  readonly detail?: string;
}

export interface AttemptSettings {
  readonly manifest: Manifest;
  /** What is run: the package's action, or another command of its rules. */
  readonly work: OperationWork;
  /** Name of the attempt's folders, unique. */
  readonly run: string;
  readonly dataDir: string;
  readonly store: FragmentStore;
  /** Variables that every command gets, such as PATH. */
  readonly environment: Readonly<Record<string, string>>;
  /** Steps so far; `onStep` adds to it. */
  readonly trace: () => readonly TraceEntry[];
  readonly onStep: (step: TraceStep, detail?: string) => void;
  /**
   * Brings back what the fragment store has lost; plain: without what is on this machine otherwise. Where
   * `wanted` says so, by swarm index, only that.
   */
  readonly refetch: (signal: AbortSignal, isPlain: boolean, wanted?: Bitmap) => Promise<void>;
  /** Space for the files of the content, and whether they take the place of its fragments. */
  readonly roomFor: (content: Content, isFinal: boolean) => Promise<Assembly>;
  /** What the files are put together from, besides fragments. */
  readonly local: () => LocalContent | undefined;
  /** The content is in this folder now, or was put together elsewhere. */
  readonly remember: (folder: string | undefined) => Promise<void>;
  /** What went wrong on our side, for the log. */
  readonly onAgentError: (error: unknown, reason: string) => void;
  readonly signal: AbortSignal;
}

/** Rejects only where the signal aborts; every other failure is a result (OCO-44). */
export async function performAttempt(settings: AttemptSettings): Promise<ActionResult> {
  try {
    const result = await performed(settings);
    settings.onStep("actionEnded");
    return result;
  } catch (error) {
    settings.signal.throwIfAborted();
    const result = resultOfError(error);
    settings.onAgentError(error, result.reason);
    return result;
  }
}

/** Whether the attempt's command was started, or may have been. */
export async function hasStarted(dataDir: string, run: string): Promise<boolean> {
  return isClaimed(runFolder(dataDir, run));
}

/** The end of a command that an earlier agent started, and the steps that it had seen. */
export async function resumeAttempt(
  dataDir: string,
  run: string,
  signal: AbortSignal,
): Promise<{ readonly result: ActionResult; readonly trace: readonly TraceEntry[] }> {
  const folder = runFolder(dataDir, run);
  try {
    const order = await readOrder(folder);
    if (order === undefined) {
      throw new DeployError("NODE_STATE_INVALID", { what: folder, problem: "its order is gone" });
    }
    const result = resultOfRun(await attachRun(folder, signal), order);
    return { result, trace: order.trace };
  } catch (error) {
    signal.throwIfAborted();
    return { result: resultOfError(error), trace: [] };
  }
}

/** Removes an attempt's folders, after its end is in the journal (OCS-25). */
export async function clearAttempt(dataDir: string, run: string): Promise<void> {
  await rm(workFolder(dataDir, run), { recursive: true, force: true });
  await rm(runFolder(dataDir, run), { recursive: true, force: true });
}

async function performed(settings: AttemptSettings): Promise<ActionResult> {
  const { action } = settings.work;
  if (action.kind !== "store") return runCommand(settings, action);
  const target = await storeContent({
    path: action.path,
    dataDir: settings.dataDir,
    assembleInto: async (folder) => assembled(settings, folder, true),
    onAssembled: () => {
      settings.onStep("contentVerified");
      settings.onStep("actionStarted", "store");
    },
  });
  await settings.remember(target);
  return { outcome: "success" };
}

async function runCommand(
  settings: AttemptSettings,
  action: LaunchAction | ExecuteAction,
): Promise<ActionResult> {
  const folder = workFolder(settings.dataDir, settings.run);
  const exitCodes = settings.manifest.rules?.exitCodes;
  // Left by a crash before the command was started.
  await clearAttempt(settings.dataDir, settings.run);
  await mkdir(join(settings.dataDir, "tmp"), { recursive: true, mode: 0o700 });
  if (!settings.work.needsContent && action.kind === "execute") {
    await mkdir(folder, { mode: 0o700 });
  } else {
    await assembled(settings, folder, false);
    await settings.remember(undefined);
  }
  settings.onStep("contentVerified");
  const command =
    action.kind === "launch"
      ? await launchCommand(action, folder)
      : await executeCommand(action, folder);
  settings.onStep("actionStarted", action.kind);
  const order: RunOrder = {
    executable: command.executable,
    args: [...command.args],
    folder,
    env: commandEnvironment(settings, folder),
    timeoutMs: action.timeoutSec * 1000,
    outputLimitBytes: COMMAND_OUTPUT_MAX_BYTES,
    run: settings.run,
    successCodes: action.successCodes,
    ...(exitCodes === undefined ? {} : { exitCodes: [...exitCodes] }),
    isExitCodeReported: action.kind === "launch" || action.captureExitCode,
    trace: [...settings.trace()],
  };
  const end = await startRun(runFolder(settings.dataDir, settings.run), order, settings.signal);
  return resultOfRun(end, order);
}

// Built from nothing (trust X10): the service's own environment never reaches a package.
function commandEnvironment(settings: AttemptSettings, folder: string): Record<string, string> {
  return {
    ...settings.environment,
    HOME: folder,
    TMPDIR: folder,
    TEMP: folder,
    TMP: folder,
    BRANCHLINE_PACKAGE: settings.manifest.name,
    BRANCHLINE_VERSION: settings.manifest.version,
    [RUN_VARIABLE]: settings.run,
  };
}

async function assembled(
  settings: AttemptSettings,
  folder: string,
  isDurable: boolean,
): Promise<void> {
  const content = requiredContent(settings.manifest);
  for (let tries = 0; ; tries++) {
    try {
      const index = await readContentIndex(settings.manifest, content, settings.store);
      const { signal } = settings;
      const room = await settings.roomFor(content, isDurable);
      const local = settings.local();
      const sources = local === undefined ? {} : { local };
      const bringBack = async (lost: FragmentEntry): Promise<void> =>
        settings.refetch(signal, true, wantedAgain(index, lost));
      await assemble(index, { folder, signal, isDurable, bringBack, ...room, ...sources });
      return;
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      const code = error instanceof DeployError ? error.code : undefined;
      const isLost = code === "FRAGMENT_MISSING" || code === "LOCAL_SOURCE_CHANGED";
      if (!isLost || tries >= REFETCH_LIMIT) throw error;
      await settings.refetch(settings.signal, code === "LOCAL_SOURCE_CHANGED");
    }
  }
}

// What was consumed lies in the files: asking for all that the store lacks would fetch it again. Pages tell
// the exchange the digests, so they come along; those that are here cost nothing.
function wantedAgain(index: ContentIndex, lost: FragmentEntry): Bitmap {
  const [main, ...deltas] = swarmSections(index.content);
  const wanted = new Bitmap((deltas.at(-1) ?? main).endIndex);
  for (let at = main.startIndex; at < main.fragmentIndex; at++) wanted.add(at);
  wanted.add(main.fragmentIndex + index.fragments.indexOf(lost));
  return wanted;
}

function requiredContent(manifest: Manifest): Content {
  if (manifest.content !== undefined) return manifest.content;
  throw new DeployError("CONTENT_INVALID", {
    package: packageRefText(manifest),
    problem: `${manifest.action.kind} needs content and there is none`,
  });
}

function workFolder(dataDir: string, run: string): string {
  return join(dataDir, "tmp", run);
}

function runFolder(dataDir: string, run: string): string {
  return join(dataDir, "runs", run);
}
