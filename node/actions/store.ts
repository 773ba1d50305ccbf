/**
 * store (OCS-32, OCS-33): the package's files become a folder of the endpoint. They are assembled next
 * to the target and swapped in by rename, so that the target is always one whole version.
 */
import { hash } from "node:crypto";
import { chmod, lstat, mkdir, realpath, rename, rm } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, parse, relative, resolve } from "node:path";
import { DeployError } from "../../protocol/errors.ts";
import type { Swap } from "../content/assembly-marks.ts";
import { isErrorCode, readFileIfAny, syncFolder, writeFileDurably } from "../content/write-file.ts";

export interface StoreSettings {
  /** Path of the manifest. */
  readonly path: string;
  readonly dataDir: string;
  /**
   * Makes the given folder and all files in it, verified and durable. Gives the swap of an earlier try that
   * died behind it, where the target is what it was to be.
   */
  readonly assembleInto: (folder: string, target: string) => Promise<Swap | undefined>;
  readonly onAssembled: () => void;
  /** Durable before the folder takes the place of the target. */
  readonly onSwap: (folder: string, swap: Swap) => Promise<void>;
}

/** Runs any number of times with the same end; a crash in between leaves the old version or the new one. */
export async function storeContent(settings: StoreSettings): Promise<string> {
  const target = await storeTarget(settings.path, settings.dataDir);
  const incoming = incomingOf(target);
  const previous = join(dirname(target), `.${basename(target)}.previous`);
  await recoverSwap(target, previous);
  const done = await settings.assembleInto(incoming, target);
  settings.onAssembled();
  const { isOurs } = done ?? { isOurs: await isStored(settings.dataDir, target) };
  if (done === undefined) {
    await chmod(incoming, 0o755);
    await settings.onSwap(incoming, { target, isOurs });
    await swap(incoming, target, previous);
  }
  await rememberStored(settings.dataDir, target);
  // A folder that somebody else made may hold more than packages can bring back: it is kept.
  if (isOurs) await rm(previous, { recursive: true, force: true });
  return target;
}

/** Removes what an attempt that was cut off has made so far; only while none runs. */
export async function clearIncoming(path: string, dataDir: string): Promise<void> {
  const target = await storeTarget(path, dataDir);
  await rm(incomingOf(target), { recursive: true, force: true });
}

function incomingOf(target: string): string {
  return join(dirname(target), `.${basename(target)}.incoming`);
}

/** Where the files go. Throws STORE_PATH_REFUSED. Makes the folders above it. */
export async function storeTarget(path: string, dataDir: string): Promise<string> {
  const refuse = (problem: string): DeployError =>
    new DeployError("STORE_PATH_REFUSED", { path: JSON.stringify(path), problem });
  if (path.split(/[/\\]/u).includes("..")) throw refuse("it contains ..");
  const storeRoot = join(resolve(dataDir), "store");
  const asked = isAbsolute(path) ? resolve(path) : resolve(storeRoot, path);
  if (!isAbsolute(path) && !isBelow(asked, storeRoot))
    throw refuse("it names the store folder itself");
  if (asked === parse(asked).root) throw refuse("it is the root of the file system");
  refuseOwnFolders(asked, dataDir, storeRoot, refuse);
  await mkdir(dirname(asked), { recursive: true, mode: 0o755 });
  // Links above the target count as what they point to: no detour into the node's own folders.
  const target = join(await realpath(dirname(asked)), basename(asked));
  const realData = await realpath(dataDir);
  refuseOwnFolders(target, realData, join(realData, "store"), refuse);
  const found = await kindOf(target);
  if (found === "other") throw refuse("there is something there that is not a folder");
  return target;
}

function refuseOwnFolders(
  target: string,
  dataDir: string,
  storeRoot: string,
  refuse: (problem: string) => DeployError,
): void {
  const own = resolve(dataDir);
  const isInside = target === own || isBelow(target, own);
  if (isInside && !isBelow(target, storeRoot))
    throw refuse("it lies in the node's own data folder");
  if (isBelow(own, target)) throw refuse("the node's own data folder lies below it");
}

function isBelow(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== "" && way !== ".." && !/^\.\.[/\\]/u.test(way) && !isAbsolute(way);
}

async function swap(incoming: string, target: string, previous: string): Promise<void> {
  const hadTarget = (await kindOf(target)) === "folder";
  if (hadTarget) {
    await setAside(previous);
    await rename(target, previous);
  }
  try {
    await rename(incoming, target);
  } catch (cause) {
    if (hadTarget) await rename(previous, target);
    throw cause;
  }
  await syncFolder(dirname(target));
}

// A previous version that was kept because it is not ours is not overwritten by the next one.
async function setAside(previous: string): Promise<void> {
  if ((await kindOf(previous)) === "none") return;
  const isKept = await lstat(`${previous}.kept`).then(
    () => true,
    () => false,
  );
  if (isKept) await rm(previous, { recursive: true, force: true });
  else await rename(previous, `${previous}.kept`);
}

// The power failed between the two renames: the old version is whole and goes back.
async function recoverSwap(target: string, previous: string): Promise<void> {
  const isHalf = (await kindOf(target)) === "none" && (await kindOf(previous)) === "folder";
  if (isHalf) await rename(previous, target);
}

type Kind = "none" | "folder" | "other";

async function kindOf(path: string): Promise<Kind> {
  try {
    return (await lstat(path)).isDirectory() ? "folder" : "other";
  } catch (cause) {
    if (isErrorCode(cause, "ENOENT")) return "none";
    throw cause;
  }
}

async function isStored(dataDir: string, target: string): Promise<boolean> {
  return (await readFileIfAny(markPath(dataDir, target))) !== undefined;
}

async function rememberStored(dataDir: string, target: string): Promise<void> {
  await mkdir(join(dataDir, "stored"), { recursive: true, mode: 0o700 });
  await writeFileDurably(markPath(dataDir, target), target);
}

function markPath(dataDir: string, target: string): string {
  return join(dataDir, "stored", hash("sha256", target, "hex"));
}
