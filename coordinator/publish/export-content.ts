/**
 * The fragments of a published package as static files, `fragments/ab/<digest>`, which any web server, bucket or
 * CDN serves to nodes. Each is proven by its digest on the way; what is there already is not fetched again.
 */
import { randomUUID } from "node:crypto";
import { mkdir, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { decodeFragmentPage } from "../../protocol/fragment-index.ts";
import type { Digest } from "../../protocol/ids.ts";
import { readJson } from "../../protocol/json.ts";
import { MANIFEST_MAX_BYTES } from "../../protocol/limits.ts";
import { parseManifest } from "../../protocol/manifest.ts";
import { fragmentPath } from "../../protocol/plain-origin.ts";
import { swarmSections } from "../../protocol/swarm-order.ts";
import { proven, type PublishedBytes } from "./published-version.ts";

/** Hides the round trips to a distant coordinator. */
const PARALLEL_COUNT = 8;

export interface ExportedContent {
  readonly fragmentCount: number;
  /** Of all fragments, pages and patches included. */
  readonly wireBytes: number;
  /** Those that were not there before. */
  readonly writtenCount: number;
}

interface Part {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export interface ExportTo {
  readonly folder: string;
  readonly onProgress: (doneBytes: number, wireBytes: number) => void;
}

/** Throws FRAGMENT_MISMATCH where the coordinator's bytes are other ones. */
export async function exportContent(
  manifest: Digest,
  published: PublishedBytes,
  to: ExportTo,
  signal: AbortSignal,
): Promise<ExportedContent> {
  const parts = await partsOf(manifest, published, signal);
  const wireBytes = parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  let doneBytes = 0;
  let writtenCount = 0;
  const waiting = parts.values();
  const work = async (): Promise<void> => {
    for (const part of waiting) {
      signal.throwIfAborted();
      if (await written(part, published, to.folder, signal)) writtenCount++;
      doneBytes += part.sizeBytes;
      to.onProgress(doneBytes, wireBytes);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_COUNT }, work));
  return { fragmentCount: parts.length, wireBytes, writtenCount };
}

/** Pages and fragments of the content and of its patches, each once. */
async function partsOf(
  digest: Digest,
  published: PublishedBytes,
  signal: AbortSignal,
): Promise<readonly Part[]> {
  const bytes = proven(digest, await published.manifest(digest, signal));
  const { content } = parseManifest(readJson("the manifest", bytes, MANIFEST_MAX_BYTES));
  const parts = new Map<Digest, Part>();
  if (content === undefined) return [];
  for (const { fragmentPages, listPages } of swarmSections(content)) {
    for (const page of [...fragmentPages, ...listPages]) parts.set(page.digest, page);
    for (const page of fragmentPages) {
      const entries = proven(page.digest, await published.fragment(page.digest, signal));
      for (const { digest: fragment, wireBytes } of decodeFragmentPage(entries)) {
        parts.set(fragment, { digest: fragment, sizeBytes: wireBytes });
      }
    }
  }
  return [...parts.values()];
}

/** False where it is there already. A web server may be reading: a name appears with all of its bytes. */
async function written(
  { digest, sizeBytes }: Part,
  published: PublishedBytes,
  folder: string,
  signal: AbortSignal,
): Promise<boolean> {
  const place = path.join(folder, fragmentPath(digest));
  const there = await stat(place).catch(() => undefined);
  if (there?.size === sizeBytes) return false;
  const bytes = proven(digest, await published.fragment(digest, signal));
  await mkdir(path.dirname(place), { recursive: true });
  const temporary = `${place}.${randomUUID()}.tmp`;
  try {
    await writeFile(temporary, bytes, { flag: "wx" });
    await rename(temporary, place);
  } finally {
    await rm(temporary, { force: true });
  }
  return true;
}
