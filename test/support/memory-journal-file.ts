/** A journal file in memory that can lose what was not synced, as a power cut does. */
import type { JournalFile } from "../../node/content/journal.ts";

export interface MemoryJournalFile extends JournalFile {
  /** The disk after a power cut: synced bytes, and `tornBytes` of the rest. */
  powerCut(tornBytes?: number): MemoryJournalFile;
  readonly bytes: () => Buffer;
  readonly syncCount: () => number;
}

export function memoryJournalFile(initial: Uint8Array = Buffer.alloc(0)): MemoryJournalFile {
  let bytes = Buffer.from(initial);
  let syncedBytes = bytes.length;
  let syncCount = 0;
  return {
    read: async () => Buffer.from(bytes),
    append: async (more) => {
      bytes = Buffer.concat([bytes, more]);
    },
    sync: async () => {
      syncedBytes = bytes.length;
      syncCount += 1;
    },
    truncate: async (sizeBytes) => {
      bytes = bytes.subarray(0, sizeBytes);
      syncedBytes = bytes.length;
    },
    replace: async (whole) => {
      bytes = Buffer.from(whole);
      syncedBytes = bytes.length;
    },
    powerCut: (tornBytes = 0) => memoryJournalFile(bytes.subarray(0, syncedBytes + tornBytes)),
    bytes: () => bytes,
    syncCount: () => syncCount,
    [Symbol.asyncDispose]: async () => undefined,
  };
}
