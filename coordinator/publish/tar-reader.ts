/**
 * Reads a tar, plain or gzipped, entry by entry. The headers are decoded by the `tar` package; the loop
 * is ours, because the package's parser skips what it does not know, rewrites names and takes a cut
 * archive for a whole one. Here all of that is refused.
 */
import { createReadStream } from "node:fs";
import { pipeline, type Readable } from "node:stream";
import { createGunzip, type Gunzip } from "node:zlib";
import { DeployError } from "../../protocol/errors.ts";
import { TAR_EXTENSION_MAX_BYTES } from "../../protocol/limits.ts";
import { ByteQueue } from "./byte-queue.ts";
import {
  damagedArchive,
  entryPath,
  refuseBomb,
  refusedEntry,
  refuseMode,
  SourceMeter,
  tooLarge,
  type ContentEntry,
  type ContentReader,
  type SourceLimits,
} from "./content-reader.ts";
import { parsePax } from "./pax.ts";
import { readTarHeader, type TarHeader } from "./tar-header.ts";

/** What extension headers say about the entry that follows them. */
interface Extension {
  path?: string;
  sizeBytes?: number;
  /** A PAX record that says so, other than the kind of the header. */
  isSparse?: boolean;
}

interface OpenTar {
  readonly path: string;
  readonly queue: ByteQueue;
  readonly meter: SourceMeter;
  /** Throws PUBLISH_TOO_LARGE once the packed bytes read so far cannot justify the unpacked ones. */
  readonly refuseRatio: (name: string, unpackedBytes: number) => void;
}

const BLOCK_BYTES = 512;
const READ_BYTES = 1024 * 1024;

export function tarReader(path: string, isGzipped: boolean, limits: SourceLimits): ContentReader {
  const file = createReadStream(path, { highWaterMark: READ_BYTES });
  const gunzip = isGzipped ? createGunzip({ chunkSize: 256 * 1024 }) : undefined;
  const source = gunzip === undefined ? file : piped(file, gunzip);
  const tar: OpenTar = {
    path,
    queue: new ByteQueue(source),
    meter: new SourceMeter(limits),
    refuseRatio: (name, unpackedBytes) => {
      if (gunzip !== undefined) refuseBomb(name, gunzip.bytesWritten, unpackedBytes, limits);
    },
  };
  return {
    isRandomAccess: false,
    entries: (signal) => listed(tar, signal),
    [Symbol.asyncDispose]: () => {
      source.destroy();
      file.destroy();
      return Promise.resolve();
    },
  };
}

function piped(file: Readable, gunzip: Gunzip): Gunzip {
  // The error reaches whoever reads `gunzip`; the callback only keeps it from being uncaught.
  pipeline(file, gunzip, () => undefined);
  return gunzip;
}

async function* listed(tar: OpenTar, signal: AbortSignal): AsyncGenerator<ContentEntry> {
  let extension: Extension = {};
  let place = "its beginning";
  for (;;) {
    signal.throwIfAborted();
    const header = decoded(tar, await exactly(tar, BLOCK_BYTES, place), place);
    if (header.nullBlock) break;
    if (isExtension(header)) {
      extension = await extended(tar, header, extension, place);
      continue;
    }
    // A PAX or GNU name replaces the header's whole name, prefix included.
    const name = extension.path ?? header.path ?? "";
    const sizeBytes = kindOf(header, name) === "folder" ? 0 : sizeOf(tar, header, extension, name);
    if (extension.isSparse === true) throw refusedEntry(name, "it is a sparse file");
    extension = {};
    place = name;
    tar.meter.add(name, sizeBytes);
    yield* oneEntry(tar, header, name, sizeBytes);
  }
  await refuseRest(tar);
}

async function* oneEntry(
  tar: OpenTar,
  header: TarHeader,
  name: string,
  sizeBytes: number,
): AsyncGenerator<ContentEntry> {
  const kind = kindOf(header, name);
  const mode = header.mode ?? 0;
  refuseMode(name, mode & 0o7777, kind);
  const path = entryPath(name, kind);
  if (kind === "folder") {
    if (path !== undefined) yield { kind, path };
    return;
  }
  if (path === undefined) throw refusedEntry(name, "it is not a file");
  const left = { bytes: sizeBytes };
  yield {
    kind,
    path,
    isExecutable: (mode & 0o100) !== 0,
    sizeBytes,
    read: () => bodyOf(tar, name, left),
  };
  // Whoever did not read the body leaves it in the way of the next header.
  while (left.bytes > 0) await bodyPart(tar, name, left);
  await exactly(tar, (BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES, name);
}

async function* bodyOf(
  tar: OpenTar,
  name: string,
  left: { bytes: number },
): AsyncGenerator<Buffer> {
  while (left.bytes > 0) yield await bodyPart(tar, name, left);
}

async function bodyPart(tar: OpenTar, name: string, left: { bytes: number }): Promise<Buffer> {
  const bytes = await taken(tar, name, () => tar.queue.some(left.bytes));
  if (bytes.length === 0) throw damagedArchive(tar.path, name, "the archive ends inside it");
  tar.refuseRatio(name, tar.queue.takenBytes);
  left.bytes -= bytes.length;
  return bytes;
}

function decoded(tar: OpenTar, block: Buffer, after: string): TarHeader {
  const header = readTarHeader(block);
  if (header === undefined) {
    throw damagedArchive(tar.path, after, "the header behind it has a wrong checksum or number");
  }
  return header;
}

function kindOf(header: TarHeader, name: string): "file" | "folder" {
  const type: string = header.type;
  switch (type) {
    case "File":
    case "OldFile":
    case "ContiguousFile":
      return name.endsWith("/") ? "folder" : "file";
    case "Directory":
      return "folder";
    case "Link":
      throw refusedEntry(name, "it is a hard link");
    case "SymbolicLink":
      throw refusedEntry(name, "it is a symbolic link");
    default:
      throw refusedEntry(name, `it is of the kind ${type}, neither a file nor a folder`);
  }
}

function sizeOf(tar: OpenTar, header: TarHeader, extension: Extension, name: string): number {
  const sizeBytes = extension.sizeBytes ?? header.size;
  if (sizeBytes === undefined || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
    throw damagedArchive(tar.path, name, "its size is not a number");
  }
  return sizeBytes;
}

const EXTENSIONS: ReadonlySet<string> = new Set([
  "ExtendedHeader",
  "OldExtendedHeader",
  "GlobalExtendedHeader",
  "NextFileHasLongPath",
  "OldGnuLongPath",
  "NextFileHasLongLinkpath",
]);

function isExtension(header: TarHeader): boolean {
  return EXTENSIONS.has(header.type);
}

async function extended(
  tar: OpenTar,
  header: TarHeader,
  extension: Extension,
  after: string,
): Promise<Extension> {
  const sizeBytes = sizeOf(tar, header, {}, after);
  if (sizeBytes > TAR_EXTENSION_MAX_BYTES) {
    throw tooLarge(after, `a tar extension header of ${sizeBytes} bytes`);
  }
  const padded = Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
  const body = (await exactly(tar, padded, after)).subarray(0, sizeBytes);
  const type: string = header.type;
  switch (type) {
    case "NextFileHasLongPath":
    case "OldGnuLongPath":
      return { ...extension, path: untilNul(body) };
    case "NextFileHasLongLinkpath":
      // The link that follows is refused by its own header.
      return extension;
    default:
      return fromPax(tar, body, type === "GlobalExtendedHeader", extension, after);
  }
}

function fromPax(
  tar: OpenTar,
  body: Buffer,
  isGlobal: boolean,
  extension: Extension,
  after: string,
): Extension {
  const records = parsePax(body);
  if (records === undefined) {
    throw damagedArchive(tar.path, after, "the extension header behind it is malformed");
  }
  const path = records.get("path");
  const size = records.get("size");
  const name = path ?? after;
  // Comments and times for all entries are usual (git archive); one name or size for all is an attack.
  if (isGlobal && (path !== undefined || size !== undefined)) {
    throw refusedEntry(name, "a global header sets its name or size");
  }
  if (size !== undefined && !/^\d{1,15}$/u.test(size)) {
    throw damagedArchive(tar.path, name, "its size is not a number");
  }
  return {
    ...extension,
    ...([...records.keys()].some((key) => key.startsWith("GNU.sparse")) ? { isSparse: true } : {}),
    ...(path === undefined ? {} : { path }),
    ...(size === undefined ? {} : { sizeBytes: Number(size) }),
  };
}

// Behind the first zero block only zeros may follow; reading on also proves the end of the gzip.
async function refuseRest(tar: OpenTar): Promise<void> {
  for (;;) {
    const bytes = await taken(tar, "its end", () => tar.queue.some(READ_BYTES));
    if (bytes.length === 0) return;
    tar.refuseRatio("its end", tar.queue.takenBytes);
    if (bytes.some((byte) => byte !== 0)) {
      throw damagedArchive(tar.path, "its end", "there is data behind the end of the archive");
    }
  }
}

async function exactly(tar: OpenTar, sizeBytes: number, place: string): Promise<Buffer> {
  const bytes = await taken(tar, place, () => tar.queue.exactly(sizeBytes));
  if (bytes === undefined) throw damagedArchive(tar.path, place, "the archive is cut off there");
  return bytes;
}

async function taken<T>(tar: OpenTar, place: string, take: () => Promise<T>): Promise<T> {
  try {
    return await take();
  } catch (cause) {
    if (cause instanceof DeployError) throw cause;
    const problem = cause instanceof Error ? cause.message : "it cannot be read";
    throw damagedArchive(tar.path, place, problem, cause);
  }
}

function untilNul(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString("utf8", 0, end < 0 ? bytes.length : end);
}
