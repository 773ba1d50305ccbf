/**
 * What an endpoint with the old version has to fetch, computed from the two indexes alone: the pages, and
 * every fragment of a file that is neither unchanged, nor in an old fragment, nor patched.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { parseDeltaPage, type DeltaEntry } from "../../../protocol/delta-list.ts";
import { parseFilePage, type FileEntry } from "../../../protocol/file-list.ts";
import { decodeFragmentPage, type FragmentEntry } from "../../../protocol/fragment-index.ts";
import { readJson } from "../../../protocol/json.ts";
import { parseManifest, type Content, type PageRef } from "../../../protocol/manifest.ts";

interface Index {
  readonly content: Content;
  readonly fragments: readonly FragmentEntry[];
  readonly files: readonly FileEntry[];
}

/** `blobs` is the coordinator's data folder; versions are named by the digests of their manifests. */
export async function predictedBytes(
  blobs: string,
  oldManifest: string,
  newManifest: string,
): Promise<number> {
  const before = await readIndex(blobs, oldManifest);
  const after = await readIndex(blobs, newManifest);
  const had = new Set(before.fragments.map(({ rawHint }) => rawHint));
  const hadFiles = new Set(before.files.map((file) => (file.kind === "file" ? file.sha256 : "")));
  const set = after.content.deltas?.find(({ base }) => base.manifest === oldManifest);
  const pages = [...after.content.fragmentPages, ...after.content.filePages];
  let bytes = sizeOf(pages);
  const patched = new Set<number>();
  if (set !== undefined) {
    bytes += set.wireBytes;
    for (const entry of await patchesOf(blobs, set.listPages)) {
      for (const place of entry.files) patched.add(place);
    }
  }
  const needed = new Set<FragmentEntry>();
  const places = new Places(after.fragments);
  for (const [place, file] of after.files.entries()) {
    if (file.kind === "folder" || hadFiles.has(file.sha256) || patched.has(place)) continue;
    for (const entry of places.within(file.extents)) if (!had.has(entry.rawHint)) needed.add(entry);
  }
  for (const { wireBytes } of needed) bytes += wireBytes;
  return bytes;
}

/** Fragments by the part of the stream that they hold. */
class Places {
  readonly #spans: readonly { readonly start: number; readonly entry: FragmentEntry }[];

  constructor(fragments: readonly FragmentEntry[]) {
    let endBytes = 0;
    this.#spans = fragments.map((entry) => ({
      start: (endBytes += entry.rawBytes) - entry.rawBytes,
      entry,
    }));
  }

  within(extents: readonly (readonly [number, number])[]): readonly FragmentEntry[] {
    return this.#spans
      .filter(({ start, entry }) =>
        extents.some(([at, length]) => start < at + length && start + entry.rawBytes > at),
      )
      .map(({ entry }) => entry);
  }
}

async function readIndex(blobs: string, manifest: string): Promise<Index> {
  const bytes = await blob(join(blobs, "manifests"), manifest);
  const { content } = parseManifest(JSON.parse(bytes.toString("utf8")));
  if (content === undefined) throw new Error(`${manifest} has no content`);
  const fragments: FragmentEntry[] = [];
  const files: FileEntry[] = [];
  for (const { digest } of content.fragmentPages) {
    fragments.push(...decodeFragmentPage(await blob(join(blobs, "fragments"), digest)));
  }
  for (const { digest } of content.filePages) {
    files.push(...parseFilePage(await jsonPage(blobs, digest)));
  }
  return { content, fragments, files };
}

async function patchesOf(blobs: string, pages: readonly PageRef[]): Promise<readonly DeltaEntry[]> {
  const entries: DeltaEntry[] = [];
  for (const { digest } of pages) entries.push(...parseDeltaPage(await jsonPage(blobs, digest)));
  return entries;
}

async function jsonPage(blobs: string, digest: string): Promise<unknown> {
  const bytes = zstdDecompressSync(await blob(join(blobs, "fragments"), digest));
  return readJson("a page", bytes, bytes.length);
}

async function blob(folder: string, digest: string): Promise<Buffer> {
  return readFile(join(folder, digest.slice(0, 2), digest));
}

function sizeOf(pages: readonly PageRef[]): number {
  return pages.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
