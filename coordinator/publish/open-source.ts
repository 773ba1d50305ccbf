/** Finds out by its first bytes what a source is, and opens the reader for it. */
import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { basename } from "node:path";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { ByteQueue } from "./byte-queue.ts";
import {
  damagedArchive,
  unreadable,
  type ContentReader,
  type SourceLimits,
} from "./content-reader.ts";
import { fileReader, folderReader } from "./folder-reader.ts";
import { readTarHeader } from "./tar-header.ts";
import { tarReader } from "./tar-reader.ts";
import { zipReader } from "./zip-reader.ts";

type Format = "folder" | "file" | "zip" | "tar" | "gzippedTar";

const HEAD_BYTES = 512;
// Zips that are programs or documents: unpacked they would be of no use.
const WHOLE = /\.(?:jar|war|ear|apk|msix|msixbundle|appx|nupkg|vsix|whl|docx|xlsx|pptx|odt|ods)$/iu;

/** Throws PUBLISH_SOURCE_MISSING, or PUBLISH_ARCHIVE_DAMAGED for a file that is not what its name says. */
export async function openSource(path: string, limits: SourceLimits): Promise<ContentReader> {
  const format = await formatOf(path);
  switch (format) {
    case "folder":
      return folderReader(path, limits);
    case "file":
      return fileReader(path, limits);
    case "zip":
      return zipReader(path, limits);
    case "tar":
      return tarReader(path, false, limits);
    case "gzippedTar":
      return tarReader(path, true, limits);
  }
  return format satisfies never;
}

async function formatOf(path: string): Promise<Format> {
  const head = await headOf(path);
  if (head === undefined) return "folder";
  const name = basename(path);
  if (isZip(head)) return WHOLE.test(name) ? "file" : "zip";
  if (isTarHead(head)) return "tar";
  if (head[0] === 0x1f && head[1] === 0x8b) {
    const isNamedTar = /\.(?:tar\.gz|tgz)$/iu.test(name);
    if (isNamedTar || isTarHead(await unzippedHead(path))) return "gzippedTar";
    return "file";
  }
  const claim = /\.(?:zip|tar|tar\.gz|tgz)$/iu.exec(name);
  if (claim === null) return "file";
  throw damagedArchive(path, "its beginning", `it is named ${claim[0]} but is no such archive`);
}

/** The first bytes of a file; undefined for a folder. */
async function headOf(path: string): Promise<Buffer | undefined> {
  try {
    const stats = await stat(path);
    if (stats.isDirectory()) return undefined;
    if (!stats.isFile()) throw new Error("it is neither a file nor a folder");
    await using file = await open(path, "r");
    const { bytesRead, buffer } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function isZip(head: Buffer): boolean {
  const signature = head.length >= 4 ? head.readUInt32LE(0) : 0;
  // A local header, or the end record of an empty zip.
  return signature === 0x04034b50 || signature === 0x06054b50;
}

function isTarHead(head: Buffer): boolean {
  return head.length >= HEAD_BYTES && readTarHeader(head)?.cksumValid === true;
}

// A gzip of something else is content like any file; only its first bytes tell.
async function unzippedHead(path: string): Promise<Buffer> {
  const source = createReadStream(path);
  const gunzip = createGunzip();
  pipeline(source, gunzip, () => undefined);
  try {
    return (await new ByteQueue(gunzip).exactly(HEAD_BYTES)) ?? Buffer.alloc(0);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause) return Buffer.alloc(0);
    throw cause;
  } finally {
    gunzip.destroy();
    source.destroy();
  }
}
