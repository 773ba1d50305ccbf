/**
 * What of half-made files may be built upon. A file that is whole was proven by its SHA-256 while it was
 * written; that it is still what it was shows in its look (size and both times, the second of which no
 * program sets back), and where the looks say otherwise the files are read and proven again. So a process
 * trusts a fragment that it has hashed before. Unseen in a whole file go only bits that turn on the medium
 * itself, without any write, as they would in the finished folder a moment later, and a write in the same tick
 * of the file system's clock as our own last one. The file that is half written is read again in any case, by
 * whoever goes on with it.
 */
import { createHash, type Hash } from "node:crypto";
import { constants, type BigIntStats } from "node:fs";
import { lstat, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { FileEntry } from "../../protocol/file-list.ts";
import type { Digest } from "../../protocol/ids.ts";
import { NO_BYTES_DIGEST, type AssemblyMark } from "./assembly-marks.ts";
import type { AssemblyPoint, FileOfContent } from "./assembly-point.ts";
import { parentPaths, type ContentIndex } from "./content-index.ts";
import { inParallel } from "./in-parallel.ts";
import { isErrorCode } from "./write-file.ts";

const PARALLEL_LOOKS = 16;
const READ_BYTES = 1024 * 1024;

/** Half-made files, as an assembly goes on with them. */
export interface CheckedTree {
  readonly point: AssemblyPoint;
  /** SHA-256 of the bytes before the point in its file. */
  readonly prefix: Digest;
  /** Over the files before the point; `addLook` goes on with it. */
  readonly looks: Hash;
  /** The point is not the mark's, or the looks are not: a mark has to say so. */
  readonly isNew: boolean;
  /** Of the content and there; relative, with `/`. */
  readonly folders: ReadonlySet<string>;
  /** There, and not before the point: left behind by a crash, or put there by somebody. */
  readonly strays: readonly string[];
}

export type Checked =
  | { readonly kind: "tree"; readonly tree: CheckedTree }
  | { readonly kind: "refused"; readonly reason: string };

/** Looks only; where a file has to be proven again, it also gets its mode again. */
export async function checkedTree(
  folder: string,
  mark: AssemblyMark,
  index: ContentIndex,
): Promise<Checked> {
  try {
    return await checked(folder, mark, index);
  } catch (cause) {
    // A folder that is not ours any more, or a sector that cannot be read.
    if (!isErrorCode(cause, "EACCES", "EPERM", "EIO", "ENOENT", "ENOTDIR")) throw cause;
    return { kind: "refused", reason: `it cannot be read: ${String(cause)}` };
  }
}

async function checked(folder: string, mark: AssemblyMark, index: ContentIndex): Promise<Checked> {
  const begun = index.files[mark.place];
  const roomBytes = begun?.kind === "file" ? begun.sizeBytes : 0;
  if (mark.place > index.files.length || mark.bytes > roomBytes) {
    return { kind: "refused", reason: "its mark is not of this content" };
  }
  if ((await lookAt(folder))?.isDirectory() !== true) {
    return { kind: "refused", reason: "its folder is gone" };
  }
  const there = await walked(folder, index);
  const whole = await wholeFiles(folder, mark, index, there.files);
  const isBegun =
    whole.place === mark.place && (await isLongEnough(folder, begun, mark.bytes, there.files));
  const point = { place: whole.place, bytes: isBegun ? mark.bytes : 0 };
  const prefix = isBegun ? mark.prefix : NO_BYTES_DIGEST;
  const isNew = whole.isNew || point.bytes !== mark.bytes;
  const strays = [...there.others, ...behind(point, index, there.files)];
  const { folders } = there;
  return { kind: "tree", tree: { point, prefix, looks: whole.looks, isNew, folders, strays } };
}

/** A look as it goes into the digest of all looks, in the order of the file list. */
export function addLook(looks: Hash, place: number, { size, mtimeNs, ctimeNs }: BigIntStats): void {
  looks.update(`${place} ${size} ${mtimeNs} ${ctimeNs}\n`);
}

interface WholeFiles {
  readonly place: number;
  readonly looks: Hash;
  readonly isNew: boolean;
}

async function wholeFiles(
  folder: string,
  mark: AssemblyMark,
  index: ContentIndex,
  there: ReadonlySet<string>,
): Promise<WholeFiles> {
  const looks = createHash("sha256");
  const entries = [...index.files.entries()].slice(0, mark.place);
  const seen = await inParallel(entries, PARALLEL_LOOKS, async ([, entry]) =>
    there.has(entry.path) ? lookAt(join(folder, entry.path)) : undefined,
  );
  const isThere = entries.every(([place, entry]) => {
    const look = seen[place];
    if (entry.kind === "folder") return true;
    if (look?.isFile() !== true || look.size !== BigInt(entry.sizeBytes)) return false;
    addLook(looks, place, look);
    return true;
  });
  if (isThere && looks.copy().digest("hex") === mark.looks) {
    return { place: mark.place, looks, isNew: false };
  }
  return provenFiles(folder, entries, there);
}

/** Something has changed: every file counts again only when it has been read. */
async function provenFiles(
  folder: string,
  entries: readonly (readonly [number, FileEntry])[],
  there: ReadonlySet<string>,
): Promise<WholeFiles> {
  const looks = createHash("sha256");
  for (const [place, entry] of entries) {
    if (entry.kind === "folder") continue;
    const path = join(folder, entry.path);
    const look = there.has(entry.path) ? await proven(path, entry) : undefined;
    if (look === undefined) return { place, looks, isNew: true };
    addLook(looks, place, look);
  }
  return { place: entries.length, looks, isNew: true };
}

async function proven(path: string, file: FileOfContent): Promise<BigIntStats | undefined> {
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
  try {
    await using handle = await open(path, flags);
    if (!(await handle.stat()).isFile()) return undefined;
    await handle.chmod(file.isExecutable ? 0o755 : 0o644);
    // Looked at before it is read: a later change shows in the next look.
    const look = await handle.stat({ bigint: true });
    const digest = createHash("sha256");
    const room = Buffer.allocUnsafe(READ_BYTES);
    for (;;) {
      const { bytesRead } = await handle.read(room, 0, room.length, null);
      if (bytesRead === 0) break;
      digest.update(room.subarray(0, bytesRead));
    }
    return digest.digest("hex") === file.sha256 ? look : undefined;
  } catch (cause) {
    const codes = ["ENOENT", "ENOTDIR", "ELOOP", "EIO", "ENXIO", "EACCES", "EPERM"] as const;
    if (!isErrorCode(cause, ...codes)) throw cause;
    return undefined;
  }
}

async function isLongEnough(
  folder: string,
  begun: FileEntry | undefined,
  bytes: number,
  there: ReadonlySet<string>,
): Promise<boolean> {
  if (bytes === 0 || begun === undefined) return true;
  const look = there.has(begun.path) ? await lookAt(join(folder, begun.path)) : undefined;
  return look?.isFile() === true && look.size >= BigInt(bytes);
}

interface Walked {
  readonly folders: ReadonlySet<string>;
  /** Real files, reached through real folders, that the content has too. */
  readonly files: ReadonlySet<string>;
  readonly others: readonly string[];
}

async function walked(folder: string, { files: entries }: ContentIndex): Promise<Walked> {
  const wanted = new Set(entries.flatMap(({ kind, path }) => (kind === "file" ? [path] : [])));
  const known = new Set(
    entries.flatMap(({ kind, path }) =>
      kind === "folder" ? [...parentPaths(path), path] : parentPaths(path),
    ),
  );
  const folders = new Set<string>();
  const files = new Set<string>();
  const others: string[] = [];
  const waiting = [""];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    for (const entry of await readdir(join(folder, at), { withFileTypes: true })) {
      const path = at === "" ? entry.name : `${at}/${entry.name}`;
      if (entry.isDirectory() && known.has(path)) {
        folders.add(path);
        waiting.push(path);
      } else if (entry.isFile() && wanted.has(path)) files.add(path);
      else others.push(path);
    }
  }
  return { folders, files, others };
}

/** Files that are written anew. */
function behind(
  point: AssemblyPoint,
  { files }: ContentIndex,
  there: ReadonlySet<string>,
): readonly string[] {
  const endPlace = point.place + (point.bytes > 0 ? 1 : 0);
  return files.slice(endPlace).flatMap(({ path }) => (there.has(path) ? [path] : []));
}

/** Links are not followed. */
async function lookAt(path: string): Promise<BigIntStats | undefined> {
  try {
    return await lstat(path, { bigint: true });
  } catch (cause) {
    if (!isErrorCode(cause, "ENOENT", "ENOTDIR")) throw cause;
    return undefined;
  }
}
