/**
 * Files out of fragments: written into a fresh private folder, one at a time, each proven by its whole
 * SHA-256 before it counts. Memory holds a few unpacked fragments, whatever the package's size.
 */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { mkdir, open, statfs, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import { DeployError } from "../../protocol/errors.ts";
import type { FileEntry } from "../../protocol/file-list.ts";
import { heldFragment, parentPaths, type ContentIndex } from "./content-index.ts";
import type { FragmentStore } from "./ports.ts";
import { isErrorCode } from "./write-file.ts";

const unpack = promisify(zstdDecompress);
/** Unpacked fragments kept: neighbouring files share bundles, and dedupe looks back a little. */
const CACHED_FRAGMENTS = 4;
/** trust 4.1 rule 4. */
const FREE_SPACE_FACTOR = 1.2;

export interface AssembleSettings {
  /** Made by this call; must not exist. Its parent is private to the node. */
  readonly folder: string;
  readonly store: FragmentStore;
  readonly signal: AbortSignal;
  /** Every file is synced before the call resolves: for content that stays. */
  readonly isDurable: boolean;
}

/** Throws DISK_FULL, FRAGMENT_MISSING or CONTENT_INVALID; what it wrote stays for the caller to remove. */
export async function assemble(index: ContentIndex, settings: AssembleSettings): Promise<void> {
  await requireFreeSpace(dirname(settings.folder), index.content.fileBytes);
  await mkdir(settings.folder, { mode: 0o700 });
  const raw = rawReader(index, settings.store);
  const made = new Set<string>();
  for (const file of index.files) {
    settings.signal.throwIfAborted();
    const folders =
      file.kind === "folder" ? [...parentPaths(file.path), file.path] : parentPaths(file.path);
    await makeFolders(settings.folder, folders, made);
    if (file.kind === "file") await writeEntry(file, raw, settings);
  }
}

/** Throws DISK_FULL naming the bytes where the disk cannot take the files. */
async function requireFreeSpace(folder: string, fileBytes: number): Promise<void> {
  const disk = await statfs(folder);
  const freeBytes = disk.bavail * disk.bsize;
  const neededBytes = Math.ceil(fileBytes * FREE_SPACE_FACTOR);
  if (freeBytes < neededBytes)
    throw new DeployError("DISK_FULL", { folder, neededBytes, freeBytes });
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

type FileOfContent = Extract<FileEntry, { kind: "file" }>;
/** Raw bytes of the stream from an offset on, at most to the end of one fragment. */
type RawReader = (offsetBytes: number) => Promise<Buffer>;

async function writeEntry(
  file: FileOfContent,
  raw: RawReader,
  settings: AssembleSettings,
): Promise<void> {
  // The folder is new and private; O_EXCL and O_NOFOLLOW hold even if it were not (trust X2, X6).
  const flags =
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0);
  const mode = file.isExecutable ? 0o755 : 0o644;
  const path = join(settings.folder, file.path);
  await using handle = await open(path, flags, mode);
  try {
    await writeExtents(handle, file, raw, settings.signal);
  } catch (cause) {
    if (!isErrorCode(cause, "ENOSPC", "EDQUOT")) throw cause;
    const details = { folder: settings.folder, neededBytes: file.sizeBytes, freeBytes: 0 };
    throw new DeployError("DISK_FULL", details, { cause });
  }
  // The mode given to open() is cut by the umask of whoever started the node.
  await handle.chmod(mode);
  if (settings.isDurable) await handle.sync();
}

async function writeExtents(
  handle: FileHandle,
  file: FileOfContent,
  raw: RawReader,
  signal: AbortSignal,
): Promise<void> {
  const digest = createHash("sha256");
  for (const [offset, length] of file.extents) {
    const endBytes = offset + length;
    for (let at = offset; at < endBytes;) {
      signal.throwIfAborted();
      const available = await raw(at);
      const piece = available.subarray(0, endBytes - at);
      digest.update(piece);
      await handle.writeFile(piece);
      at += piece.length;
    }
  }
  if (digest.digest("hex") !== file.sha256) {
    throw refuse(`${JSON.stringify(file.path)} does not match its SHA-256`);
  }
}

function rawReader(index: ContentIndex, store: FragmentStore): RawReader {
  const cache = new Map<number, Buffer>();
  return async (offsetBytes) => {
    const at = fragmentAt(index.offsetsBytes, offsetBytes);
    const bytes = cache.get(at) ?? (await rawFragment(index, at, store));
    cache.delete(at);
    cache.set(at, bytes);
    const [oldest] = cache.keys();
    if (cache.size > CACHED_FRAGMENTS && oldest !== undefined) cache.delete(oldest);
    return bytes.subarray(offsetBytes - (index.offsetsBytes[at] ?? 0));
  };
}

// Binary search: the last fragment that begins at or before the offset.
function fragmentAt(offsetsBytes: readonly number[], offsetBytes: number): number {
  let low = 0;
  let high = offsetsBytes.length - 2;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((offsetsBytes[middle] ?? 0) <= offsetBytes) low = middle;
    else high = middle - 1;
  }
  return low;
}

function refuse(problem: string): DeployError {
  return new DeployError("CONTENT_INVALID", { package: "the package", problem });
}

async function rawFragment(index: ContentIndex, at: number, store: FragmentStore): Promise<Buffer> {
  const entry = index.fragments[at];
  if (entry === undefined) throw refuse("an extent lies outside the content");
  const wire = await heldFragment(entry.digest, store);
  if (wire.length !== entry.wireBytes) throw refuse(`fragment ${entry.digest} has another size`);
  if (entry.wireBytes === entry.rawBytes) return wire;
  // trust P3: the signed raw length bounds the decompression.
  const raw = await unpack(wire, { maxOutputLength: entry.rawBytes });
  if (raw.length !== entry.rawBytes)
    throw refuse(`fragment ${entry.digest} unpacks to another size`);
  return raw;
}
