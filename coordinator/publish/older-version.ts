/**
 * An older version of the package that is published, as the source of patches: its file list, and the
 * bytes of its files on demand.
 */
import type { FileEntry } from "../../protocol/file-list.ts";
import type { Digest, PackageVersion } from "../../protocol/ids.ts";

export type OlderFile = Extract<FileEntry, { kind: "file" }>;

export interface OlderVersion {
  readonly version: PackageVersion;
  readonly manifest: Digest;
  /** The whole file list: patches name files by their place in it. */
  readonly files: readonly FileEntry[];
  /** Raw hints of its content fragments: what an endpoint that has this version need not fetch. */
  readonly rawHints: ReadonlySet<string>;
  /** The file's bytes, checked against its SHA-256. */
  read(file: OlderFile, signal: AbortSignal): Promise<Buffer>;
}
