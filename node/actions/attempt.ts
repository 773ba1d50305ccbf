/**
 * One attempt of one package: files out of fragments, then the action, each exactly as the signed
 * manifest says. A crash at any point leaves the attempt open in the journal for the next start.
 */
import { mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Bitmap } from "../../protocol/bitmap.ts";
import { DeployError } from "../../protocol/errors.ts";
import type { FragmentEntry } from "../../protocol/fragment-index.ts";
import { packageRefText, type Digest } from "../../protocol/ids.ts";
import { COMMAND_OUTPUT_MAX_BYTES } from "../../protocol/limits.ts";
import type { Content, Manifest } from "../../protocol/manifest.ts";
import type { ExecuteAction, LaunchAction } from "../../protocol/package-action.ts";
import type { TraceStep } from "../../protocol/report.ts";
import { assemble, type LocalContent } from "../content/assemble.ts";
import type { Swap } from "../content/assembly-marks.ts";
import { BEGINNING, bytesLeft } from "../content/assembly-point.ts";
import { readContentIndex } from "../content/content-index.ts";
import type { AssemblyPlace, HalfMade } from "../content/half-made.ts";
import type { Assembly, FragmentStore } from "../content/ports.ts";
import { resultOfError, resultOfRun, type ActionResult } from "./command-result.ts";
import { executeCommand } from "./execute.ts";
import { wantedOf } from "./fetch-content.ts";
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
  readonly manifestDigest: Digest;
  /** What is run: the package's action, or another command of its rules. */
  readonly work: OperationWork;
  /** Name of the attempt's folders, unique. */
  readonly run: string;
  readonly dataDir: string;
  readonly store: FragmentStore;
  /** Files of this content that an earlier try has left half made. */
  readonly halfMade: HalfMade;
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
  /** Space for what is left to write, and whether the files take the place of their fragments. */
  readonly roomFor: (content: Content, isFinal: boolean, leftBytes: number) => Promise<Assembly>;
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
  } finally {
    settings.halfMade.ended(settings.manifestDigest);
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
  const { manifestDigest: manifest, halfMade } = settings;
  const target = await storeContent({
    path: action.path,
    dataDir: settings.dataDir,
    assembleInto: async (folder, into) =>
      assembled(settings, { manifest, folder, target: into }, true),
    onAssembled: () => {
      settings.onStep("contentVerified");
      settings.onStep("actionStarted", "store");
    },
    onSwap: async (folder, swap) => halfMade.swapping(folder, swap),
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
  await rm(runFolder(settings.dataDir, settings.run), { recursive: true, force: true });
  await mkdir(join(settings.dataDir, "tmp"), { recursive: true, mode: 0o700 });
  if (!settings.work.needsContent && action.kind === "execute") {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { mode: 0o700 });
  } else {
    await assembled(settings, { manifest: settings.manifestDigest, folder }, false);
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

/** Where an earlier try has done everything up to the swap, and that too, nothing is left to do. */
async function assembled(
  settings: AttemptSettings,
  place: AssemblyPlace,
  isDurable: boolean,
): Promise<Swap | undefined> {
  for (let tries = 0; ; tries++) {
    const end = await tried(settings, place, isDurable);
    if (end.kind === "done") return end.swap;
    const { error } = end;
    const code = error instanceof DeployError ? error.code : undefined;
    const isLost = code === "FRAGMENT_MISSING" || code === "LOCAL_SOURCE_CHANGED";
    if (!isLost || tries >= REFETCH_LIMIT) throw error;
    await settings.refetch(settings.signal, code === "LOCAL_SOURCE_CHANGED");
  }
}

type Tried =
  | { readonly kind: "done"; readonly swap: Swap | undefined }
  | { readonly kind: "failed"; readonly error: unknown };

async function tried(
  settings: AttemptSettings,
  place: AssemblyPlace,
  isDurable: boolean,
): Promise<Tried> {
  const { halfMade } = settings;
  try {
    return { kind: "done", swap: await assembledOnce(settings, place, isDurable) };
  } catch (error) {
    if (!isWorthKeeping(settings, place, error)) {
      await halfMade.clear(place.folder, resultOfError(error).reason);
    }
    halfMade.ended(place.manifest);
    return { kind: "failed", error };
  }
}

// Marked files are all that is left of the fragments that they are made of.
function isWorthKeeping(
  { halfMade, signal }: AttemptSettings,
  { folder }: AssemblyPlace,
  error: unknown,
): boolean {
  const isGood = error instanceof DeployError && error.code !== "CONTENT_INVALID";
  return halfMade.holds(folder) && (isGood || signal.aborted);
}

async function assembledOnce(
  settings: AttemptSettings,
  place: AssemblyPlace,
  isDurable: boolean,
): Promise<Swap | undefined> {
  const { manifest, store, signal, halfMade } = settings;
  const { folder } = place;
  const content = requiredContent(manifest);
  const index = await readContentIndex(manifest, content, store);
  const found = await halfMade.resumed(place, index);
  if (found.kind === "swapped") return found.swap;
  const left =
    found.kind === "half" ? bytesLeft(index, found.tree.point) : bytesLeft(index, BEGINNING);
  const room = await settings.roomFor(content, isDurable, left.fileBytes);
  const local = settings.local();
  const bringBack = async (lost: FragmentEntry): Promise<void> =>
    settings.refetch(signal, true, wantedOf(content, [index.fragments.indexOf(lost)]));
  await assemble(index, {
    ...room,
    folder,
    signal,
    isDurable,
    bringBack,
    ...(local === undefined ? {} : { local }),
    ...(found.kind === "half" ? { from: found.tree } : {}),
    // What was begun with marks ends with them, also where the rest is consumed no more.
    ...(room.isConsuming || found.kind === "half" ? { marks: halfMade.marks(place) } : {}),
  });
  return undefined;
}

function requiredContent(manifest: Manifest): Content {
  if (manifest.content !== undefined) return manifest.content;
  throw new DeployError("CONTENT_INVALID", {
    package: packageRefText(manifest),
    problem: `${manifest.action.kind} needs content and there is none`,
  });
}

function workFolder(dataDir: string, run: string): string {
  return join(resolve(dataDir), "tmp", run);
}

function runFolder(dataDir: string, run: string): string {
  return join(dataDir, "runs", run);
}
