/**
 * Fragments on disk, one flat file each. A write survives a kill of the process at once and a power cut
 * after its batch; a start hashes nothing. The first read of a file hashes it, and so does the first one
 * after any change to it: what rotted or was altered is dropped, neither served nor executed (trust S11).
 */
import { hash } from "node:crypto";
import { join } from "node:path";
import { mkdir, stat } from "node:fs/promises";
import { DeployError } from "../../protocol/errors.ts";
import { parseDigest, type Digest } from "../../protocol/ids.ts";
import { FRAGMENT_WIRE_MAX_BYTES } from "../../protocol/limits.ts";
import {
  restoredCache,
  step,
  type CacheEntry,
  type CacheEvent,
  type CacheState,
} from "../core/cache.ts";
import { FragmentFiles, isSameLook, isSettled, type FileLook } from "./fragment-files.ts";
import { FragmentSyncs } from "./fragment-syncs.ts";
import { HeldJournal, type HeldRecord } from "./held-journal.ts";
import { inParallel } from "./in-parallel.ts";
import { openJournalFile } from "./journal-file.ts";
import type { FragmentStore } from "./ports.ts";
import { isErrorCode } from "./write-file.ts";

/** What is in no journal is hashed at a start up to so many bytes: twenty batches of a killed process. */
const ADOPT_HASH_MAX_BYTES = 256 * 1024 * 1024;
/** Deletions are told together, at most this late. */
const GONE_BATCH_MS = 100;
const PARALLEL_LOOKS = 16;

export interface FragmentStoreSettings {
  /** It was dropped: its bytes no longer match its name. */
  readonly onCorrupt: (digest: Digest) => void;
  /** Deleted on purpose: nobody should be told that they are here. */
  readonly onGone?: (digests: ReadonlySet<Digest>) => void;
  /** The disk is full: gives up what nobody needs; returns whether that was anything. */
  readonly makeRoom?: (neededBytes: number) => Promise<boolean>;
  readonly now?: () => number;
}

export class FolderFragmentStore implements FragmentStore, AsyncDisposable {
  readonly #folder: string;
  readonly #settings: FragmentStoreSettings;
  readonly #files: FragmentFiles;
  readonly #journal: HeldJournal;
  readonly #cache: CacheState;
  readonly #syncs: FragmentSyncs;
  /** Of the files whose bytes this process has hashed and found good. */
  readonly #looks = new Map<Digest, FileLook>();
  /** Deletions that have not reached the disk yet. */
  readonly #drops = new Map<Digest, Promise<void>>();
  #gone = new Set<Digest>();
  #goneTimer: NodeJS.Timeout | undefined;
  #failure: { readonly cause: unknown } | undefined;

  private constructor(
    folder: string,
    settings: FragmentStoreSettings,
    { files, journal, cache }: OpenedFragments,
  ) {
    this.#folder = folder;
    this.#settings = settings;
    this.#files = files;
    this.#journal = journal;
    this.#cache = cache;
    this.#syncs = new FragmentSyncs({
      journal,
      entryOf: (digest) => cache.entries.get(digest),
      onLost: (digests, cause) => this.#lost(digests, cause),
    });
  }

  /** Takes the journal's word for what is there; only what the journal does not know is looked at. */
  static async open(folder: string, settings: FragmentStoreSettings): Promise<FolderFragmentStore> {
    const opened = await openFragments(folder, (settings.now ?? Date.now)());
    return new FolderFragmentStore(folder, settings, opened);
  }

  /** For decisions; changed by this store alone. */
  get cache(): CacheState {
    return this.#cache;
  }

  has(digest: Digest): boolean {
    return this.#cache.entries.has(digest);
  }

  async read(digest: Digest, room?: Buffer): Promise<Buffer | undefined> {
    if (!this.has(digest)) return undefined;
    const bytes = await this.#intact(digest, room);
    if (bytes !== undefined) {
      this.step({ type: "used", digest });
      return bytes;
    }
    // Deleted meanwhile: that is no rot.
    if (!this.has(digest)) return undefined;
    await this.#drop(digest);
    this.#settings.onCorrupt(digest);
    return undefined;
  }

  async write(digest: Digest, bytes: Uint8Array): Promise<void> {
    this.#throwFailure();
    // Or the file that is written now would go under the name that is about to be removed.
    await this.#drops.get(digest);
    if (this.has(digest)) return;
    const file = await this.#written(digest, bytes);
    if (this.has(digest)) {
      // Two sources brought it at the same time.
      await file.close();
      return;
    }
    this.step({ type: "stored", digest, sizeBytes: bytes.length });
    await this.#syncs.add(digest, file, bytes.length);
  }

  async delete(digest: Digest): Promise<void> {
    if (!this.has(digest)) return;
    await this.#drop(digest);
    this.#gone.add(digest);
    this.#goneTimer ??= setTimeout(() => this.#tellGone(), GONE_BATCH_MS).unref();
  }

  /** Feeds the cache's decisions and writes down what they want remembered. */
  step(event: CacheEvent): readonly Digest[] {
    const evicted: Digest[] = [];
    for (const effect of step(this.#cache, event, this.#now())) {
      if (effect.type === "evict") evicted.push(...effect.digests);
      else this.#note(effect.digest);
    }
    return evicted;
  }

  /** Resolves when everything written by now survives a power cut. */
  async flush(): Promise<void> {
    await this.#syncs.flush();
    await this.#journal.compact(this.#proven());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush();
    await this.#syncs[Symbol.asyncDispose]();
    clearTimeout(this.#goneTimer);
    await this.#journal[Symbol.asyncDispose]();
  }

  /** The bytes, hashed unless this process has hashed this very file before. */
  async #intact(digest: Digest, room?: Buffer): Promise<Buffer | undefined> {
    try {
      const { bytes, look } = await this.#files.read(digest, FRAGMENT_WIRE_MAX_BYTES, room);
      if (bytes.length !== look.sizeBytes) return undefined;
      const seen = this.#looks.get(digest);
      if (seen !== undefined && isSameLook(seen, look)) return bytes;
      if (hash("sha256", bytes, "hex") !== digest) return undefined;
      if (isSettled(look, this.#now())) this.#looks.set(digest, look);
      return bytes;
    } catch (cause) {
      // Gone, no file, or a sector that cannot be read.
      if (!isErrorCode(cause, "ENOENT", "EISDIR", "EIO")) throw cause;
      return undefined;
    }
  }

  async #written(digest: Digest, bytes: Uint8Array) {
    try {
      return await this.#files.write(digest, bytes);
    } catch (cause) {
      if (!isErrorCode(cause, "ENOSPC", "EDQUOT")) throw cause;
      if ((await this.#settings.makeRoom?.(bytes.length)) !== true) {
        throw diskFull(this.#folder, bytes, cause);
      }
    }
    try {
      return await this.#files.write(digest, bytes);
    } catch (cause) {
      throw isErrorCode(cause, "ENOSPC", "EDQUOT") ? diskFull(this.#folder, bytes, cause) : cause;
    }
  }

  async #drop(digest: Digest): Promise<void> {
    this.step({ type: "gone", digest });
    this.#looks.delete(digest);
    this.#syncs.note({ type: "gone", digest });
    const dropping = this.#removed(digest);
    this.#drops.set(digest, dropping);
    try {
      await dropping;
    } finally {
      if (this.#drops.get(digest) === dropping) this.#drops.delete(digest);
    }
  }

  async #removed(digest: Digest): Promise<void> {
    await this.#files.remove(digest);
    await this.#syncs.forget(digest);
  }

  #note(digest: Digest): void {
    const entry = this.#cache.entries.get(digest);
    // What waits for its sync gets its line with it.
    if (entry === undefined || this.#syncs.isWaiting(digest)) return;
    this.#syncs.note({ type: "held", digest, entry });
  }

  // The next writer hears of it; what was written before is fetched again when it is needed.
  #lost(digests: readonly Digest[], cause: unknown): void {
    this.#failure ??= { cause };
    for (const digest of digests) {
      this.step({ type: "gone", digest });
      this.#gone.add(digest);
      this.#files.remove(digest).catch(() => undefined);
    }
    this.#tellGone();
  }

  #throwFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure === undefined) return;
    const { cause } = failure;
    if (!isErrorCode(cause, "ENOSPC", "EDQUOT")) throw cause;
    throw diskFull(this.#folder, Buffer.alloc(0), cause);
  }

  #tellGone(): void {
    clearTimeout(this.#goneTimer);
    this.#goneTimer = undefined;
    const gone = this.#gone;
    this.#gone = new Set();
    if (gone.size > 0) this.#settings.onGone?.(gone);
  }

  #proven(): ReadonlyMap<Digest, CacheEntry> {
    const { entries } = this.#cache;
    return new Map([...entries].filter(([digest]) => !this.#syncs.isWaiting(digest)));
  }

  #now(): number {
    return (this.#settings.now ?? Date.now)();
  }
}

interface OpenedFragments {
  readonly files: FragmentFiles;
  readonly journal: HeldJournal;
  readonly cache: CacheState;
}

async function openFragments(folder: string, nowMs: number): Promise<OpenedFragments> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const files = new FragmentFiles(folder);
  const opened = await HeldJournal.open(await openJournalFile(join(folder, "held.journal")));
  const { journal, held } = opened;
  const present = new Map<Digest, CacheEntry>();
  const unknown: Digest[] = [];
  for (const name of await files.names()) {
    const digest = parseDigest(name);
    const entry = held.get(digest);
    if (entry === undefined) unknown.push(digest);
    else present.set(digest, entry);
  }
  const adopted = await adopt(files, unknown, nowMs);
  for (const [digest, entry] of adopted) present.set(digest, entry);
  const records = Array.from(adopted, ([digest, entry]): HeldRecord => {
    return { type: "held", digest, entry };
  });
  await journal.append(records);
  await journal.compact(present);
  return { files, journal, cache: restoredCache(present) };
}

/**
 * Written by a process that was killed before its journal knew. After a power cut such a file may have its
 * name and not its bytes: all are looked at, and hashed unless they are very many.
 */
async function adopt(
  files: FragmentFiles,
  digests: readonly Digest[],
  nowMs: number,
): Promise<ReadonlyMap<Digest, CacheEntry>> {
  const adopted = new Map<Digest, CacheEntry>();
  let hashedBytes = 0;
  await inParallel(digests, PARALLEL_LOOKS, async (digest) => {
    const found = await stat(files.pathOf(digest));
    const { size: sizeBytes, mtimeMs } = found;
    const isPossible = found.isFile() && sizeBytes > 0 && sizeBytes <= FRAGMENT_WIRE_MAX_BYTES;
    const isHashed = hashedBytes + sizeBytes <= ADOPT_HASH_MAX_BYTES;
    if (isPossible && isHashed) hashedBytes += sizeBytes;
    const isGood = isPossible && (!isHashed || (await isIntact(files, digest)));
    const usedMs = Math.min(Math.floor(mtimeMs), nowMs);
    if (isGood) adopted.set(digest, { sizeBytes, usedMs, rememberedMs: usedMs });
    else await files.remove(digest);
  });
  return adopted;
}

async function isIntact(files: FragmentFiles, digest: Digest): Promise<boolean> {
  const { bytes } = await files.read(digest, FRAGMENT_WIRE_MAX_BYTES);
  return hash("sha256", bytes, "hex") === digest;
}

function diskFull(folder: string, bytes: Uint8Array, cause: unknown): DeployError {
  const details = { folder, neededBytes: bytes.length, freeBytes: "not enough" };
  return new DeployError("DISK_FULL", details, { cause });
}
