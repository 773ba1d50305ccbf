/**
 * Files out of fragments and of what lies on this machine already: written into a private folder, one at a
 * time, each proven by its whole SHA-256 before it counts. Memory holds little, whatever the size. What an
 * earlier try has left there, and `HalfMade` has found good, is gone on with.
 */
import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { mkdir, open, statfs, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DeployError } from "../../protocol/errors.ts";
import type { FragmentEntry } from "../../protocol/fragment-index.ts";
import {
  BEGINNING,
  bytesLeft,
  extentsLeft,
  type AssemblyPoint,
  type FileOfContent,
} from "./assembly-point.ts";
import type { CheckedTree } from "./checked-tree.ts";
import { ConsumedFragments } from "./consumed-fragments.ts";
import { parentPaths, type ContentIndex } from "./content-index.ts";
import type { AssemblyMarks } from "./half-made.ts";
import { skipped } from "./local-files.ts";
import type { FragmentStore } from "./ports.ts";
import { RawStream, unpacked, type ReadRaw } from "./raw-stream.ts";
import { CONSUMED_BATCH_BYTES, SettledFiles } from "./settled-files.ts";
import { isErrorCode } from "./write-file.ts";

/** trust 4.1 rule 4. */
const FREE_SPACE_FACTOR = 1.2;
const READ_BYTES = 1024 * 1024;

/** What this machine has of the content, outside the fragment store. */
export interface LocalContent {
  /** The bytes of a file, by its place in the file list; undefined: it follows from fragments. */
  file(place: number, signal: AbortSignal): AsyncIterable<Buffer> | undefined;
  /** Raw bytes of a fragment that is not in the store; undefined where they are not here either. */
  raw(entry: FragmentEntry, signal: AbortSignal): Promise<Buffer | undefined>;
}

export interface AssembleSettings {
  /** Made by this call; must not exist, unless `from` says so. Its parent is private to the node. */
  readonly folder: string;
  readonly store: FragmentStore;
  readonly signal: AbortSignal;
  /** Every file is synced before the call resolves: for content that stays. */
  readonly isDurable: boolean;
  /** Fragments leave the store once what needs them is durably written; implies isDurable. */
  readonly isConsuming?: boolean;
  /** Bytes of fragments that are given up together. */
  readonly batchBytes?: number;
  /** What an earlier try has left in the folder. */
  readonly from?: CheckedTree;
  /** Told before fragments go how far the files have come; implies isDurable. */
  readonly marks?: AssemblyMarks;
  readonly local?: LocalContent;
  /** Brings back a fragment that rotted since it was fetched; the files so far stay. Absent: nobody can. */
  readonly bringBack?: (lost: FragmentEntry) => Promise<void>;
}

interface Assembly extends AssembleSettings {
  readonly raw: RawStream;
  readonly consumed: ConsumedFragments | undefined;
  /** Absent: each file is on its own. */
  readonly settled: SettledFiles | undefined;
}

/**
 * Throws DISK_FULL, FRAGMENT_MISSING, LOCAL_SOURCE_CHANGED or CONTENT_INVALID; what it wrote stays for the
 * caller to remove, or to go on with.
 */
export async function assemble(index: ContentIndex, settings: AssembleSettings): Promise<void> {
  const { folder, store, signal, from, marks } = settings;
  const { point } = from ?? { point: BEGINNING };
  const batchBytes = settings.batchBytes ?? CONSUMED_BATCH_BYTES;
  await requireFreeSpace(dirname(folder), neededBytes(index, settings));
  if (from === undefined) await mkdir(folder, { mode: 0o700 });
  const isConsuming = settings.isConsuming === true;
  const consumed = isConsuming ? new ConsumedFragments(index, store, point) : undefined;
  const isSettled = isConsuming || marks !== undefined;
  await using settled = isSettled
    ? new SettledFiles({ folder, consumed, marks, from, batchBytes })
    : undefined;
  settled?.made("");
  const raw = new RawStream(index, rawSource(settings));
  const assembly = { ...settings, raw, consumed, settled };
  const made = new Set(from?.folders);
  for (const [place, file] of index.files.entries()) {
    signal.throwIfAborted();
    const parents = parentPaths(file.path);
    const folders = file.kind === "folder" ? [...parents, file.path] : parents;
    await makeFolders(folders, made, assembly);
    if (file.kind === "file" && place >= point.place) await writeEntry(file, place, assembly);
  }
  await settled?.settle(index.files.length);
}

/** Consuming, a file takes the place of its fragments: only what it is larger than they needs room. */
function neededBytes(index: ContentIndex, settings: AssembleSettings): number {
  const { from, batchBytes } = settings;
  const { fileBytes, wireBytes } =
    from === undefined ? index.content : bytesLeft(index, from.point);
  if (settings.isConsuming !== true) return Math.ceil(fileBytes * FREE_SPACE_FACTOR);
  return Math.max(0, fileBytes - wireBytes) + 2 * (batchBytes ?? CONSUMED_BATCH_BYTES);
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
  paths: readonly string[],
  made: Set<string>,
  { folder, settled }: Assembly,
): Promise<void> {
  for (const path of paths) {
    if (made.has(path)) continue;
    await mkdir(join(folder, path), { mode: 0o755 });
    settled?.made(path);
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

async function writeEntry(file: FileOfContent, place: number, assembly: Assembly): Promise<void> {
  const { folder, isDurable, settled, from } = assembly;
  const isBegun = place === from?.point.place && from.point.bytes > 0;
  const mode = file.isExecutable ? 0o755 : 0o644;
  await using stack = new AsyncDisposableStack();
  const handle = stack.use(await open(join(folder, file.path), openFlags(isBegun), mode));
  settled?.made(file.path);
  try {
    await writeBytes(handle, file, place, assembly);
    // The mode given to open() is cut by the umask of whoever started the node.
    await handle.chmod(mode);
    if (settled === undefined) {
      if (isDurable) await handle.sync();
      return;
    }
    stack.move();
    await settled.add(place, handle);
  } catch (cause) {
    if (!isErrorCode(cause, "ENOSPC", "EDQUOT")) throw cause;
    const details = { folder, neededBytes: file.sizeBytes, freeBytes: 0 };
    throw new DeployError("DISK_FULL", details, { cause });
  }
}

// The folder is new and private; O_EXCL and O_NOFOLLOW hold even if it were not (trust X2, X6).
function openFlags(isBegun: boolean): number {
  const { O_RDWR, O_WRONLY, O_CREAT, O_EXCL } = constants;
  const O_NOFOLLOW = constants.O_NOFOLLOW ?? 0;
  return isBegun ? O_RDWR | O_NOFOLLOW : O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
}

async function writeBytes(
  handle: FileHandle,
  file: FileOfContent,
  place: number,
  assembly: Assembly,
): Promise<void> {
  const { consumed, settled, local, signal } = assembly;
  const digest = createHash("sha256");
  const begunBytes = await begun(handle, file, place, digest, assembly);
  const here = local?.file(place, signal);
  let bytes = begunBytes;
  for await (const piece of here === undefined
    ? fromFragments(file, place, assembly)
    : skipped(here, begunBytes)) {
    digest.update(piece);
    bytes += piece.length;
    if (bytes > file.sizeBytes) break;
    await handle.writeFile(piece);
    // What comes from an older file is right only when the whole has been proven.
    const sureBytes = here === undefined ? bytes : 0;
    await settled?.wrote({ place, handle, bytes: sureBytes, digest });
  }
  if (bytes === file.sizeBytes && digest.digest("hex") === file.sha256) {
    if (here !== undefined) consumed?.skipped(extentsLeft(file, place, pointOf(assembly)));
    return;
  }
  if (begunBytes > 0) await settled?.discard();
  // What this machine had was proven when it was chosen: it has changed since.
  if (here !== undefined || begunBytes > 0) throw changed(file);
  throw new DeployError("CONTENT_INVALID", {
    package: "the package",
    problem: `${JSON.stringify(file.path)} does not match its SHA-256`,
  });
}

function fromFragments(
  file: FileOfContent,
  place: number,
  assembly: Assembly,
): AsyncGenerator<Buffer> {
  const { raw, consumed, signal } = assembly;
  const extents = extentsLeft(file, place, pointOf(assembly));
  return raw.bytes(extents, signal, (fragment) => consumed?.used(fragment));
}

/** Bytes of the file that an earlier try has written, read again; the handle stands behind them. */
async function begun(
  handle: FileHandle,
  file: FileOfContent,
  place: number,
  digest: Hash,
  { from, settled, signal }: Assembly,
): Promise<number> {
  if (from === undefined || place !== from.point.place || from.point.bytes === 0) return 0;
  const { bytes } = from.point;
  await handle.truncate(bytes);
  const room = Buffer.allocUnsafe(READ_BYTES);
  for (let leftBytes = bytes; leftBytes > 0;) {
    signal.throwIfAborted();
    const bytesRead = await readInto(handle, room, Math.min(leftBytes, room.length));
    if (bytesRead === 0) break;
    digest.update(room.subarray(0, bytesRead));
    leftBytes -= bytesRead;
  }
  if (digest.copy().digest("hex") === from.prefix) return bytes;
  await settled?.discard();
  throw changed(file);
}

/** 0 at the end, and where a sector cannot be read: either way these are not the bytes that were written. */
async function readInto(handle: FileHandle, room: Buffer, sizeBytes: number): Promise<number> {
  try {
    return (await handle.read(room, 0, sizeBytes, null)).bytesRead;
  } catch (cause) {
    if (!isErrorCode(cause, "EIO")) throw cause;
    return 0;
  }
}

function pointOf({ from }: Assembly): AssemblyPoint {
  return from?.point ?? BEGINNING;
}

function changed({ path }: FileOfContent): DeployError {
  return new DeployError("LOCAL_SOURCE_CHANGED", { path: JSON.stringify(path) });
}
