/**
 * Turns raw fragments into wire fragments: each raw content once, compressed where it pays, staged as a
 * file under its digest. Its place in the raw stream is known at once; compression runs behind, bounded.
 */
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import type { FragmentEntry } from "../../protocol/fragment-index.ts";
import { parseDigest, type Digest } from "../../protocol/ids.ts";

/** A fragment or page on its way to the coordinator. */
export interface StagedFragment {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly filePath: string;
}

/** Where bytes lie in the stream of all raw fragments. */
export type Extent = [offsetBytes: number, lengthBytes: number];

// libuv has four threads for compression; more only holds more fragments in memory.
const PARALLEL_COMPRESSIONS = 4;
// Below this saving a reader's decompression costs more than the line gains.
const RAW_ABOVE_RATIO = 0.97;

const compress = promisify(zstdCompress);

export class FragmentWriter {
  readonly #folder: string;
  readonly #level: number;
  readonly #places = new Map<string, Extent>();
  readonly #entries: (FragmentEntry | undefined)[] = [];
  readonly #staged = new Map<Digest, StagedFragment>();
  readonly #running = new Set<Promise<void>>();
  #streamBytes = 0;
  #failure: { readonly cause: unknown } | undefined;

  constructor(folder: string, level: number) {
    this.#folder = folder;
    this.#level = level;
  }

  /** Every fragment and page staged so far, each digest once. */
  get staged(): readonly StagedFragment[] {
    return [...this.#staged.values()];
  }

  /** The place of these bytes in the raw stream; a known fragment costs nothing. `raw` must stay as it is. */
  async add(raw: Buffer): Promise<Extent> {
    const rawDigest = createHash("sha256").update(raw).digest("hex");
    const known = this.#places.get(rawDigest);
    if (known !== undefined) return known;
    while (this.#running.size >= PARALLEL_COMPRESSIONS) await Promise.race(this.#running);
    this.#throwFailure();
    const place: Extent = [this.#streamBytes, raw.length];
    const index = this.#entries.push(undefined) - 1;
    this.#places.set(rawDigest, place);
    this.#streamBytes += raw.length;
    const run: Promise<void> = this.#write(index, raw, rawDigest)
      .catch((cause: unknown) => {
        this.#failure ??= { cause };
      })
      .finally(() => this.#running.delete(run));
    this.#running.add(run);
    return place;
  }

  /** Waits for what is still being compressed; the entries in the order of the raw stream. */
  async finish(): Promise<readonly FragmentEntry[]> {
    await this.settle();
    this.#throwFailure();
    return this.#entries.filter((entry) => entry !== undefined);
  }

  /** Waits until nothing writes to the folder any more, also after a failure. */
  async settle(): Promise<void> {
    await Promise.all(this.#running);
  }

  /** Stages bytes as they are: pages of the index. */
  async addPage(bytes: Buffer): Promise<StagedFragment> {
    return this.#stage(bytes);
  }

  async compressed(raw: Buffer): Promise<Buffer> {
    return compress(raw, {
      // With the size in the frame, a reader can refuse a frame that claims more before it unpacks.
      pledgedSrcSize: raw.length,
      params: { [constants.ZSTD_c_compressionLevel]: this.#level },
    });
  }

  async #write(index: number, raw: Buffer, rawDigest: string): Promise<void> {
    const packed = await this.compressed(raw);
    const wire = packed.length <= raw.length * RAW_ABOVE_RATIO ? packed : raw;
    const { digest, sizeBytes } = await this.#stage(wire);
    this.#entries[index] = {
      digest,
      rawHint: rawDigest.slice(0, 32),
      wireBytes: sizeBytes,
      rawBytes: raw.length,
    };
  }

  async #stage(wire: Buffer): Promise<StagedFragment> {
    const digest = parseDigest(createHash("sha256").update(wire).digest("hex"));
    const known = this.#staged.get(digest);
    if (known !== undefined) return known;
    const fragment = { digest, sizeBytes: wire.length, filePath: join(this.#folder, digest) };
    this.#staged.set(digest, fragment);
    await writeFile(fragment.filePath, wire, { mode: 0o600 });
    return fragment;
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.cause;
  }
}
