/**
 * The sources that were chosen, as the assembly reads them: copies of older files, files patched out of
 * older ones, and fragments that lie in older files. Whatever comes out is proven by whoever asked.
 */
import { createHash } from "node:crypto";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import { promisify } from "node:util";
import { constants, createZstdDecompress, zstdDecompress } from "node:zlib";
import type { DeltaEntry } from "../../protocol/delta-list.ts";
import { DeployError } from "../../protocol/errors.ts";
import type { FragmentEntry } from "../../protocol/fragment-index.ts";
import type { LocalContent } from "./assemble.ts";
import type { ContentIndex } from "./content-index.ts";
import { totalBytes } from "./delta-index.ts";
import type { LocalFile, LocalRegion } from "./local-files.ts";
import type { RawStream } from "./raw-stream.ts";

const unpack = promisify(zstdDecompress);
/** Patches reach back over old and new bytes: twice DELTA_FILE_MAX_BYTES. */
const WINDOW_MAX_LOG = 30;
/** Unpacked patches of several small files that are kept: the files come in their order. */
const CACHED_GROUPS = 2;

export interface ChosenSources {
  /** The package that is put together. */
  readonly index: ContentIndex;
  /** By place in its file list. */
  readonly copies: ReadonlyMap<number, LocalFile>;
  readonly patches: readonly DeltaEntry[];
  /** By place in the base's file list. */
  readonly baseFile: (place: number) => LocalFile | undefined;
  /** The delta set's fragments. */
  readonly patchBytes: RawStream | undefined;
  /** By raw hint. */
  readonly regions: ReadonlyMap<string, LocalRegion>;
}

export class ChosenContent implements LocalContent {
  readonly #sources: ChosenSources;
  readonly #patchOf: ReadonlyMap<number, DeltaEntry>;
  readonly #groups = new Map<DeltaEntry, Buffer>();

  constructor(sources: ChosenSources) {
    this.#sources = sources;
    this.#patchOf = new Map(
      sources.patches.flatMap((entry) => entry.files.map((place) => [place, entry] as const)),
    );
  }

  file(place: number, signal: AbortSignal): AsyncIterable<Buffer> | undefined {
    const copy = this.#sources.copies.get(place);
    if (copy !== undefined) return copy.read(signal);
    const entry = this.#patchOf.get(place);
    if (entry === undefined) return undefined;
    return entry.files.length === 1
      ? this.#streamed(entry, signal)
      : this.#fromGroup(entry, place, signal);
  }

  async raw(entry: FragmentEntry, signal: AbortSignal): Promise<Buffer | undefined> {
    const region = this.#sources.regions.get(entry.rawHint);
    if (region === undefined) return undefined;
    const parts: Buffer[] = [];
    let leftBytes = entry.rawBytes;
    for await (const piece of region.file.read(signal, region.fromByte)) {
      parts.push(piece.subarray(0, leftBytes));
      leftBytes -= Math.min(leftBytes, piece.length);
      if (leftBytes === 0) break;
    }
    const raw = Buffer.concat(parts);
    const isSame = createHash("sha256").update(raw).digest("hex").startsWith(entry.rawHint);
    return isSame && raw.length === entry.rawBytes ? raw : undefined;
  }

  /** One large file: neither the frame nor the result is in memory as a whole, only the old file is. */
  async *#streamed(entry: DeltaEntry, signal: AbortSignal): AsyncGenerator<Buffer> {
    const unpacker = createZstdDecompress(await this.#options(entry, signal));
    const fed = pipeline(Readable.from(this.#frame(entry, signal)), unpacker, { signal });
    // A failure also ends the reading below, which tells of it.
    fed.catch(() => undefined);
    try {
      for await (const piece of unpacker) yield Buffer.from(piece);
    } catch (cause) {
      throw unusable(cause);
    }
  }

  async *#fromGroup(entry: DeltaEntry, place: number, signal: AbortSignal): AsyncGenerator<Buffer> {
    const { index } = this.#sources;
    const at = entry.files.indexOf(place);
    const fromByte = totalBytes(index, entry.files.slice(0, at));
    const bytes = this.#groups.get(entry) ?? (await this.#unpacked(entry, signal));
    this.#groups.set(entry, bytes);
    const [oldest] = this.#groups.keys();
    if (this.#groups.size > CACHED_GROUPS && oldest !== undefined) this.#groups.delete(oldest);
    yield bytes.subarray(fromByte, fromByte + totalBytes(index, [place]));
  }

  async #unpacked(entry: DeltaEntry, signal: AbortSignal): Promise<Buffer> {
    const frame = Buffer.concat(await Array.fromAsync(this.#frame(entry, signal)));
    const maxOutputLength = totalBytes(this.#sources.index, entry.files);
    try {
      return await unpack(frame, { ...(await this.#options(entry, signal)), maxOutputLength });
    } catch (cause) {
      throw unusable(cause);
    }
  }

  async #options(entry: DeltaEntry, signal: AbortSignal) {
    const parts: Buffer[] = [];
    for (const place of entry.bases) {
      const file = this.#sources.baseFile(place);
      if (file !== undefined) parts.push(...(await Array.fromAsync(file.read(signal))));
    }
    const dictionary = Buffer.concat(parts);
    return {
      params: { [constants.ZSTD_d_windowLogMax]: WINDOW_MAX_LOG },
      ...(dictionary.length === 0 ? {} : { dictionary }),
    };
  }

  #frame(entry: DeltaEntry, signal: AbortSignal): AsyncIterable<Buffer> {
    const { patchBytes } = this.#sources;
    if (patchBytes === undefined) throw new Error("there are patches without their fragments");
    return patchBytes.bytes(entry.extents, signal);
  }
}

// A lost fragment is fetched again; anything else means that old file and patch do not belong together.
function unusable(cause: unknown): unknown {
  if (cause instanceof DeployError) return cause;
  if (cause instanceof Error && cause.name === "AbortError") return cause;
  return new DeployError("LOCAL_SOURCE_CHANGED", { path: "a patched file" }, { cause });
}
