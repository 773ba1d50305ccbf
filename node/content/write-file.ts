/**
 * Files that are whole or absent: temporary name in the same folder, fsync, rename, fsync of the folder.
 */
import { randomBytes } from "node:crypto";
import { open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** Durable on return. */
export async function writeFileDurably(
  path: string,
  bytes: Uint8Array | string,
  mode = 0o600,
): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await writeSynced(temporary, bytes, mode);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw cause;
  }
  await syncFolder(dirname(path));
}

/** The file's bytes; undefined where it does not exist. */
export async function readFileIfAny(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (cause) {
    if (isErrorCode(cause, "ENOENT")) return undefined;
    throw cause;
  }
}

/** Makes renames inside a folder durable; a system without folder handles (Windows) does so itself. */
export async function syncFolder(path: string): Promise<void> {
  try {
    await using folder = await open(path, "r");
    await folder.sync();
  } catch (cause) {
    if (!isErrorCode(cause, "EPERM", "EISDIR", "EACCES")) throw cause;
  }
}

export function isErrorCode(error: unknown, ...codes: readonly string[]): boolean {
  if (!(error instanceof Error) || !("code" in error)) return false;
  return typeof error.code === "string" && codes.includes(error.code);
}

async function writeSynced(path: string, bytes: Uint8Array | string, mode: number): Promise<void> {
  await using file = await open(path, "wx", mode);
  await file.writeFile(bytes);
  await file.sync();
}
