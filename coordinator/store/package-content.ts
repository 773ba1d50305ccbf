/**
 * The fragments of a published package in swarm order: fragment pages, file pages, content fragments.
 */
import { decodeFragmentPage } from "../../protocol/fragment-index.ts";
import { DeployError } from "../../protocol/errors.ts";
import type { Digest } from "../../protocol/ids.ts";
import type { Content, Manifest } from "../../protocol/manifest.ts";
import type { FragmentFolder } from "./fragment-folder.ts";

export interface PackageContent {
  /** By swarm index. */
  readonly digests: readonly Digest[];
  /** The index that stands for a digest that occurs more than once. */
  readonly firstIndex: ReadonlyMap<Digest, number>;
}

interface Part {
  readonly digest: Digest;
  readonly wireBytes: number;
}

/** Reads the pages; throws FRAGMENTS_MISSING where a page is not there. */
export async function readContent(
  folder: FragmentFolder,
  manifest: Manifest,
): Promise<PackageContent> {
  const digests = (await partsOf(folder, manifest)).map(({ digest }) => digest);
  const firstIndex = new Map<Digest, number>();
  digests.forEach((digest, index) => {
    if (!firstIndex.has(digest)) firstIndex.set(digest, index);
  });
  return { digests, firstIndex };
}

/** Throws unless every fragment that the manifest names, pages included, is here with its size. */
export async function requireContent(folder: FragmentFolder, manifest: Manifest): Promise<void> {
  const { content } = manifest;
  if (content === undefined) return;
  const parts = await partsOf(folder, manifest);
  const missing = await missingOf(folder, parts);
  if (missing.length > 0) throw missingError(manifest, missing.length);
  const fragmentCount = parts.length - content.fragmentPages.length - content.filePages.length;
  const wireBytes = parts.reduce((sum, part) => sum + part.wireBytes, 0);
  if (fragmentCount !== content.fragmentCount || wireBytes !== content.wireBytes) {
    throw new DeployError("DOCUMENT_INVALID", {
      what: "the manifest",
      problem: "its sums differ from its fragment pages",
    });
  }
}

async function partsOf(folder: FragmentFolder, manifest: Manifest): Promise<readonly Part[]> {
  const { content } = manifest;
  if (content === undefined) return [];
  const pages = pagesOf(content);
  const missing = await missingOf(folder, pages);
  if (missing.length > 0) throw missingError(manifest, missing.length);
  const fragments: Part[] = [];
  for (const { digest } of content.fragmentPages) {
    const bytes = await folder.bytes(digest);
    if (bytes === undefined) throw missingError(manifest, 1);
    for (const entry of decodeFragmentPage(bytes)) fragments.push(entry);
  }
  return [...pages, ...fragments];
}

function pagesOf({ fragmentPages, filePages }: Content): readonly Part[] {
  return [...fragmentPages, ...filePages].map(({ digest, sizeBytes }) => {
    return { digest, wireBytes: sizeBytes };
  });
}

async function missingOf(folder: FragmentFolder, parts: readonly Part[]): Promise<readonly Part[]> {
  const sizes = new Map<Digest, number | undefined>();
  for (const { digest } of parts) {
    if (!sizes.has(digest)) sizes.set(digest, await folder.size(digest));
  }
  return parts.filter(({ digest, wireBytes }) => sizes.get(digest) !== wireBytes);
}

function missingError({ name, version }: Manifest, count: number): DeployError {
  return new DeployError("FRAGMENTS_MISSING", { count, package: `${name}@${version}` });
}
