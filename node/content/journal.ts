/**
 * The journal: append-only lines of crc32 + JSON, synced before anyone acts on them. A torn tail is cut
 * off and said; a rotten line in the middle is skipped, loudly.
 */
import type { Logger } from "pino";
import {
  EMPTY_JOURNAL,
  parseJournalRecord,
  reduced,
  snapshotOf,
  type JournalRecord,
  type JournalState,
} from "../core/journal-state.ts";
import { crcLine, readCrcLines } from "./crc-lines.ts";

/** Above this the journal is rewritten as one snapshot, at start and while it grows. */
const COMPACT_ABOVE_BYTES = 1024 * 1024;

/** The bytes under a journal; tests lose unsynced ones. */
export interface JournalFile extends AsyncDisposable {
  read(): Promise<Buffer>;
  append(bytes: Uint8Array): Promise<void>;
  /** Resolves when everything appended survives a power cut. */
  sync(): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  /** Replaces the whole file atomically and durably. */
  replace(bytes: Uint8Array): Promise<void>;
}

interface PendingAppend {
  readonly lines: Buffer;
  readonly isSynced: boolean;
  readonly settled: PromiseWithResolvers<void>;
}

export class Journal implements AsyncDisposable {
  readonly #file: JournalFile;
  #state: JournalState = EMPTY_JOURNAL;
  #sizeBytes = 0;
  #compactAboveBytes = COMPACT_ABOVE_BYTES;
  #pending: PendingAppend[] = [];
  #writing: Promise<void> | undefined;

  private constructor(file: JournalFile) {
    this.#file = file;
  }

  static async open(file: JournalFile, log: Logger): Promise<Journal> {
    const journal = new Journal(file);
    const bytes = await file.read();
    const found = readCrcLines(bytes, parseLine, (offset, problem) =>
      log.error({ offset, problem }, "journal.lineCorrupt"),
    );
    if (found.goodBytes < bytes.length) {
      log.warn({ lostBytes: bytes.length - found.goodBytes }, "journal.tailCut");
      await file.truncate(found.goodBytes);
    }
    journal.#state = found.records.reduce(reduced, EMPTY_JOURNAL);
    journal.#sizeBytes = found.goodBytes;
    if (journal.#sizeBytes > COMPACT_ABOVE_BYTES) await journal.#compact();
    return journal;
  }

  /** What has been appended, from memory. */
  get state(): JournalState {
    return this.#state;
  }

  /** Resolves when the records survive a power cut; records of one call are written together. */
  async append(...records: readonly JournalRecord[]): Promise<void> {
    await this.#enqueue(records, true);
  }

  /** Resolves when the records survive a kill of the process; for what may be lost by a power cut. */
  async note(...records: readonly JournalRecord[]): Promise<void> {
    await this.#enqueue(records, false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
    await this.#file[Symbol.asyncDispose]();
  }

  async #enqueue(records: readonly JournalRecord[], isSynced: boolean): Promise<void> {
    this.#state = records.reduce(reduced, this.#state);
    const settled = Promise.withResolvers<void>();
    const lines = Buffer.concat(records.map(lineOf));
    this.#pending.push({ lines, isSynced, settled });
    this.#writing ??= this.#drain();
    await settled.promise;
  }

  // Group commit: whatever waits while one write is under way shares the next one.
  async #drain(): Promise<void> {
    while (this.#pending.length > 0) {
      const batch = this.#pending;
      this.#pending = [];
      try {
        await this.#write(batch);
        for (const one of batch) one.settled.resolve();
      } catch (cause) {
        for (const one of batch) one.settled.reject(cause);
      }
    }
    this.#writing = undefined;
  }

  async #write(batch: PendingAppend[]): Promise<void> {
    const bytes = Buffer.concat(batch.map((one) => one.lines));
    await this.#file.append(bytes);
    this.#sizeBytes += bytes.length;
    if (this.#sizeBytes > this.#compactAboveBytes) {
      // The snapshot holds what came in meanwhile; written again after it, growth would count twice.
      batch.push(...this.#pending);
      this.#pending = [];
      await this.#compact();
    } else if (batch.some((one) => one.isSynced)) await this.#file.sync();
  }

  async #compact(): Promise<void> {
    const line = lineOf(snapshotOf(this.#state));
    await this.#file.replace(line);
    this.#sizeBytes = line.length;
    this.#compactAboveBytes = Math.max(COMPACT_ABOVE_BYTES, 2 * line.length);
  }
}

function lineOf(record: JournalRecord): Buffer {
  return Buffer.from(crcLine(JSON.stringify(record)), "utf8");
}

function parseLine(text: string): JournalRecord {
  return parseJournalRecord(JSON.parse(text));
}
