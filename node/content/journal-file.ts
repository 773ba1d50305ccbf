/**
 * The journal's bytes on a real disk: append and fdatasync; replaced by a synced temporary file.
 */
import { open, readFile, rename, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { syncFolder } from "./write-file.ts";
import type { JournalFile } from "./journal.ts";

export async function openJournalFile(path: string): Promise<JournalFile> {
  let handle = await open(path, "a", 0o600);
  return {
    read: async () => readFile(path),
    append: async (bytes) => handle.appendFile(bytes),
    sync: async () => handle.datasync(),
    truncate: async (sizeBytes) => {
      await handle.truncate(sizeBytes);
      await handle.datasync();
    },
    replace: async (bytes) => {
      const temporary = `${path}.new`;
      const fresh = await open(temporary, "w", 0o600);
      await written(fresh, bytes);
      await rename(temporary, path);
      await syncFolder(dirname(path));
      await handle.close();
      handle = await open(path, "a", 0o600);
    },
    [Symbol.asyncDispose]: async () => handle.close(),
  };
}

async function written(file: FileHandle, bytes: Uint8Array): Promise<void> {
  await using fresh = file;
  await fresh.writeFile(bytes);
  await fresh.sync();
}
