/**
 * Content to fragments and file list. Small files come first, bundled in path order; every larger file is
 * cut on its own. The result depends on paths, bytes and executable bits only, not on where they came from.
 */
import { createHash } from "node:crypto";
import type { Static } from "typebox";
import { DeployError } from "../../protocol/errors.ts";
import type { FileEntrySchema } from "../../protocol/file-list.ts";
import { parseDigest, type Digest } from "../../protocol/ids.ts";
import { FILE_EXTENTS_MAX_COUNT, SMALL_FILE_BYTES } from "../../protocol/limits.ts";
import { checkTree } from "../../protocol/package-path.ts";
import { beginsBundle } from "./bundles.ts";
import { refusedEntry, tooLarge, type ContentEntry, type FileSource } from "./content-reader.ts";
import { cutStream, type CutBounds } from "./fastcdc.ts";
import type { Extent, FragmentWriter } from "./fragment-writer.ts";

export type FileEntry = Static<typeof FileEntrySchema>;

/** The same tree however it was packed: byte order, and folders only where nothing else implies them. */
export function contentTree(entries: readonly ContentEntry[]): readonly ContentEntry[] {
  const refusal = checkTree(entries);
  if (refusal !== undefined) throw refusedEntry(refusal.path, refusal.reason);
  const implied = new Set<string>();
  for (const { path } of entries) {
    for (let slash = path.indexOf("/"); slash > 0; slash = path.indexOf("/", slash + 1)) {
      implied.add(path.slice(0, slash));
    }
  }
  return entries
    .filter((entry) => entry.kind === "file" || !implied.has(entry.path))
    .map((entry) => ({ entry, key: Buffer.from(entry.path) }))
    .sort((left, right) => Buffer.compare(left.key, right.key))
    .map(({ entry }) => entry);
}

/** Splits all files of `tree`; the entries come back in the tree's order. */
export async function splitContent(
  tree: readonly ContentEntry[],
  bounds: CutBounds,
  writer: FragmentWriter,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<readonly FileEntry[]> {
  const splitter = new Splitter(bounds, writer, onBytes);
  const files = tree.filter((entry) => entry.kind === "file");
  for (const file of files.filter(({ sizeBytes }) => sizeBytes < SMALL_FILE_BYTES)) {
    signal.throwIfAborted();
    await splitter.addSmall(file);
  }
  await splitter.endBundle();
  for (const file of files.filter(({ sizeBytes }) => sizeBytes >= SMALL_FILE_BYTES)) {
    signal.throwIfAborted();
    await splitter.addLarge(file, signal);
  }
  return tree.map((entry) =>
    entry.kind === "folder" ? { kind: entry.kind, path: entry.path } : splitter.entryOf(entry),
  );
}

class Splitter {
  readonly #bounds: CutBounds;
  readonly #writer: FragmentWriter;
  readonly #onBytes: (bytes: number) => void;
  readonly #digests = new Map<string, Digest>();
  readonly #extents = new Map<Digest, readonly Extent[]>();
  #bundle: { readonly digest: Digest; readonly bytes: Buffer }[] = [];
  #bundleBytes = 0;

  constructor(bounds: CutBounds, writer: FragmentWriter, onBytes: (bytes: number) => void) {
    this.#bounds = bounds;
    this.#writer = writer;
    this.#onBytes = onBytes;
  }

  async addSmall(file: FileSource): Promise<void> {
    const bytes = await wholeBytes(file);
    this.#onBytes(bytes.length);
    const digest = parseDigest(createHash("sha256").update(bytes).digest("hex"));
    this.#digests.set(file.path, digest);
    if (this.#extents.has(digest)) return;
    if (beginsBundle(this.#bundleBytes, file.path, bytes.length)) await this.endBundle();
    // Its place is filled in when the bundle ends; until then it marks the content as known.
    this.#extents.set(digest, []);
    this.#bundle.push({ digest, bytes });
    this.#bundleBytes += bytes.length;
  }

  async endBundle(): Promise<void> {
    if (this.#bundleBytes > 0) {
      const bytes = Buffer.concat(this.#bundle.map((part) => part.bytes));
      let [at] = await this.#writer.add(bytes);
      for (const part of this.#bundle) {
        this.#extents.set(part.digest, part.bytes.length === 0 ? [] : [[at, part.bytes.length]]);
        at += part.bytes.length;
      }
    }
    this.#bundle = [];
    this.#bundleBytes = 0;
  }

  async addLarge(file: FileSource, signal: AbortSignal): Promise<void> {
    const hash = createHash("sha256");
    const extents: Extent[] = [];
    let seenBytes = 0;
    const source = hashed(file.read(), hash);
    for await (const fragment of cutStream(source, this.#bounds)) {
      signal.throwIfAborted();
      seenBytes += fragment.length;
      this.#onBytes(fragment.length);
      append(extents, await this.#writer.add(fragment));
      if (extents.length > FILE_EXTENTS_MAX_COUNT) {
        throw tooLarge(file.path, "its repeating content is scattered over too many places");
      }
    }
    refuseOtherSize(file, seenBytes);
    const digest = parseDigest(hash.digest("hex"));
    this.#digests.set(file.path, digest);
    this.#extents.set(digest, extents);
  }

  entryOf({ kind, path, isExecutable, sizeBytes }: FileSource): FileEntry {
    const sha256 = this.#digests.get(path);
    const extents = sha256 === undefined ? undefined : this.#extents.get(sha256);
    if (sha256 === undefined || extents === undefined) throw new Error(`${path} was not split`);
    return {
      kind,
      path,
      isExecutable,
      sizeBytes,
      sha256,
      extents: extents.map(([offset, length]) => [offset, length]),
    };
  }
}

async function wholeBytes(file: FileSource): Promise<Buffer> {
  const parts: Buffer[] = [];
  let seenBytes = 0;
  for await (const part of file.read()) {
    seenBytes += part.length;
    // Small by its listed size; more would be held in memory.
    if (seenBytes > file.sizeBytes) break;
    parts.push(part);
  }
  refuseOtherSize(file, seenBytes);
  return Buffer.concat(parts);
}

async function* hashed(
  source: AsyncIterable<Buffer>,
  hash: { update(bytes: Buffer): unknown },
): AsyncGenerator<Buffer> {
  for await (const bytes of source) {
    hash.update(bytes);
    yield bytes;
  }
}

function refuseOtherSize(file: FileSource, seenBytes: number): void {
  if (seenBytes !== file.sizeBytes) {
    throw new DeployError("PUBLISH_SOURCE_CHANGED", { entry: file.path });
  }
}

function append(extents: Extent[], [offset, length]: Extent): void {
  const last = extents.at(-1);
  if (last !== undefined && last[0] + last[1] === offset) last[1] += length;
  else extents.push([offset, length]);
}
