/** Puts the files of a built package together again from its staged fragments, as an endpoint would. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { zstdDecompressSync } from "node:zlib";
import type { BuiltPackage } from "../../coordinator/publish/build-package.ts";
import type { FileEntry } from "../../coordinator/publish/split-content.ts";
import { parseFilePage } from "../../protocol/file-list.ts";
import { decodeFragmentPage, type FragmentEntry } from "../../protocol/fragment-index.ts";

export interface Rebuilt {
  readonly fragments: readonly FragmentEntry[];
  readonly entries: readonly FileEntry[];
  /** Bytes by path. */
  readonly files: ReadonlyMap<string, Buffer>;
}

/** Throws where any digest, length or file hash does not hold. */
export async function rebuilt(built: BuiltPackage): Promise<Rebuilt> {
  const { content } = built.manifest;
  if (content === undefined) throw new Error("the package has no content");
  const wire = new Map<string, Buffer>();
  for (const { digest, filePath, sizeBytes } of built.fragments) {
    const bytes = await readFile(filePath);
    if (sha256(bytes) !== digest || bytes.length !== sizeBytes) throw new Error(`bad ${digest}`);
    wire.set(digest, bytes);
  }
  const fragments = content.fragmentPages.flatMap((page) =>
    decodeFragmentPage(wire.get(page.digest)!),
  );
  const stream = Buffer.concat(fragments.map((entry) => rawOf(entry, wire.get(entry.digest)!)));
  const entries = content.filePages.flatMap((page) =>
    parseFilePage(JSON.parse(zstdDecompressSync(wire.get(page.digest)!).toString("utf8"))),
  );
  const files = new Map<string, Buffer>();
  for (const entry of entries) {
    if (entry.kind === "folder") continue;
    const parts = entry.extents.map(([at, length]) => stream.subarray(at, at + length));
    const bytes = Buffer.concat(parts);
    const isWhole = bytes.length === entry.sizeBytes && sha256(bytes) === entry.sha256;
    if (!isWhole) throw new Error(`${entry.path} does not reassemble`);
    files.set(entry.path, bytes);
  }
  return { fragments, entries, files };
}

function rawOf(entry: FragmentEntry, bytes: Buffer): Buffer {
  const raw = entry.wireBytes === entry.rawBytes ? bytes : zstdDecompressSync(bytes);
  const isWhole = raw.length === entry.rawBytes && sha256(raw).startsWith(entry.rawHint);
  if (!isWhole) throw new Error(`${entry.digest} does not unpack`);
  return raw;
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
