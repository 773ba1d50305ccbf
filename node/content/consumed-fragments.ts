/**
 * Knows which fragments the files still need, so that those which nothing needs any more can be given up
 * while files are written: a package much larger than the free space fits.
 */
import type { Digest } from "../../protocol/ids.ts";
import { extentsLeft, type AssemblyPoint, type Extents } from "./assembly-point.ts";
import type { ContentIndex } from "./content-index.ts";
import type { FragmentStore } from "./ports.ts";
import { fragmentsOf } from "./raw-stream.ts";

export class ConsumedFragments {
  readonly #index: ContentIndex;
  readonly #store: FragmentStore;
  /** Reads still to come; by digest, as nothing keeps a publisher from naming a fragment twice. */
  readonly #usesLeft = new Map<Digest, number>();
  #spent: Digest[] = [];
  #spentBytes = 0;

  /** What only files before the point need is spent: an earlier try died before it gave that up. */
  constructor(index: ContentIndex, store: FragmentStore, point: AssemblyPoint) {
    this.#index = index;
    this.#store = store;
    for (const [place, file] of index.files.entries()) {
      for (const at of fragmentsOf(index, extentsLeft(file, place, point))) this.#change(at, 1);
    }
    for (const { digest, rawBytes } of index.fragments) {
      if (this.#usesLeft.has(digest) || !store.has(digest)) continue;
      this.#spent.push(digest);
      this.#spentBytes += rawBytes;
    }
  }

  /** Of fragments that can be given up. */
  get spentBytes(): number {
    return this.#spentBytes;
  }

  /** One read of a fragment is over. */
  used(at: number): void {
    const entry = this.#index.fragments[at];
    if (entry === undefined || this.#change(at, -1) > 0) return;
    this.#spent.push(entry.digest);
    this.#spentBytes += entry.rawBytes;
  }

  /** These extents are not read: their file was made from something else. */
  skipped(extents: Extents): void {
    for (const at of fragmentsOf(this.#index, extents)) this.used(at);
  }

  /** Deletes what nothing needs any more; its bytes must be durable in files by now. */
  async giveUp(): Promise<void> {
    const spent = this.#spent;
    this.#spent = [];
    this.#spentBytes = 0;
    for (const digest of spent) await this.#store.delete(digest);
  }

  #change(at: number, by: number): number {
    const digest = this.#index.fragments[at]?.digest;
    if (digest === undefined) return 0;
    const left = (this.#usesLeft.get(digest) ?? 0) + by;
    this.#usesLeft.set(digest, left);
    return left;
  }
}
