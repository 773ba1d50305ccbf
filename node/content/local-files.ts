/**
 * Files and fragments of versions that this node has put together before: from the folder where they were
 * stored, else from fragments that are still here. Nothing counts before it is proven by its SHA-256.
 */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { FileEntry } from "../../protocol/file-list.ts";
import type { Digest } from "../../protocol/ids.ts";
import { SMALL_FILE_BYTES } from "../../protocol/limits.ts";
import type { ContentIndex } from "./content-index.ts";
import type { LocalPackage } from "./local-packages.ts";
import type { FragmentStore } from "./ports.ts";
import { fragmentsOf, RawStream, unpacked } from "./raw-stream.ts";
import { isErrorCode } from "./write-file.ts";

const READ_BYTES = 1024 * 1024;

type FileOfContent = Extract<FileEntry, { kind: "file" }>;

/** One file of an older version. */
export interface LocalFile {
  readonly sha256: Digest;
  readonly sizeBytes: number;
  /** The bytes from an offset on, unproven; ends early where the file is shorter or gone. */
  read(signal: AbortSignal, fromByte?: number): AsyncIterable<Buffer>;
  /** Whether the bytes are what they were. */
  isIntact(signal: AbortSignal): Promise<boolean>;
}

/** Where the raw bytes of a fragment lie. */
export interface LocalRegion {
  readonly file: LocalFile;
  readonly fromByte: number;
}

/** One older version with its index. */
export interface LocalVersion {
  readonly note: LocalPackage;
  readonly index: ContentIndex;
  /** By place in its file list. */
  fileAt(place: number): LocalFile | undefined;
  /** Fragments of large files in its folder, by raw hint. */
  readonly regions: ReadonlyMap<string, LocalRegion>;
}

export function localVersion(
  note: LocalPackage,
  index: ContentIndex,
  store: FragmentStore,
): LocalVersion {
  const made = new Map<number, LocalFile>();
  const raw = new RawStream(index, async (entry) =>
    unpacked(entry, async (digest) => store.read(digest)),
  );
  const fileAt = (place: number): LocalFile | undefined => {
    const entry = index.files[place];
    if (entry?.kind !== "file") return undefined;
    const known = made.get(place);
    if (known !== undefined) return known;
    const inFragments = fragmentFile(entry, index, raw, store);
    const { folder } = note;
    const file =
      folder === undefined ? inFragments : either(inFragments, storedFile(entry, folder));
    made.set(place, file);
    return file;
  };
  const regions = note.folder === undefined ? new Map() : regionsOf(index, fileAt);
  return { note, index, fileAt, regions };
}

function storedFile({ path, sha256, sizeBytes }: FileOfContent, folder: string): LocalFile {
  const read = (signal: AbortSignal, fromByte = 0): AsyncIterable<Buffer> =>
    fileBytes(join(folder, path), fromByte, signal);
  const isIntact = async (signal: AbortSignal): Promise<boolean> => {
    const digest = createHash("sha256");
    for await (const piece of read(signal)) digest.update(piece);
    return digest.digest("hex") === sha256;
  };
  return { sha256, sizeBytes, read, isIntact };
}

function fragmentFile(
  { sha256, sizeBytes, extents }: FileOfContent,
  index: ContentIndex,
  raw: RawStream,
  store: FragmentStore,
): LocalFile {
  return {
    sha256,
    sizeBytes,
    read: (signal, fromByte = 0) => skipped(raw.bytes(extents, signal), fromByte),
    // The store hashes what it reads; until then, having all of them is enough.
    isIntact: async () =>
      [...fragmentsOf(index, extents)].every((place) => {
        const entry = index.fragments[place];
        return entry !== undefined && store.has(entry.digest);
      }),
  };
}

/** Fragments first: the store knows without reading whether they are there. */
function either(inFragments: LocalFile, stored: LocalFile): LocalFile {
  let source = stored;
  return {
    sha256: stored.sha256,
    sizeBytes: stored.sizeBytes,
    read: (signal, fromByte) => source.read(signal, fromByte),
    isIntact: async (signal) => {
      source = (await inFragments.isIntact(signal)) ? inFragments : stored;
      return source.isIntact(signal);
    },
  };
}

/** Large files are cut on their own, so each of their fragments lies in one piece. */
function regionsOf(
  index: ContentIndex,
  fileAt: (place: number) => LocalFile | undefined,
): ReadonlyMap<string, LocalRegion> {
  const regions = new Map<string, LocalRegion>();
  for (const [place, entry] of index.files.entries()) {
    if (entry.kind === "folder" || entry.sizeBytes < SMALL_FILE_BYTES) continue;
    const file = fileAt(place);
    if (file === undefined) continue;
    let fromByte = 0;
    for (const at of fragmentsOf(index, entry.extents)) {
      const fragment = index.fragments[at];
      if (fragment === undefined) break;
      if (!regions.has(fragment.rawHint)) regions.set(fragment.rawHint, { file, fromByte });
      fromByte += fragment.rawBytes;
    }
  }
  return regions;
}

async function* fileBytes(
  path: string,
  fromByte: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  // Users of the endpoint may write there: no link is followed, no pipe waited for.
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
  try {
    await using handle = await open(path, flags);
    if (!(await handle.stat()).isFile()) return;
    for (let position = fromByte; ;) {
      signal.throwIfAborted();
      const { bytesRead, buffer } = await handle.read(
        Buffer.allocUnsafe(READ_BYTES),
        0,
        READ_BYTES,
        position,
      );
      if (bytesRead === 0) return;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } catch (cause) {
    if (!isErrorCode(cause, "ENOENT", "ENOTDIR", "ELOOP", "EACCES", "EPERM", "ENXIO")) throw cause;
  }
}

/** A source from an offset on. */
export async function* skipped(
  source: AsyncIterable<Buffer>,
  fromByte: number,
): AsyncGenerator<Buffer> {
  let leftBytes = fromByte;
  for await (const piece of source) {
    const cut = Math.min(leftBytes, piece.length);
    leftBytes -= cut;
    if (cut < piece.length) yield piece.subarray(cut);
  }
}
