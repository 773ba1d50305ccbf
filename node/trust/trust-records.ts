/**
 * The bytes of the trust store: LevelDB with a checksum of our own per value (LevelDB does not verify on
 * read) and a generation number kept twice. A node that lost its floors would accept old documents, so
 * every doubt throws TRUST_STORE_DAMAGED and nothing ever starts empty (trust M6).
 */
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { Level } from "level";
import { DeployError } from "../../protocol/errors.ts";

const GENERATION_KEY = "generation";

export class TrustRecords {
  readonly #dir: string;
  readonly #level: Level;
  #generation: number;

  private constructor(dir: string, level: Level, generation: number) {
    this.#dir = dir;
    this.#level = level;
    this.#generation = generation;
  }

  static async open(dir: string): Promise<TrustRecords> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const expected = await expectedGeneration(dir);
    const level = new Level(join(dir, "db"), { createIfMissing: expected === 0 });
    try {
      await level.open();
      const records = new TrustRecords(dir, level, 0);
      records.#generation = Number((await records.read(GENERATION_KEY)) ?? 0);
      if (records.#generation < expected) throw damaged("records are missing at its end");
      return records;
    } catch (cause) {
      await level.close();
      if (cause instanceof DeployError) throw cause;
      throw damaged("its database does not open", cause);
    }
  }

  /** The value of a key; undefined where it was never written. */
  async read(key: string): Promise<string | undefined> {
    const stored = await this.#stored(key);
    if (stored === undefined) return undefined;
    const text = stored.slice(8);
    if (stored.slice(0, 8) !== checksum(key, text))
      throw damaged(`the checksum of ${key} is wrong`);
    return text;
  }

  /** All or nothing, and on disk when it resolves. */
  async commit(values: ReadonlyMap<string, string>): Promise<void> {
    const generation = this.#generation + 1;
    const all = new Map([...values, [GENERATION_KEY, String(generation)]]);
    await this.#level.batch(
      [...all].map(([key, text]) => ({ type: "put", key, value: checksum(key, text) + text })),
      { sync: true },
    );
    this.#generation = generation;
    // LevelDB forgets a damaged end of its log in silence; this file remembers how far we were.
    await writeSynced(this.#dir, "generation", `${generation}\n`);
  }

  async close(): Promise<void> {
    await this.#level.close();
  }

  async #stored(key: string): Promise<string | undefined> {
    try {
      const stored: string | undefined = await this.#level.get(key);
      return stored;
    } catch (cause) {
      throw damaged(`${key} cannot be read`, cause);
    }
  }
}

async function expectedGeneration(dir: string): Promise<number> {
  let text: string;
  try {
    text = await readFile(join(dir, "generation"), "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return 0;
    throw damaged("its generation cannot be read", cause);
  }
  if (!/^[1-9]\d{0,14}\n$/u.test(text)) throw damaged("its generation is not a number");
  return Number(text);
}

async function writeSynced(dir: string, name: string, text: string): Promise<void> {
  const temporary = join(dir, `${name}.tmp`);
  {
    await using file = await open(temporary, "w", 0o600);
    await file.writeFile(text);
    await file.sync();
  }
  await rename(temporary, join(dir, name));
}

function checksum(key: string, text: string): string {
  return crc32(`${key}\n${text}`).toString(16).padStart(8, "0");
}

function damaged(problem: string, cause?: unknown): DeployError {
  return new DeployError("TRUST_STORE_DAMAGED", { problem }, { cause });
}
