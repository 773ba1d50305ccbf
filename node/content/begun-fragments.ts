/**
 * What has come of fragments whose transfer over the line broke, so that the next one goes on from there: after
 * an outage, a stop or a kill. A fragment of megabytes on a line that breaks every few minutes would never be
 * whole otherwise. These bytes are nobody's proof: only the digest of the whole fragment is.
 */
import { mkdir, open, readdir, readFile, rm, stat, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { parseDigest, type Digest } from "../../protocol/ids.ts";
import { FRAGMENT_WIRE_MAX_BYTES } from "../../protocol/limits.ts";
import { DIGEST_NAME } from "./fragment-files.ts";

/** Twice what a node fetches at a time. */
const MAX_COUNT = 16;
/** On a fast line a fragment is whole before anything is written here. */
const SAVE_EVERY_MS = 100;
const NOTHING = Buffer.alloc(0);

/** One transfer, from its request to its end. */
export interface BegunTransfer {
  /** What came in earlier ones. */
  readonly before: Buffer;
  /** All that this one has brought so far; `isRest`: it follows `before`. Keeps a view of it until the end. */
  readonly came: (bytes: Buffer, isRest: boolean) => Promise<void>;
  /** The transfer broke: what it brought is kept. */
  readonly broke: () => Promise<void>;
  /** Whole, or of no use: nothing is kept. */
  readonly done: () => Promise<void>;
}

/** Keeps nothing. */
export const UNKEPT: BegunTransfer = {
  before: NOTHING,
  came: async () => undefined,
  broke: async () => undefined,
  done: async () => undefined,
};

export class BegunFragments {
  readonly #folder: string;
  readonly #nowMs: () => number;
  /** Oldest first. */
  readonly #begun: Set<Digest>;
  readonly #underWay = new Set<Digest>();

  private constructor(folder: string, nowMs: () => number, begun: Iterable<Digest>) {
    this.#folder = folder;
    this.#nowMs = nowMs;
    this.#begun = new Set(begun);
  }

  /** `isHeld`: the whole fragment is here. `nowMs`: milliseconds that never jump. */
  static async open(
    folder: string,
    isHeld: (digest: Digest) => boolean,
    nowMs: () => number,
  ): Promise<BegunFragments> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const found: { readonly digest: Digest; readonly atMs: number }[] = [];
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      const digest = DIGEST_NAME.test(name) ? parseDigest(name) : undefined;
      const { size, mtimeMs } = await stat(path);
      const isOfUse = digest !== undefined && !isHeld(digest) && size < FRAGMENT_WIRE_MAX_BYTES;
      if (isOfUse) found.push({ digest, atMs: mtimeMs });
      else await rm(path, { recursive: true, force: true });
    }
    found.sort((one, other) => one.atMs - other.atMs);
    const begun = new BegunFragments(
      folder,
      nowMs,
      found.map(({ digest }) => digest),
    );
    await begun.#makeRoom();
    return begun;
  }

  has(digest: Digest): boolean {
    return this.#begun.has(digest);
  }

  /** Two transfers of one fragment at the same time: the second is not kept. */
  async transfer(digest: Digest): Promise<BegunTransfer> {
    if (this.#underWay.has(digest)) return UNKEPT;
    this.#underWay.add(digest);
    const path = join(this.#folder, digest);
    const before = this.#begun.has(digest) ? await readFile(path).catch(() => NOTHING) : NOTHING;
    const file = new PartFile(path, this.#nowMs);
    const note = async (isSaved: boolean): Promise<void> => {
      if (!isSaved) return;
      this.#begun.add(digest);
      await this.#makeRoom();
    };
    return {
      before,
      came: async (bytes, isRest) => note(await file.came(bytes, isRest)),
      broke: async () => {
        this.#underWay.delete(digest);
        await note(await file.broke());
      },
      done: async () => {
        this.#underWay.delete(digest);
        await file.close();
        if (this.#begun.delete(digest)) await rm(path, { force: true });
      },
    };
  }

  async #makeRoom(): Promise<void> {
    for (const digest of this.#begun) {
      if (this.#begun.size <= MAX_COUNT) return;
      if (this.#underWay.has(digest)) continue;
      this.#begun.delete(digest);
      await rm(join(this.#folder, digest), { force: true });
    }
  }
}

/** The file of one transfer. A disk that takes no more costs what was kept, never the transfer. */
class PartFile {
  readonly #path: string;
  readonly #nowMs: () => number;
  #file: FileHandle | undefined;
  #bytes: Buffer = NOTHING;
  #isRest = false;
  #savedBytes = 0;
  #savedMs: number;
  #isLost = false;

  constructor(path: string, nowMs: () => number) {
    this.#path = path;
    this.#nowMs = nowMs;
    this.#savedMs = nowMs();
  }

  /** True where something was written. */
  async came(bytes: Buffer, isRest: boolean): Promise<boolean> {
    this.#bytes = bytes;
    this.#isRest = isRest;
    return this.#nowMs() - this.#savedMs >= SAVE_EVERY_MS && (await this.#save());
  }

  async broke(): Promise<boolean> {
    const isSaved = await this.#save();
    await this.close();
    return isSaved;
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
    this.#bytes = NOTHING;
  }

  async #save(): Promise<boolean> {
    if (this.#isLost || this.#bytes.length === this.#savedBytes) return false;
    try {
      this.#file ??= await open(this.#path, this.#isRest ? "a" : "w", 0o600);
      const rest = this.#bytes.subarray(this.#savedBytes);
      // What comes meanwhile is the next part.
      this.#savedBytes += rest.length;
      await this.#file.appendFile(rest);
      this.#savedMs = this.#nowMs();
      return true;
    } catch {
      this.#isLost = true;
      await rm(this.#path, { force: true });
      return false;
    }
  }
}
