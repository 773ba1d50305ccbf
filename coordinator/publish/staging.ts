/** The private folder in which a package is put together: fragments, and the spool of sequential sources. */
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, open, rm, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import type { ContentEntry, ContentReader, FileSource } from "./content-reader.ts";

/** A private temporary folder that is deleted at disposal. */
export interface Staging extends AsyncDisposable {
  readonly folder: string;
}

export async function makeStaging(parent: string = tmpdir()): Promise<Staging> {
  // mkdtemp makes the folder with mode 0700.
  const folder = await mkdtemp(join(parent, "branchline-publish-"));
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

/** What a source holds, with files that can be read in any order until disposal. */
export interface ListedContent extends AsyncDisposable {
  readonly entries: readonly ContentEntry[];
}

/**
 * Lists a source. Files of a sequential source are copied one behind the other into one spool file, as
 * the order of content is not the order of the archive.
 */
export async function listContent(
  reader: ContentReader,
  spoolPath: string,
  signal: AbortSignal,
): Promise<ListedContent> {
  if (!reader.isRandomAccess) return spooled(reader, spoolPath, signal);
  const entries = await Array.fromAsync(reader.entries(signal));
  return { entries, [Symbol.asyncDispose]: () => Promise.resolve() };
}

const READ_BYTES = 1024 * 1024;

async function spooled(
  reader: ContentReader,
  spoolPath: string,
  signal: AbortSignal,
): Promise<ListedContent> {
  const sink = createWriteStream(spoolPath, { flags: "wx", mode: 0o600 });
  const closed = finished(sink);
  // Awaited below on every path; this keeps a failure in between from counting as unhandled.
  closed.catch(() => undefined);
  const remove = (): Promise<void> => rm(spoolPath, { force: true });
  try {
    const folders: ContentEntry[] = [];
    const files: { entry: FileSource; offsetBytes: number }[] = [];
    let offsetBytes = 0;
    for await (const entry of reader.entries(signal)) {
      if (entry.kind === "folder") {
        folders.push(entry);
        continue;
      }
      await copied(entry, sink, closed);
      files.push({ entry, offsetBytes });
      offsetBytes += entry.sizeBytes;
    }
    sink.end();
    await closed;
    const spool = await open(spoolPath, "r");
    const entries = files.map((file) => spooledEntry(spool, file.entry, file.offsetBytes));
    return {
      entries: [...folders, ...entries],
      [Symbol.asyncDispose]: () => spool.close().then(remove),
    };
  } catch (cause) {
    sink.destroy();
    await Promise.allSettled([closed]);
    await remove();
    throw cause;
  }
}

async function copied(entry: FileSource, sink: Writable, closed: Promise<void>): Promise<void> {
  for await (const bytes of entry.read()) {
    if (!sink.write(bytes)) await Promise.race([drained(sink), closed]);
  }
}

function spooledEntry(spool: FileHandle, entry: FileSource, offsetBytes: number): FileSource {
  const { kind, path, isExecutable, sizeBytes } = entry;
  return {
    kind,
    path,
    isExecutable,
    sizeBytes,
    read: () => spoolParts(spool, offsetBytes, sizeBytes),
  };
}

async function* spoolParts(
  spool: FileHandle,
  offsetBytes: number,
  sizeBytes: number,
): AsyncGenerator<Buffer> {
  for (let at = 0; at < sizeBytes; at += READ_BYTES) {
    const length = Math.min(READ_BYTES, sizeBytes - at);
    const { bytesRead, buffer } = await spool.read(
      Buffer.allocUnsafe(length),
      0,
      length,
      offsetBytes + at,
    );
    if (bytesRead !== length) throw new Error("the spool file was cut");
    yield buffer;
  }
}

function drained(sink: Writable): Promise<void> {
  return new Promise((resolve) => {
    sink.once("drain", resolve);
  });
}

/** The folder of finished fragments inside a staging folder. */
export async function fragmentFolder(staging: string): Promise<string> {
  const folder = join(staging, "fragments");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return folder;
}
