/** Reads a plain folder or a single file as content. */
import { constants, type Stats } from "node:fs";
import { lstat, open, readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { DeployError } from "../../protocol/errors.ts";
import {
  entryPath,
  refusedEntry,
  refuseMode,
  SourceMeter,
  type ContentEntry,
  type ContentReader,
  type FileSource,
  unreadable,
  type SourceLimits,
} from "./content-reader.ts";

const READ_BYTES = 1024 * 1024;
// Windows has no such flag; a link put there after the walk is an attack of a local administrator.
const NO_FOLLOW = process.platform === "win32" ? 0 : constants.O_NOFOLLOW;

export function folderReader(root: string, limits: SourceLimits): ContentReader {
  return {
    isRandomAccess: true,
    entries: (signal) => walked(root, "", new SourceMeter(limits), signal),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Content of one file under its own name. */
export function fileReader(path: string, limits: SourceLimits): ContentReader {
  return {
    isRandomAccess: true,
    entries: () => single(path, limits),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function* walked(
  root: string,
  prefix: string,
  meter: SourceMeter,
  signal: AbortSignal,
): AsyncGenerator<ContentEntry> {
  const names = await read(join(root, prefix), readdir(join(root, prefix)));
  for (const name of names.sort()) {
    signal.throwIfAborted();
    const relative = prefix === "" ? name : `${prefix}/${name}`;
    const path = join(root, relative);
    const stats = await read(path, lstat(path));
    if (stats.isDirectory()) {
      const folder = entryPath(relative, "folder") ?? relative;
      meter.add(relative, 0);
      yield { kind: "folder", path: folder };
      yield* walked(root, folder, meter, signal);
    } else {
      meter.add(relative, stats.size);
      yield fileEntry(relative, path, stats);
    }
  }
}

async function* single(path: string, limits: SourceLimits): AsyncGenerator<ContentEntry> {
  const name = basename(path);
  const stats = await read(path, stat(path));
  new SourceMeter(limits).add(name, stats.size);
  // A link that the operator names is followed; only links inside a folder are refused.
  yield fileEntry(name, path, stats, 0);
}

function fileEntry(name: string, path: string, stats: Stats, flags = NO_FOLLOW): FileSource {
  if (stats.isSymbolicLink()) throw refusedEntry(name, "it is a symbolic link");
  if (!stats.isFile()) throw refusedEntry(name, "it is neither a file nor a folder");
  refuseMode(name, stats.mode, "file");
  return {
    kind: "file",
    path: entryPath(name, "file") ?? name,
    isExecutable: process.platform !== "win32" && (stats.mode & 0o100) !== 0,
    sizeBytes: stats.size,
    read: () => fileParts(name, path, stats.size, flags),
  };
}

async function* fileParts(
  name: string,
  path: string,
  sizeBytes: number,
  flags: number,
): AsyncGenerator<Buffer> {
  await using file = await read(path, open(path, constants.O_RDONLY | flags));
  let seenBytes = 0;
  for (;;) {
    // One byte more than is left shows a file that has grown.
    const length = Math.min(READ_BYTES, sizeBytes - seenBytes + 1);
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(length), 0, length);
    seenBytes += bytesRead;
    if (seenBytes > sizeBytes) throw new DeployError("PUBLISH_SOURCE_CHANGED", { entry: name });
    if (bytesRead === 0) break;
    yield buffer.subarray(0, bytesRead);
  }
  if (seenBytes < sizeBytes) throw new DeployError("PUBLISH_SOURCE_CHANGED", { entry: name });
}

async function read<T>(path: string, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (cause) {
    throw unreadable(path, cause);
  }
}
