/**
 * Fragments on disk, one flat file each: `fragments/ab/<digest>`. A write survives a kill of the process,
 * not surely a power cut, and disks rot: every read hashes again, and drops what no longer matches, so that
 * it is neither served nor executed (trust S11).
 */
import { hash, randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DeployError } from "../../protocol/errors.ts";
import { parseDigest, type Digest } from "../../protocol/ids.ts";
import { FRAGMENT_WIRE_MAX_BYTES } from "../../protocol/limits.ts";
import type { FragmentStore } from "./ports.ts";
import { isErrorCode } from "./write-file.ts";

const DIGEST_NAME = /^[0-9a-f]{64}$/u;

export class FolderFragmentStore implements FragmentStore {
  readonly #folder: string;
  readonly #onCorrupt: (digest: Digest) => void;
  readonly #held: Set<Digest>;

  private constructor(folder: string, held: Set<Digest>, onCorrupt: (digest: Digest) => void) {
    this.#folder = folder;
    this.#held = held;
    this.#onCorrupt = onCorrupt;
  }

  /** Lists what is there; files of impossible sizes and unfinished writes are removed. */
  static async open(
    folder: string,
    onCorrupt: (digest: Digest) => void,
  ): Promise<FolderFragmentStore> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const held = new Set<Digest>();
    for (const prefix of await readdir(folder)) {
      const inner = join(folder, prefix);
      for (const name of await readdir(inner)) {
        if (await isFragmentFile(join(inner, name), name)) held.add(parseDigest(name));
        else await rm(join(inner, name), { recursive: true, force: true });
      }
    }
    return new FolderFragmentStore(folder, held, onCorrupt);
  }

  has(digest: Digest): boolean {
    return this.#held.has(digest);
  }

  async read(digest: Digest): Promise<Buffer | undefined> {
    if (!this.#held.has(digest)) return undefined;
    try {
      const bytes = await readFile(this.#pathOf(digest));
      if (hash("sha256", bytes, "hex") === digest) return bytes;
    } catch (cause) {
      if (!isErrorCode(cause, "ENOENT")) throw cause;
    }
    this.#held.delete(digest);
    await rm(this.#pathOf(digest), { force: true });
    this.#onCorrupt(digest);
    return undefined;
  }

  async write(digest: Digest, bytes: Uint8Array): Promise<void> {
    if (this.#held.has(digest)) return;
    const path = this.#pathOf(digest);
    const temporary = `${path}.${randomBytes(6).toString("hex")}`;
    try {
      await mkdir(join(this.#folder, digest.slice(0, 2)), { recursive: true, mode: 0o700 });
      await writeFile(temporary, bytes, { flag: "wx", mode: 0o600 });
      await rename(temporary, path);
    } catch (cause) {
      await rm(temporary, { force: true });
      throw isErrorCode(cause, "ENOSPC", "EDQUOT") ? diskFull(this.#folder, bytes, cause) : cause;
    }
    this.#held.add(digest);
  }

  #pathOf(digest: Digest): string {
    return join(this.#folder, digest.slice(0, 2), digest);
  }
}

async function isFragmentFile(path: string, name: string): Promise<boolean> {
  if (!DIGEST_NAME.test(name)) return false;
  const found = await stat(path);
  return found.isFile() && found.size > 0 && found.size <= FRAGMENT_WIRE_MAX_BYTES;
}

function diskFull(folder: string, bytes: Uint8Array, cause: unknown): DeployError {
  const details = { folder, neededBytes: bytes.length, freeBytes: "not enough" };
  return new DeployError("DISK_FULL", details, { cause });
}
