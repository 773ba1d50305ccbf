/**
 * The marks of one assembly: lines that say which part of its files is surely on the disk. A line is synced
 * after the bytes that it speaks of, and before the fragments that they came from are given up; so the last
 * good line is true whatever the power did, and a torn or rotten one only makes it an earlier one.
 */
import { hash } from "node:crypto";
import { mkdir, readFile, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { Type, type Static } from "typebox";
import { DeployError } from "../../protocol/errors.ts";
import { DigestSchema, parseDigest } from "../../protocol/ids.ts";
import { parserOf, readJson } from "../../protocol/json.ts";
import { crcLine, readCrcLines } from "./crc-lines.ts";
import { openJournalFile } from "./journal-file.ts";
import type { JournalFile } from "./journal.ts";
import { isErrorCode, syncFolder } from "./write-file.ts";

/** A line names two paths and two digests. */
const MARK_MAX_BYTES = 16 * 1024;
/** 64 GiB in batches of 64 MiB and 100,000 files in batches of 128 make 1,800 lines of half a kilobyte. */
const MARKS_MAX_BYTES = 16 * 1024 * 1024;

const closed = { additionalProperties: false } as const;
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Path = Type.String({ minLength: 1, maxLength: 4096 });

/** The files are about to take the place of a folder, or have done so. */
const SwapSchema = Type.Object(
  {
    target: Path,
    /** What is there now was put there by this node: it may go. */
    isOurs: Type.Boolean(),
  },
  closed,
);
export type Swap = Static<typeof SwapSchema>;

const AssemblyMarkSchema = Type.Object(
  {
    v: Type.Literal(1),
    manifest: DigestSchema,
    /** Where the files are being made. */
    folder: Path,
    /** Entries of the file list before this place are whole. */
    place: Count,
    /** Of the file at that place. */
    bytes: Count,
    /** SHA-256 of those bytes. */
    prefix: DigestSchema,
    /** SHA-256 over the looks of the whole files: any later change of one of them shows. */
    looks: DigestSchema,
    swap: Type.Optional(SwapSchema),
  },
  closed,
);
export type AssemblyMark = Static<typeof AssemblyMarkSchema>;
const parseMark = parserOf("a mark of an assembly", AssemblyMarkSchema);

export const NO_BYTES_DIGEST = parseDigest(hash("sha256", "", "hex"));

/** What is in the file; a refusal tells why it is worth nothing. */
export type FoundMark =
  | { readonly kind: "mark"; readonly mark: AssemblyMark }
  | { readonly kind: "refused"; readonly reason: string };

export async function readLastMark(path: string): Promise<FoundMark> {
  const look = await stat(path);
  if (!look.isFile()) return refused("it is no file");
  const { size } = look;
  if (size > MARKS_MAX_BYTES) return refused(`it has ${size} bytes`);
  const bytes = await readable(path);
  if (bytes === undefined) return refused("it cannot be read");
  const { records } = readCrcLines(bytes, parseLine, () => undefined);
  const mark = records.at(-1);
  return mark === undefined ? refused("it has no line that can be read") : { kind: "mark", mark };
}

async function readable(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (cause) {
    if (!isErrorCode(cause, "EIO")) throw cause;
    return undefined;
  }
}

function refused(reason: string): FoundMark {
  return { kind: "refused", reason };
}

/** The file that the marks of one folder go to; made with the first of them. */
export class MarkFile implements AsyncDisposable {
  readonly #path: string;
  #file: JournalFile | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Durable on return. */
  async append(mark: AssemblyMark): Promise<void> {
    try {
      this.#file ??= await opened(this.#path);
      await this.#file.append(Buffer.from(crcLine(JSON.stringify(mark)), "utf8"));
      await this.#file.sync();
    } catch (cause) {
      if (!isErrorCode(cause, "ENOSPC", "EDQUOT")) throw cause;
      const details = { folder: dirname(this.#path), neededBytes: MARK_MAX_BYTES, freeBytes: 0 };
      throw new DeployError("DISK_FULL", details, { cause });
    }
  }

  async remove(): Promise<void> {
    await this[Symbol.asyncDispose]();
    await rm(this.#path, { force: true });
    await syncFolder(dirname(this.#path));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.[Symbol.asyncDispose]();
  }
}

async function opened(path: string): Promise<JournalFile> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const file = await openJournalFile(path);
  // What an earlier process left half written ends here, or the next line would be part of it.
  const bytes = await file.read();
  const { goodBytes } = readCrcLines(bytes, parseLine, () => undefined);
  if (goodBytes < bytes.length) await file.truncate(goodBytes);
  await syncFolder(dirname(path));
  return file;
}

function parseLine(text: string): AssemblyMark {
  return parseMark(readJson("a mark of an assembly", text, MARK_MAX_BYTES));
}
