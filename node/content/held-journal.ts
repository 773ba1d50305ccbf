/**
 * What the fragment store holds, over restarts: append-only lines that say which fragments are surely on
 * the disk, how large they are and when they last were good for something. Nothing is hashed at a start.
 */
import { parseDigest, type Digest } from "../../protocol/ids.ts";
import type { CacheEntry } from "../core/cache.ts";
import { crcLine, readCrcLines } from "./crc-lines.ts";
import type { JournalFile } from "./journal.ts";

/** Rewritten when it is this many lines longer than what it says. */
const COMPACT_ABOVE_LINES = 20_000;

export type HeldRecord =
  /** Its bytes survive a power cut. */
  | { readonly type: "held"; readonly digest: Digest; readonly entry: CacheEntry }
  | { readonly type: "gone"; readonly digest: Digest };

export class HeldJournal implements AsyncDisposable {
  readonly #file: JournalFile;
  #lineCount: number;
  #last: Promise<void> = Promise.resolve();

  private constructor(file: JournalFile, lineCount: number) {
    this.#file = file;
    this.#lineCount = lineCount;
  }

  /** With what it says. A line that is torn or rotten says nothing: its fragment is taken for unknown. */
  static async open(
    file: JournalFile,
  ): Promise<{ readonly journal: HeldJournal; readonly held: Map<Digest, CacheEntry> }> {
    const bytes = await file.read();
    const found = readCrcLines(bytes, parseRecord, () => undefined);
    if (found.goodBytes < bytes.length) await file.truncate(found.goodBytes);
    const held = new Map<Digest, CacheEntry>();
    for (const record of found.records) {
      if (record.type === "held") held.set(record.digest, record.entry);
      else held.delete(record.digest);
    }
    return { journal: new HeldJournal(file, found.records.length), held };
  }

  /** Resolves when the records are durable. Rejects where the disk does not take them. */
  async append(records: readonly HeldRecord[]): Promise<void> {
    if (records.length === 0) return;
    await this.#inTurn(async () => {
      this.#lineCount += records.length;
      await this.#file.append(Buffer.from(records.map(textOf).join(""), "utf8"));
      await this.#file.sync();
    });
  }

  /** Rewrites a journal that has grown far beyond what is held. */
  async compact(held: ReadonlyMap<Digest, CacheEntry>): Promise<void> {
    if (this.#lineCount <= held.size + COMPACT_ABOVE_LINES) return;
    await this.#inTurn(async () => {
      const lines = Array.from(held, ([digest, entry]) => textOf({ type: "held", digest, entry }));
      this.#lineCount = lines.length;
      await this.#file.replace(Buffer.from(lines.join(""), "utf8"));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last;
    await this.#file[Symbol.asyncDispose]();
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    await done;
  }
}

function textOf(record: HeldRecord): string {
  if (record.type === "gone") return crcLine(`- ${record.digest}`);
  const { sizeBytes, rememberedMs } = record.entry;
  return crcLine(`+ ${record.digest} ${sizeBytes} ${rememberedMs}`);
}

const LINE =
  /^(?:- (?<gone>[0-9a-f]{64})|\+ (?<held>[0-9a-f]{64}) (?<size>\d{1,8}) (?<used>\d{1,15}))$/u;

function parseRecord(text: string): HeldRecord {
  const { gone, held, size, used } = LINE.exec(text)?.groups ?? {};
  if (gone !== undefined) return { type: "gone", digest: parseDigest(gone) };
  if (held === undefined) throw new TypeError("an unknown line");
  const usedMs = Number(used);
  const entry = { sizeBytes: Number(size), usedMs, rememberedMs: usedMs };
  return { type: "held", digest: parseDigest(held), entry };
}
