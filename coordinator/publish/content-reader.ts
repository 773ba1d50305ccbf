/**
 * The port behind which every source of content looks the same, and the checks that all readers share:
 * path policy, caps, bombs. A reader refuses a bad entry by name; none repairs one.
 */
import { DeployError } from "../../protocol/errors.ts";
import {
  ARCHIVE_RATIO_FREE_BYTES,
  ARCHIVE_RATIO_MAX,
  PACKAGE_MAX_BYTES,
  PACKAGE_MAX_FILES,
} from "../../protocol/limits.ts";
import { checkPackagePath } from "../../protocol/package-path.ts";

/** A file or folder of the source; `path` obeys the path grammar. */
export type ContentEntry =
  | { readonly kind: "folder"; readonly path: string }
  | {
      readonly kind: "file";
      readonly path: string;
      readonly isExecutable: boolean;
      readonly sizeBytes: number;
      /** The bytes, in order. Reading fails where the source no longer holds what it listed. */
      read(): AsyncIterable<Buffer>;
    };
export type FileSource = Extract<ContentEntry, { kind: "file" }>;

/** One opened source; disposal closes it. */
export interface ContentReader extends AsyncDisposable {
  /** Whether a file can still be read after the next entry was asked for, until disposal. */
  readonly isRandomAccess: boolean;
  entries(signal: AbortSignal): AsyncIterable<ContentEntry>;
}

/** Bounds of one source. */
export interface SourceLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly ratioMax: number;
  /** Ratios are not judged below this many unpacked bytes: small files of zeros are honest. */
  readonly ratioFreeBytes: number;
}

export const SOURCE_LIMITS: SourceLimits = {
  maxEntries: PACKAGE_MAX_FILES,
  maxBytes: PACKAGE_MAX_BYTES,
  ratioMax: ARCHIVE_RATIO_MAX,
  ratioFreeBytes: ARCHIVE_RATIO_FREE_BYTES,
};

const ROOT_NAMES: ReadonlySet<string> = new Set([".", "./"]);

/**
 * The package path of a name as an archive holds it; undefined for the archive's own root. A leading
 * `./`, as `tar -C folder .` writes it, and the slash after a folder are notation, not content.
 */
export function entryPath(name: string, kind: "file" | "folder"): string | undefined {
  if (kind === "folder" && ROOT_NAMES.has(name)) return undefined;
  const relative = name.startsWith("./") ? name.slice(2) : name;
  const path = kind === "folder" && relative.endsWith("/") ? relative.slice(0, -1) : relative;
  // Decoders put U+FFFD where the bytes were not UTF-8: two names could become one.
  const reason = path.includes("\uFFFD") ? "its name is not valid UTF-8" : checkPackagePath(path);
  if (reason !== undefined) throw refusedEntry(name, reason);
  return path;
}

/** File type and permission bits of a Unix mode; only plain files and folders pass. */
export function refuseMode(name: string, mode: number, kind: "file" | "folder"): void {
  const type = mode & 0o170000;
  if (type === 0o120000) throw refusedEntry(name, "it is a symbolic link");
  if (type !== 0 && type !== 0o100000 && type !== 0o040000) {
    throw refusedEntry(name, "it is neither a file nor a folder");
  }
  if (type !== 0 && (type === 0o040000) !== (kind === "folder")) {
    throw refusedEntry(name, "its name and its mode disagree whether it is a folder");
  }
  if (kind === "file" && (mode & 0o6000) !== 0) {
    throw refusedEntry(name, "it carries a set-user-id or set-group-id bit");
  }
}

export function refusedEntry(name: string, reason: string, cause?: unknown): DeployError {
  return new DeployError(
    "PUBLISH_ENTRY_REFUSED",
    { entry: shownName(name), reason },
    cause === undefined ? undefined : { cause },
  );
}

export function damagedArchive(
  path: string,
  entry: string,
  problem: string,
  cause?: unknown,
): DeployError {
  return new DeployError(
    "PUBLISH_ARCHIVE_DAMAGED",
    { path, entry: shownName(entry), problem },
    cause === undefined ? undefined : { cause },
  );
}

/** A file or folder of the operator's machine that cannot be read. */
export function unreadable(path: string, cause: unknown): DeployError {
  return new DeployError("PUBLISH_SOURCE_MISSING", { path, reason: reasonOf(cause) }, { cause });
}

function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "ENOENT") return "no such file or folder";
  if (code === "EACCES" || code === "EPERM") return "it may not be read";
  return cause instanceof Error ? cause.message : "it cannot be read";
}

/** Counts a source against its limits while its entries are listed. */
export class SourceMeter {
  readonly #limits: SourceLimits;
  #entryCount = 0;
  #totalBytes = 0;

  constructor(limits: SourceLimits) {
    this.#limits = limits;
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** Throws PUBLISH_TOO_LARGE where this entry exceeds the count or the total. */
  add(name: string, sizeBytes: number): void {
    this.#entryCount++;
    this.#totalBytes += sizeBytes;
    if (this.#entryCount > this.#limits.maxEntries) {
      throw tooLarge(name, `more than ${this.#limits.maxEntries} files and folders`);
    }
    if (this.#totalBytes > this.#limits.maxBytes) {
      throw tooLarge(name, `more than ${this.#limits.maxBytes} bytes unpacked`);
    }
  }
}

/** Throws PUBLISH_TOO_LARGE where an archive unpacks to far more than it holds. */
export function refuseBomb(
  name: string,
  packedBytes: number,
  unpackedBytes: number,
  limits: SourceLimits,
): void {
  if (unpackedBytes <= limits.ratioFreeBytes) return;
  if (unpackedBytes > limits.ratioMax * packedBytes) {
    throw tooLarge(name, `the archive unpacks to more than ${limits.ratioMax} times its size`);
  }
}

export function tooLarge(name: string, problem: string): DeployError {
  return new DeployError("PUBLISH_TOO_LARGE", { entry: shownName(name), problem });
}

// A hostile name must not draw on the operator's terminal.
function shownName(name: string): string {
  const text = name.length > 200 ? `${name.slice(0, 200)}…` : name;
  const isPlain = !/[\p{Cc}\p{Cf}\u2028\u2029]/u.test(text);
  return isPlain ? text : JSON.stringify(text).replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "?");
}
