/**
 * Immutable blobs named by the SHA-256 of their bytes: `<root>/ab/<digest>`. A blob that is there is
 * whole: temporary name, fsync, hash check, rename, fsync of the folder.
 */
import { createHash, randomUUID } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { DeployError } from "../../protocol/errors.ts";
import type { Digest } from "../../protocol/ids.ts";

export interface OpenBlob {
  readonly sizeBytes: number;
  /** Ends by itself; closes its file when it is read to the end, left early or fails. */
  readonly read: (fromByte: number) => AsyncGenerator<Buffer>;
}

export interface FragmentFolder {
  /** Size of a whole blob, undefined where it is absent. */
  size(digest: Digest): Promise<number | undefined>;
  /** Throws FRAGMENT_MISMATCH or DOCUMENT_TOO_LARGE; then nothing is left behind. */
  put(digest: Digest, source: AsyncIterable<Uint8Array>, limitBytes: number): Promise<void>;
  /** All bytes of a blob, undefined where it is absent. */
  bytes(digest: Digest): Promise<Buffer | undefined>;
  open(digest: Digest): Promise<OpenBlob | undefined>;
  /** Harmless where it is absent. */
  delete(digest: Digest): Promise<void>;
}

const READ_BYTES = 128 * 1024;

export async function openFragmentFolder(root: string): Promise<FragmentFolder> {
  const temporary = path.join(root, "tmp");
  // Only this process writes here; what a killed one left half-written is of no use.
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary, { recursive: true, mode: 0o700 });
  const placeOf = (digest: Digest): string => path.join(root, digest.slice(0, 2), digest);

  async function size(digest: Digest): Promise<number | undefined> {
    return unlessAbsent(async () => (await stat(placeOf(digest))).size);
  }

  return {
    size,
    put: async (digest, source, limitBytes) => {
      if ((await size(digest)) !== undefined) return drained(source, limitBytes);
      const written = path.join(temporary, randomUUID());
      try {
        await writeChecked(written, digest, source, limitBytes);
        await mkdir(path.dirname(placeOf(digest)), { recursive: true, mode: 0o700 });
        await rename(written, placeOf(digest));
        await syncFolder(path.dirname(placeOf(digest)));
      } finally {
        await rm(written, { force: true });
      }
    },
    delete: async (digest) => rm(placeOf(digest), { force: true }),
    bytes: async (digest) => unlessAbsent(async () => readFile(placeOf(digest))),
    open: async (digest) => {
      const sizeBytes = await size(digest);
      if (sizeBytes === undefined) return undefined;
      return { sizeBytes, read: (fromByte) => readFrom(placeOf(digest), fromByte) };
    },
  };
}

async function writeChecked(
  file: string,
  digest: Digest,
  source: AsyncIterable<Uint8Array>,
  limitBytes: number,
): Promise<void> {
  const hash = createHash("sha256");
  await using handle = await open(file, "wx", 0o600);
  for await (const part of bounded(digest, source, limitBytes)) {
    hash.update(part);
    await handle.writeFile(part);
  }
  if (hash.digest("hex") !== digest) throw new DeployError("FRAGMENT_MISMATCH", { digest });
  await handle.sync();
}

// The sender finishes its request normally although the blob was there already.
async function drained(source: AsyncIterable<Uint8Array>, limitBytes: number): Promise<void> {
  let sizeBytes = 0;
  for await (const part of bounded("a known fragment", source, limitBytes))
    sizeBytes += part.length;
}

async function* bounded(
  what: string,
  source: AsyncIterable<Uint8Array>,
  limitBytes: number,
): AsyncGenerator<Uint8Array> {
  let sizeBytes = 0;
  for await (const part of source) {
    sizeBytes += part.length;
    if (sizeBytes > limitBytes) throw new DeployError("DOCUMENT_TOO_LARGE", { what, limitBytes });
    yield part;
  }
}

async function* readFrom(file: string, fromByte: number): AsyncGenerator<Buffer> {
  await using handle = await open(file, "r");
  let position = fromByte;
  for (;;) {
    const part = await readPart(handle, position);
    if (part.length === 0) return;
    position += part.length;
    yield part;
  }
}

async function readPart(handle: FileHandle, position: number): Promise<Buffer> {
  const part = Buffer.allocUnsafe(READ_BYTES);
  const { bytesRead } = await handle.read(part, 0, READ_BYTES, position);
  return part.subarray(0, bytesRead);
}

async function syncFolder(folder: string): Promise<void> {
  // Windows cannot open folders and makes renames durable itself.
  if (process.platform === "win32") return;
  await using handle = await open(folder, "r");
  await handle.sync();
}

async function unlessAbsent<T>(use: () => Promise<T>): Promise<T | undefined> {
  try {
    return await use();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
