/**
 * Makes written fragments durable in batches, behind the back of who wrote them: synced files first, then
 * their lines in the journal. What could not be synced is given up, never synced again: after a failed
 * sync the kernel may call lost pages clean.
 */
import type { FileHandle } from "node:fs/promises";
import type { Digest } from "../../protocol/ids.ts";
import type { CacheEntry } from "../core/cache.ts";
import type { HeldJournal, HeldRecord } from "./held-journal.ts";
import { inParallel } from "./in-parallel.ts";

/** What a power cut costs at most: a second, or this many bytes or files (distribution 5.7). */
const BATCH_MAX_MS = 1000;
const BATCH_MAX_BYTES = 16 * 1024 * 1024;
const BATCH_MAX_FILES = 256;
/** The pool of four threads has other work too. */
const PARALLEL_SYNCS = 2;

export interface FragmentSyncsPorts {
  readonly journal: HeldJournal;
  /** Of a fragment that is still held. */
  readonly entryOf: (digest: Digest) => CacheEntry | undefined;
  /** These must not be trusted any more. */
  readonly onLost: (digests: readonly Digest[], cause: unknown) => void;
}

export class FragmentSyncs implements AsyncDisposable {
  readonly #ports: FragmentSyncsPorts;
  #files = new Map<Digest, FileHandle>();
  #sizeBytes = 0;
  #notes: HeldRecord[] = [];
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  constructor(ports: FragmentSyncsPorts) {
    this.#ports = ports;
  }

  /** Written and not yet surely on the disk. */
  isWaiting(digest: Digest): boolean {
    return this.#files.has(digest);
  }

  /** Takes the file over. Resolves at once, or when a disk that is too slow has caught up. */
  async add(digest: Digest, file: FileHandle, sizeBytes: number): Promise<void> {
    this.#files.set(digest, file);
    this.#sizeBytes += sizeBytes;
    const isFull = this.#sizeBytes >= BATCH_MAX_BYTES || this.#files.size >= BATCH_MAX_FILES;
    if (!isFull) {
      this.#schedule();
      return;
    }
    if (this.#running === undefined) this.#start();
    else await this.#running;
  }

  /** An open file keeps its space on the disk although its name is gone. */
  async forget(digest: Digest): Promise<void> {
    const file = this.#files.get(digest);
    this.#files.delete(digest);
    await file?.close();
  }

  /** Goes into the journal with the next batch. */
  note(record: HeldRecord): void {
    this.#notes.push(record);
    this.#schedule();
  }

  /** Resolves when all that was added by now is durable or given up. */
  async flush(): Promise<void> {
    while (this.#running !== undefined || this.#files.size > 0 || this.#notes.length > 0) {
      if (this.#running === undefined) this.#start();
      await this.#running;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush();
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#running === undefined) this.#start();
    }, BATCH_MAX_MS).unref();
  }

  // Never rejects: what failed has been told to `onLost`.
  #start(): void {
    const [files, notes] = [this.#files, this.#notes];
    this.#files = new Map();
    this.#notes = [];
    this.#sizeBytes = 0;
    this.#running = this.#sync(files, notes).finally(() => {
      this.#running = undefined;
      if (this.#files.size > 0 || this.#notes.length > 0) this.#schedule();
    });
  }

  async #sync(files: ReadonlyMap<Digest, FileHandle>, notes: readonly HeldRecord[]): Promise<void> {
    const durable: Digest[] = [];
    await inParallel([...files], PARALLEL_SYNCS, async ([digest, file]) => {
      if (await this.#isSynced(digest, file)) durable.push(digest);
    });
    const { journal, entryOf, onLost } = this.#ports;
    const held = durable.flatMap((digest): readonly HeldRecord[] => {
      const entry = entryOf(digest);
      return entry === undefined ? [] : [{ type: "held", digest, entry }];
    });
    try {
      await journal.append([...notes, ...held]);
    } catch (cause) {
      onLost(durable, cause);
    }
  }

  async #isSynced(digest: Digest, file: FileHandle): Promise<boolean> {
    try {
      await using handle = file;
      // Nobody needs a deleted file on the disk.
      if (this.#ports.entryOf(digest) !== undefined) await handle.datasync();
      return true;
    } catch (cause) {
      this.#ports.onLost([digest], cause);
      return false;
    }
  }
}
