/**
 * How far the files of a content have been written, and what is left of them: bytes, extents, and the
 * fragments that are still needed. A fragment that several files share is needed until the last of them.
 */
import type { FileEntry } from "../../protocol/file-list.ts";
import type { ContentIndex } from "./content-index.ts";
import { fragmentsOf } from "./raw-stream.ts";

export type FileOfContent = Extract<FileEntry, { kind: "file" }>;
export type Extents = FileOfContent["extents"];

/** Entries of the file list before `place` are whole; of the file at it there are so many bytes. */
export interface AssemblyPoint {
  readonly place: number;
  readonly bytes: number;
}

export const BEGINNING: AssemblyPoint = { place: 0, bytes: 0 };

/** Of the file at a place, what is not written yet; in file order. */
export function extentsLeft(file: FileEntry, place: number, point: AssemblyPoint): Extents {
  if (file.kind === "folder" || place < point.place) return [];
  if (place > point.place || point.bytes === 0) return file.extents;
  const left: Extents = [];
  let skippedBytes = point.bytes;
  for (const [offset, length] of file.extents) {
    const cut = Math.min(skippedBytes, length);
    skippedBytes -= cut;
    if (cut < length) left.push([offset + cut, length - cut]);
  }
  return left;
}

/** Places of the fragments that what is left is made of. */
export function fragmentsLeft(index: ContentIndex, point: AssemblyPoint): ReadonlySet<number> {
  const needed = new Set<number>();
  for (const [place, file] of index.files.entries()) {
    for (const at of fragmentsOf(index, extentsLeft(file, place, point))) needed.add(at);
  }
  return needed;
}

export interface BytesLeft {
  readonly fileBytes: number;
  /** Of the fragments for it, each digest once. */
  readonly wireBytes: number;
}

export function bytesLeft(index: ContentIndex, point: AssemblyPoint): BytesLeft {
  let fileBytes = 0;
  for (const [place, file] of index.files.entries()) {
    for (const [, length] of extentsLeft(file, place, point)) fileBytes += length;
  }
  const wire = new Map<string, number>();
  for (const at of fragmentsLeft(index, point)) {
    const entry = index.fragments[at];
    if (entry !== undefined) wire.set(entry.digest, entry.wireBytes);
  }
  let wireBytes = 0;
  for (const sizeBytes of wire.values()) wireBytes += sizeBytes;
  return { fileBytes, wireBytes };
}
