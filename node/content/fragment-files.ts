/** The files of the fragment store: `<root>/ab/<digest>`, written whole under a temporary name. */
import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, rename, rm, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "../../protocol/ids.ts";

export const DIGEST_NAME = /^[0-9a-f]{64}$/u;
const PREFIX_NAME = /^[0-9a-f]{2}$/u;

/** How a file looked when its bytes were hashed: any write to it changes one of these. */
export interface FileLook {
  readonly sizeBytes: number;
  readonly inode: number;
  readonly modifiedMs: number;
  /** Of the inode: no program sets this one back. */
  readonly changedMs: number;
}

export class FragmentFiles {
  readonly #root: string;
  readonly #folders = new Set<string>();

  constructor(root: string) {
    this.#root = root;
  }

  pathOf(digest: Digest): string {
    return join(this.#root, digest.slice(0, 2), digest);
  }

  /** Names of all whole files. What a killed process left half written is removed. */
  async names(): Promise<readonly string[]> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    const prefixes = (await readdir(this.#root)).filter((name) => PREFIX_NAME.test(name));
    const found: string[] = [];
    for (const prefix of prefixes) {
      this.#folders.add(prefix);
      for (const name of await readdir(join(this.#root, prefix))) {
        if (DIGEST_NAME.test(name)) found.push(name);
        else await rm(join(this.#root, prefix, name), { recursive: true, force: true });
      }
    }
    return found;
  }

  /** The file, whole and under its name, still open for its sync. A failure leaves nothing. */
  async write(digest: Digest, bytes: Uint8Array): Promise<FileHandle> {
    await this.#makeFolder(digest.slice(0, 2));
    const path = this.pathOf(digest);
    const temporary = `${path}.${randomBytes(6).toString("hex")}`;
    const handle = await open(temporary, "wx", 0o600);
    try {
      await handle.writeFile(bytes);
      await rename(temporary, path);
      return handle;
    } catch (cause) {
      await handle.close();
      await rm(temporary, { force: true });
      throw cause;
    }
  }

  /** Bytes and look of one file, at most `limitBytes` of it; in `room` where one is given. */
  async read(
    digest: Digest,
    limitBytes: number,
    room?: Buffer,
  ): Promise<{ readonly bytes: Buffer; readonly look: FileLook }> {
    await using handle = await open(this.pathOf(digest), "r");
    // Looked at before it is read: a later change shows in the next look.
    const { size, ino, mtimeMs, ctimeMs } = await handle.stat();
    const look = { sizeBytes: size, inode: ino, modifiedMs: mtimeMs, changedMs: ctimeMs };
    const sizeBytes = Math.min(size, limitBytes);
    const bytes = room?.subarray(0, sizeBytes) ?? Buffer.allocUnsafe(sizeBytes);
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
    return { bytes: bytes.subarray(0, bytesRead), look };
  }

  async remove(digest: Digest): Promise<void> {
    await rm(this.pathOf(digest), { recursive: true, force: true });
  }

  async #makeFolder(prefix: string): Promise<void> {
    if (this.#folders.has(prefix)) return;
    await mkdir(join(this.#root, prefix), { recursive: true, mode: 0o700 });
    this.#folders.add(prefix);
  }
}

/** Time stamps of files are as coarse as this on some systems; until then a file may change without a sign. */
const LOOK_COARSE_MS = 2000;

/** Whether any later change of the file is sure to show in its look. */
export function isSettled(look: FileLook, nowMs: number): boolean {
  return nowMs - Math.max(look.changedMs, look.modifiedMs) > LOOK_COARSE_MS;
}

export function isSameLook(one: FileLook, other: FileLook): boolean {
  return (
    one.sizeBytes === other.sizeBytes &&
    one.inode === other.inode &&
    one.modifiedMs === other.modifiedMs &&
    one.changedMs === other.changedMs
  );
}
