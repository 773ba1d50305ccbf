/**
 * Reads a zip through its central directory: streaming, zip64, any file in any order. Everything that two
 * programs could read in two ways is refused: links, overlaps, local headers that tell another story,
 * sizes and checksums that do not hold.
 */
import { stat } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { getFileNameLowLevel, openPromise, type Entry, type ZipFile } from "yauzl";
import {
  damagedArchive,
  entryPath,
  refuseBomb,
  refusedEntry,
  refuseMode,
  SourceMeter,
  type ContentEntry,
  type ContentReader,
  type SourceLimits,
} from "./content-reader.ts";

/** Bytes of the archive that one entry occupies, local header included. */
interface Range {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

interface OpenZip {
  readonly path: string;
  readonly zip: ZipFile;
  readonly packedBytes: number;
  readonly limits: SourceLimits;
}

const STORED = 0;
const DEFLATED = 8;
// "Made by" systems whose external attributes carry a Unix mode: Unix and macOS.
const UNIX_HOSTS: ReadonlySet<number> = new Set([3, 19]);

/** Throws PUBLISH_ARCHIVE_DAMAGED where the file has no usable central directory. */
export async function zipReader(path: string, limits: SourceLimits): Promise<ContentReader> {
  const { size: packedBytes } = await stat(path);
  // Names are decoded and judged here: the library's own check does not say which entry was bad.
  const options = { decodeStrings: false, validateEntrySizes: true, autoClose: false };
  const zip = await openPromise(path, options).catch((cause: unknown) => {
    throw damagedArchive(path, "its end", "the zip has no valid end record (cut off?)", cause);
  });
  const opened: OpenZip = { path, zip, packedBytes, limits };
  return {
    isRandomAccess: true,
    entries: (signal) => listed(opened, signal),
    [Symbol.asyncDispose]: () => {
      zip.close();
      return Promise.resolve();
    },
  };
}

async function* listed(opened: OpenZip, signal: AbortSignal): AsyncGenerator<ContentEntry> {
  const meter = new SourceMeter(opened.limits);
  const ranges: Range[] = [];
  const entries = opened.zip.eachEntry();
  let name = "its central directory";
  for (;;) {
    signal.throwIfAborted();
    const after = name;
    const next = await entries.next().catch((cause: unknown) => {
      throw damagedArchive(opened.path, `the entry after ${after}`, problemOf(cause), cause);
    });
    if (next.done === true) break;
    name = nameOf(next.value);
    meter.add(name, next.value.uncompressedSize);
    refuseBomb(name, opened.packedBytes, meter.totalBytes, opened.limits);
    const entry = checkedEntry(opened, next.value, name);
    ranges.push(await localRange(opened, next.value, name));
    if (entry !== undefined) yield entry;
  }
  refuseOverlaps(ranges);
}

function nameOf(entry: Entry): string {
  // `strictFileNames`: a backslash stays a backslash and is refused by the path policy.
  return getFileNameLowLevel(
    entry.generalPurposeBitFlag,
    entry.fileNameRaw,
    entry.extraFields,
    true,
  );
}

function checkedEntry(opened: OpenZip, entry: Entry, name: string): ContentEntry | undefined {
  const kind = name.endsWith("/") ? "folder" : "file";
  const mode = entry.externalFileAttributes >>> 16;
  const isUnix = UNIX_HOSTS.has(entry.versionMadeBy >>> 8);
  refuseMode(name, mode, kind);
  if (entry.isEncrypted()) throw refusedEntry(name, "it is encrypted");
  if (entry.compressionMethod !== STORED && entry.compressionMethod !== DEFLATED) {
    throw refusedEntry(name, `its compression method ${entry.compressionMethod} is not supported`);
  }
  if (kind === "folder" && entry.uncompressedSize > 0) {
    throw refusedEntry(name, "it is a folder with content");
  }
  const path = entryPath(name, kind);
  if (path === undefined) return undefined;
  if (kind === "folder") return { kind, path };
  return {
    kind,
    path,
    isExecutable: isUnix && (mode & 0o100) !== 0,
    sizeBytes: entry.uncompressedSize,
    read: () => entryParts(opened, entry, name),
  };
}

async function localRange(opened: OpenZip, entry: Entry, name: string): Promise<Range> {
  const local = await opened.zip.readLocalFileHeaderPromise(entry).catch((cause: unknown) => {
    throw damagedArchive(opened.path, name, problemOf(cause), cause);
  });
  const isSame =
    local.fileName.equals(entry.fileNameRaw) &&
    local.compressionMethod === entry.compressionMethod &&
    (local.generalPurposeBitFlag & 1) === (entry.generalPurposeBitFlag & 1);
  if (!isSame) throw refusedEntry(name, "its local header and the central directory disagree");
  const start = entry.relativeOffsetOfLocalHeader;
  return { name, start, end: local.fileDataStart + entry.compressedSize };
}

// Overlapping entries are how a small zip unpacks to petabytes without any large ratio per entry.
function refuseOverlaps(ranges: readonly Range[]): void {
  const inOrder = ranges.toSorted((left, right) => left.start - right.start);
  let previous: Range | undefined;
  for (const range of inOrder) {
    if (previous !== undefined && range.start < previous.end) {
      throw refusedEntry(range.name, `it shares bytes of the archive with ${previous.name}`);
    }
    previous = range;
  }
}

async function* entryParts(opened: OpenZip, entry: Entry, name: string): AsyncGenerator<Buffer> {
  let sum = 0;
  try {
    const source: AsyncIterable<unknown> = await opened.zip.openReadStreamPromise(entry);
    for await (const bytes of source) {
      if (!Buffer.isBuffer(bytes)) throw new TypeError("a zip entry comes as buffers");
      sum = crc32(bytes, sum);
      yield bytes;
    }
  } catch (cause) {
    throw damagedArchive(opened.path, name, problemOf(cause), cause);
  }
  // The library checks sizes, not checksums.
  if (sum !== entry.crc32) {
    throw damagedArchive(opened.path, name, "its checksum does not match");
  }
}

function problemOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : "it cannot be read";
}
