/**
 * Files out of fragments and of what lies on this machine already: written into a fresh private folder, one
 * at a time, each proven by its whole SHA-256 before it counts. Memory holds little, whatever the size.
 */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { mkdir, open, statfs, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DeployError } from "../../protocol/errors.ts";
import type { FileEntry } from "../../protocol/file-list.ts";
import type { FragmentEntry } from "../../protocol/fragment-index.ts";
import { ConsumedFragments, CONSUMED_BATCH_BYTES } from "./consumed-fragments.ts";
import { parentPaths, type ContentIndex } from "./content-index.ts";
import type { FragmentStore } from "./ports.ts";
import { RawStream, unpacked, type ReadRaw } from "./raw-stream.ts";
import { isErrorCode } from "./write-file.ts";

/** trust 4.1 rule 4. */
const FREE_SPACE_FACTOR = 1.2;

/** What this machine has of the content, outside the fragment store. */
export interface LocalContent {
  /** The bytes of a file, by its place in the file list; undefined: it follows from fragments. */
  file(place: number, signal: AbortSignal): AsyncIterable<Buffer> | undefined;
  /** Raw bytes of a fragment that is not in the store; undefined where they are not here either. */
  raw(entry: FragmentEntry, signal: AbortSignal): Promise<Buffer | undefined>;
}

export interface AssembleSettings {
  /** Made by this call; must not exist. Its parent is private to the node. */
  readonly folder: string;
  readonly store: FragmentStore;
  readonly signal: AbortSignal;
  /** Every file is synced before the call resolves: for content that stays. */
  readonly isDurable: boolean;
  /** Fragments leave the store once what needs them is durably written; implies isDurable. */
  readonly isConsuming?: boolean;
  readonly local?: LocalContent;
  /** Brings back a fragment that rotted since it was fetched; the files so far stay. Absent: nobody can. */
  readonly bringBack?: (lost: FragmentEntry) => Promise<void>;
}

interface Assembly extends AssembleSettings {
  readonly raw: RawStream;
  readonly consumed: ConsumedFragments | undefined;
}

/**
 * Throws DISK_FULL, FRAGMENT_MISSING, LOCAL_SOURCE_CHANGED or CONTENT_INVALID; what it wrote stays for the
 * caller to remove.
 */
export async function assemble(index: ContentIndex, settings: AssembleSettings): Promise<void> {
  const { folder, store, signal } = settings;
  await requireFreeSpace(dirname(folder), neededBytes(index, settings));
  await mkdir(folder, { mode: 0o700 });
  const consumed = settings.isConsuming === true ? new ConsumedFragments(index, store) : undefined;
  const raw = new RawStream(index, rawSource(settings));
  const assembly = { ...settings, raw, consumed };
  const made = new Set<string>();
  for (const [place, file] of index.files.entries()) {
    signal.throwIfAborted();
    const folders =
      file.kind === "folder" ? [...parentPaths(file.path), file.path] : parentPaths(file.path);
    await makeFolders(folder, folders, made);
    if (file.kind === "file") await writeEntry(file, place, assembly);
  }
}

/** Consuming, a file takes the place of its fragments: only what it is larger than they needs room. */
function neededBytes(index: ContentIndex, settings: AssembleSettings): number {
  const { fileBytes, wireBytes } = index.content;
  if (settings.isConsuming !== true) return Math.ceil(fileBytes * FREE_SPACE_FACTOR);
  return Math.max(0, fileBytes - wireBytes) + 2 * CONSUMED_BATCH_BYTES;
}

/** Throws DISK_FULL naming the bytes where the disk cannot take the files. */
async function requireFreeSpace(folder: string, needed: number): Promise<void> {
  const disk = await statfs(folder);
  const freeBytes = disk.bavail * disk.bsize;
  if (freeBytes < needed) {
    throw new DeployError("DISK_FULL", { folder, neededBytes: needed, freeBytes });
  }
}

async function makeFolders(
  root: string,
  paths: readonly string[],
  made: Set<string>,
): Promise<void> {
  for (const path of paths) {
    if (made.has(path)) continue;
    await mkdir(join(root, path), { mode: 0o755 });
    made.add(path);
  }
}

// A fragment is looked for on this machine first where the store lacks it, as the fetch did.
function rawSource({ store, local, signal, bringBack }: AssembleSettings): ReadRaw {
  return async (entry, room) => {
    const found = store.has(entry.digest) ? undefined : await local?.raw(entry, signal);
    if (found !== undefined) return found;
    return unpacked(entry, async (digest) => {
      const wire = await store.read(digest, room);
      if (wire !== undefined || bringBack === undefined) return wire;
      await bringBack(entry);
      return store.read(digest, room);
    });
  };
}

type FileOfContent = Extract<FileEntry, { kind: "file" }>;

async function writeEntry(file: FileOfContent, place: number, assembly: Assembly): Promise<void> {
  // The folder is new and private; O_EXCL and O_NOFOLLOW hold even if it were not (trust X2, X6).
  const flags =
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0);
  const mode = file.isExecutable ? 0o755 : 0o644;
  const path = join(assembly.folder, file.path);
  await using handle = await open(path, flags, mode);
  try {
    await writeBytes(handle, file, place, assembly);
  } catch (cause) {
    if (!isErrorCode(cause, "ENOSPC", "EDQUOT")) throw cause;
    const details = { folder: assembly.folder, neededBytes: file.sizeBytes, freeBytes: 0 };
    throw new DeployError("DISK_FULL", details, { cause });
  }
  // The mode given to open() is cut by the umask of whoever started the node.
  await handle.chmod(mode);
  if (assembly.isDurable && assembly.consumed === undefined) await handle.sync();
  await assembly.consumed?.settle(handle);
}

async function writeBytes(
  handle: FileHandle,
  file: FileOfContent,
  place: number,
  { raw, consumed, local, signal }: Assembly,
): Promise<void> {
  const digest = createHash("sha256");
  const here = local?.file(place, signal);
  const onRead = (fragment: number): void => consumed?.used(fragment);
  if (here !== undefined) consumed?.skipped(file.extents);
  let leftBytes = file.sizeBytes;
  for await (const piece of here ?? raw.bytes(file.extents, signal, onRead)) {
    digest.update(piece);
    leftBytes -= piece.length;
    if (leftBytes < 0) break;
    await handle.writeFile(piece);
    if (consumed?.isDue === true) await consumed.settle(handle);
  }
  if (leftBytes === 0 && digest.digest("hex") === file.sha256) return;
  const path = JSON.stringify(file.path);
  // What this machine had was proven when it was chosen: it has changed since.
  if (here !== undefined) throw new DeployError("LOCAL_SOURCE_CHANGED", { path });
  throw new DeployError("CONTENT_INVALID", {
    package: "the package",
    problem: `${path} does not match its SHA-256`,
  });
}
