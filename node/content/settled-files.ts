/**
 * Makes files durable in batches while they are written, marks how far they have come, and only then lets
 * go of the fragments that they were made of. In that order the power may fail anywhere.
 */
import { createHash, type Hash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseDigest } from "../../protocol/ids.ts";
import { NO_BYTES_DIGEST } from "./assembly-marks.ts";
import { addLook, type CheckedTree } from "./checked-tree.ts";
import type { ConsumedFragments } from "./consumed-fragments.ts";
import type { AssemblyMarks } from "./half-made.ts";
import { inParallel } from "./in-parallel.ts";
import { syncFolder } from "./write-file.ts";

/** Written between two syncs; what is both in a file and in the store at a time. */
export const CONSUMED_BATCH_BYTES = 64 * 1024 * 1024;
/** Open at a time until their sync. */
const BATCH_MAX_FILES = 128;
/** The pool of four threads has other work too. */
const PARALLEL_SYNCS = 2;

export interface SettledFilesParts {
  readonly folder: string;
  readonly consumed: ConsumedFragments | undefined;
  readonly marks: AssemblyMarks | undefined;
  readonly from: CheckedTree | undefined;
  readonly batchBytes: number;
}

/** A file that is being written. */
export interface BegunFile {
  readonly place: number;
  readonly handle: FileHandle;
  /** So many bytes are in it, and this is their digest so far. */
  readonly bytes: number;
  readonly digest: Hash;
}

interface WholeFile {
  readonly place: number;
  readonly handle: FileHandle;
}

export class SettledFiles implements AsyncDisposable {
  readonly #parts: SettledFilesParts;
  readonly #looks: Hash;
  /** Whole, and not synced. */
  #whole: WholeFile[] = [];
  /** Something was made in them since their sync. */
  readonly #folders = new Set<string>();
  #place: number;

  constructor(parts: SettledFilesParts) {
    this.#parts = parts;
    this.#looks = parts.from?.looks.copy() ?? createHash("sha256");
    this.#place = parts.from?.point.place ?? 0;
  }

  /** A file or folder was made at this path in the tree. */
  made(path: string): void {
    this.#folders.add(dirname(join(this.#parts.folder, path)));
  }

  /** Takes over a file that is whole and proven. */
  async add(place: number, handle: FileHandle): Promise<void> {
    this.#whole.push({ place, handle });
    if (this.#isDue || this.#whole.length >= BATCH_MAX_FILES) await this.settle(place + 1);
  }

  /** After each write: whatever is due is settled, with this file as far as it is. */
  async wrote(begun: BegunFile): Promise<void> {
    if (this.#isDue) await this.settle(begun.place, begun);
  }

  /** Everything before `place`, and what there is of the file at it, survives a power cut from now on. */
  async settle(place: number, begun?: BegunFile): Promise<void> {
    await this.#sync(begun);
    for (const folder of this.#folders) await syncFolder(folder);
    this.#folders.clear();
    this.#place = place;
    await this.#mark(begun);
    await this.#parts.consumed?.giveUp();
  }

  /** What the mark says of the file at its place has proven wrong: it is written anew. */
  async discard(): Promise<void> {
    await this.#mark(undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { handle } of this.#whole) await handle.close();
  }

  get #isDue(): boolean {
    return (this.#parts.consumed?.spentBytes ?? 0) >= this.#parts.batchBytes;
  }

  async #sync(begun: BegunFile | undefined): Promise<void> {
    const [, files] = await Promise.all([
      begun?.handle.sync(),
      inParallel(this.#whole, PARALLEL_SYNCS, synced),
    ]);
    this.#whole = [];
    for (const { place, handle, look } of files) {
      addLook(this.#looks, place, look);
      await handle.close();
    }
  }

  async #mark(begun: BegunFile | undefined): Promise<void> {
    const bytes = begun?.bytes ?? 0;
    const isAny = begun !== undefined && bytes > 0;
    const prefix = isAny ? parseDigest(begun.digest.copy().digest("hex")) : NO_BYTES_DIGEST;
    await this.#parts.marks?.mark({ place: this.#place, bytes, prefix, looks: this.#looks });
  }
}

async function synced({ place, handle }: WholeFile) {
  await handle.sync();
  return { place, handle, look: await handle.stat({ bigint: true }) };
}
