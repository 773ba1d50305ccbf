/**
 * The index of a package's content, decoded from pages in the fragment store and checked as a whole:
 * nothing is written from it before counts, sizes, paths and extents agree with the signed manifest.
 */
import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import { DeployError } from "../../protocol/errors.ts";
import { parseFilePage, type FileEntry } from "../../protocol/file-list.ts";
import { decodeFragmentPage, type FragmentEntry } from "../../protocol/fragment-index.ts";
import type { Digest } from "../../protocol/ids.ts";
import { readJson } from "../../protocol/json.ts";
import { FILE_PAGE_MAX_BYTES } from "../../protocol/limits.ts";
import type { Content, Manifest, PageRef } from "../../protocol/manifest.ts";
import { checkPackagePath, checkTree } from "../../protocol/package-path.ts";
import type { FragmentStore } from "./ports.ts";
import type { FragmentStream } from "./raw-stream.ts";

const unpack = promisify(zstdDecompress);

/** The content fragments as one stream, and the files that lie in it. */
export interface ContentIndex extends FragmentStream {
  readonly content: Content;
  readonly files: readonly FileEntry[];
}

/** Where pages are read from. */
export type PageSource = Pick<FragmentStore, "read">;

type Refuse = (problem: string) => DeployError;

/** Throws FRAGMENT_MISSING, or CONTENT_INVALID where the signed parts contradict each other. */
export async function readContentIndex(
  manifest: Pick<Manifest, "name" | "version">,
  content: Content,
  store: PageSource,
): Promise<ContentIndex> {
  const refuse: Refuse = (problem) => {
    const what = `${manifest.name}@${manifest.version}`;
    return new DeployError("CONTENT_INVALID", { package: what, problem });
  };
  const fragments: FragmentEntry[] = [];
  for (const page of content.fragmentPages) {
    fragments.push(...decodeFragmentPage(await pageBytes(page, store, refuse)));
  }
  const files: FileEntry[] = [];
  for (const page of content.filePages) {
    const bytes = await unpack(await pageBytes(page, store, refuse), {
      maxOutputLength: FILE_PAGE_MAX_BYTES,
    });
    files.push(...parseFilePage(readJson("a page of the file list", bytes, FILE_PAGE_MAX_BYTES)));
  }
  const offsetsBytes = streamOffsets(fragments);
  checkTotals(content, fragments, files, refuse);
  checkPaths(files, refuse);
  for (const file of files) checkExtents(file, offsetsBytes.at(-1) ?? 0, refuse);
  return { content, fragments, offsetsBytes, files };
}

/** Throws FRAGMENT_MISSING where the store has it no longer. */
export async function heldFragment(digest: Digest, store: PageSource): Promise<Buffer> {
  const bytes = await store.read(digest);
  if (bytes === undefined) throw new DeployError("FRAGMENT_MISSING", { digest });
  return bytes;
}

async function pageBytes(page: PageRef, store: PageSource, refuse: Refuse): Promise<Buffer> {
  const bytes = await heldFragment(page.digest, store);
  if (bytes.length !== page.sizeBytes) throw refuse(`page ${page.digest} has another size`);
  return bytes;
}

/** Raw offset of each fragment, and the stream's length at the end. */
export function streamOffsets(fragments: readonly FragmentEntry[]): readonly number[] {
  const offsets = [0];
  let endBytes = 0;
  for (const fragment of fragments) {
    endBytes += fragment.rawBytes;
    offsets.push(endBytes);
  }
  return offsets;
}

function checkTotals(
  content: Content,
  fragments: readonly FragmentEntry[],
  files: readonly FileEntry[],
  refuse: Refuse,
): void {
  const pages = [...content.fragmentPages, ...content.filePages];
  const wireBytes =
    sum(pages.map((page) => page.sizeBytes)) + sum(fragments.map((entry) => entry.wireBytes));
  const sizes = files.map((file) => (file.kind === "file" ? file.sizeBytes : 0));
  const fileCount = files.filter((file) => file.kind === "file").length;
  if (fragments.length !== content.fragmentCount) throw refuse("its fragments are miscounted");
  if (fileCount !== content.fileCount) throw refuse("its files are miscounted");
  if (wireBytes !== content.wireBytes) throw refuse("its wire size is wrong");
  if (sum(sizes) !== content.fileBytes) throw refuse("its file size is wrong");
}

function checkPaths(files: readonly FileEntry[], refuse: Refuse): void {
  for (const { path } of files) {
    const problem = checkPackagePath(path);
    if (problem !== undefined) throw refuse(`${JSON.stringify(path)}: ${problem}`);
  }
  const refusal = checkTree(files);
  if (refusal !== undefined) throw refuse(`${JSON.stringify(refusal.path)}: ${refusal.reason}`);
}

/** `a/b/c` -> `a`, `a/b`. */
export function parentPaths(path: string): readonly string[] {
  const segments = path.split("/");
  return segments.slice(1).map((_segment, index) => segments.slice(0, index + 1).join("/"));
}

function checkExtents(file: FileEntry, streamBytes: number, refuse: Refuse): void {
  if (file.kind === "folder") return;
  const isInside = file.extents.every(
    ([offset, length]) => length > 0 && offset + length <= streamBytes,
  );
  if (!isInside) throw refuse(`an extent of ${JSON.stringify(file.path)} lies outside the content`);
  if (sum(file.extents.map(([, length]) => length)) !== file.sizeBytes) {
    throw refuse(`the extents of ${JSON.stringify(file.path)} do not add up to its size`);
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
