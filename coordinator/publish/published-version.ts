/**
 * A published version as the base of patches, read from the coordinator. It proves itself by digests from
 * the manifest on; a coordinator that lies makes patches that no endpoint can use, and nothing worse.
 */
import { hash } from "node:crypto";
import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import { DeployError } from "../../protocol/errors.ts";
import { parseFilePage, type FileEntry } from "../../protocol/file-list.ts";
import { decodeFragmentPage, type FragmentEntry } from "../../protocol/fragment-index.ts";
import type { Digest } from "../../protocol/ids.ts";
import { readJson } from "../../protocol/json.ts";
import { FILE_PAGE_MAX_BYTES, MANIFEST_MAX_BYTES } from "../../protocol/limits.ts";
import { parseManifest } from "../../protocol/manifest.ts";
import type { OlderFile, OlderVersion } from "./older-version.ts";

/** Bytes of published packages, as the coordinator has them. */
export interface PublishedBytes {
  manifest(digest: Digest, signal: AbortSignal): Promise<Buffer>;
  fragment(digest: Digest, signal: AbortSignal): Promise<Buffer>;
}

const unpack = promisify(zstdDecompress);
// Hides the round trips to a distant coordinator.
const PARALLEL_READS = 8;
// Neighbouring small files lie in the same few bundles.
const CACHED_FRAGMENTS = 16;

/** Undefined where the version has no content. Throws FRAGMENT_MISMATCH where the bytes are other ones. */
export async function publishedVersion(
  digest: Digest,
  published: PublishedBytes,
  signal: AbortSignal,
): Promise<OlderVersion | undefined> {
  const bytes = proven(digest, await published.manifest(digest, signal));
  const manifest = parseManifest(readJson("the manifest", bytes, MANIFEST_MAX_BYTES));
  const { content, version } = manifest;
  if (content === undefined) return undefined;
  const page = async (ref: { readonly digest: Digest }): Promise<Buffer> =>
    proven(ref.digest, await published.fragment(ref.digest, signal));
  const fragments: FragmentEntry[] = [];
  for (const ref of content.fragmentPages) fragments.push(...decodeFragmentPage(await page(ref)));
  const files: FileEntry[] = [];
  for (const ref of content.filePages) {
    const list = await unpack(await page(ref), { maxOutputLength: FILE_PAGE_MAX_BYTES });
    files.push(...parseFilePage(readJson("a page of the file list", list, FILE_PAGE_MAX_BYTES)));
  }
  const reader = new FileReader(fragments, published);
  return {
    version,
    manifest: digest,
    files,
    rawHints: new Set(fragments.map(({ rawHint }) => rawHint)),
    read: (file, within) => reader.read(file, within),
  };
}

class FileReader {
  readonly #fragments: readonly FragmentEntry[];
  readonly #starts: readonly number[];
  readonly #published: PublishedBytes;
  readonly #cache = new Map<number, Promise<Buffer>>();

  constructor(fragments: readonly FragmentEntry[], published: PublishedBytes) {
    let endBytes = 0;
    this.#fragments = fragments;
    this.#starts = fragments.map(({ rawBytes }) => (endBytes += rawBytes) - rawBytes);
    this.#published = published;
  }

  async read(file: OlderFile, signal: AbortSignal): Promise<Buffer> {
    const parts: Promise<Buffer>[] = [];
    for (const [offset, length] of file.extents) {
      for (const place of this.#touched(offset, length)) {
        const start = this.#starts[place] ?? 0;
        const from = Math.max(0, offset - start);
        const to = offset + length - start;
        parts.push(this.#raw(place, signal).then((raw) => raw.subarray(from, to)));
        if (parts.length % PARALLEL_READS === 0) await Promise.all(parts.slice(-PARALLEL_READS));
      }
    }
    return proven(file.sha256, Buffer.concat(await Promise.all(parts)));
  }

  *#touched(offset: number, length: number): Generator<number> {
    for (const [place, { rawBytes }] of this.#fragments.entries()) {
      const start = this.#starts[place] ?? 0;
      if (start >= offset + length) return;
      if (start + rawBytes > offset) yield place;
    }
  }

  async #raw(place: number, signal: AbortSignal): Promise<Buffer> {
    const reading = this.#cache.get(place) ?? this.#fetched(place, signal);
    this.#cache.delete(place);
    this.#cache.set(place, reading);
    const [oldest] = this.#cache.keys();
    if (this.#cache.size > CACHED_FRAGMENTS && oldest !== undefined) this.#cache.delete(oldest);
    return reading;
  }

  async #fetched(place: number, signal: AbortSignal): Promise<Buffer> {
    const entry = this.#fragments[place];
    if (entry === undefined) throw new Error(`there is no fragment ${place}`);
    const wire = proven(entry.digest, await this.#published.fragment(entry.digest, signal));
    if (entry.wireBytes === entry.rawBytes) return wire;
    return unpack(wire, { maxOutputLength: entry.rawBytes });
  }
}

/** The bytes, where they are those of the digest. Throws FRAGMENT_MISMATCH. */
export function proven(digest: Digest, bytes: Buffer): Buffer {
  if (hash("sha256", bytes, "hex") === digest) return bytes;
  throw new DeployError("FRAGMENT_MISMATCH", { digest });
}
