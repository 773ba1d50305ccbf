/**
 * Gives fragments up while files are written from them, so that a package much larger than the free space
 * fits: a fragment goes once everything that needs it is durably on the disk.
 */
import type { FileHandle } from "node:fs/promises";
import type { Digest } from "../../protocol/ids.ts";
import type { ContentIndex } from "./content-index.ts";
import type { FragmentStore } from "./ports.ts";
import { fragmentsOf } from "./raw-stream.ts";

/** Written between two syncs; what is both in a file and in the store at a time. */
export const CONSUMED_BATCH_BYTES = 64 * 1024 * 1024;

export class ConsumedFragments {
  readonly #index: ContentIndex;
  readonly #store: FragmentStore;
  /** Reads still to come; by digest, as nothing keeps a publisher from naming a fragment twice. */
  readonly #usesLeft = new Map<Digest, number>();
  #spent: Digest[] = [];
  #spentBytes = 0;

  constructor(index: ContentIndex, store: FragmentStore) {
    this.#index = index;
    this.#store = store;
    for (const file of index.files) {
      if (file.kind === "folder") continue;
      for (const place of fragmentsOf(index, file.extents)) this.#change(place, 1);
    }
  }

  /** One read of a fragment is over. */
  used(place: number): void {
    const entry = this.#index.fragments[place];
    if (entry === undefined || this.#change(place, -1) > 0) return;
    this.#spent.push(entry.digest);
    this.#spentBytes += entry.rawBytes;
  }

  /** These extents are not read: their file was made from something else. */
  skipped(extents: readonly (readonly [number, number])[]): void {
    for (const place of fragmentsOf(this.#index, extents)) this.used(place);
  }

  get isDue(): boolean {
    return this.#spentBytes >= CONSUMED_BATCH_BYTES;
  }

  /** Makes the file durable, then deletes what nothing needs any more. */
  async settle(handle: FileHandle): Promise<void> {
    await handle.sync();
    const spent = this.#spent;
    this.#spent = [];
    this.#spentBytes = 0;
    for (const digest of spent) await this.#store.delete(digest);
  }

  #change(place: number, by: number): number {
    const digest = this.#index.fragments[place]?.digest;
    if (digest === undefined) return 0;
    const left = (this.#usesLeft.get(digest) ?? 0) + by;
    this.#usesLeft.set(digest, left);
    return left;
  }
}
