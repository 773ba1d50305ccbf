/**
 * The fragments of a published package in swarm order (`swarm-order.ts`), those of its deltas included.
 */
import { decodeFragmentPage } from "../../protocol/fragment-index.ts";
import { DeployError } from "../../protocol/errors.ts";
import type { Digest } from "../../protocol/ids.ts";
import type { Content, Manifest } from "../../protocol/manifest.ts";
import { swarmSections, type SwarmSection } from "../../protocol/swarm-order.ts";
import type { FragmentFolder } from "./fragment-folder.ts";

export interface PackageContent {
  /** By swarm index. */
  readonly digests: readonly Digest[];
  /** The index that stands for a digest that occurs more than once. */
  readonly firstIndex: ReadonlyMap<Digest, number>;
}

const SUMS_DIFFER = "its sums differ from its fragment pages";

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

/** A fragment that occurs twice in a package crosses the line once: its first index stands for it. */
export function standingIndex(content: PackageContent, index: number): number {
  return content.firstIndex.get(digestAt(content, index)) ?? index;
}

/** Throws INPUT_INVALID for an index that the package does not have. */
export function digestAt({ digests }: PackageContent, index: number): Digest {
  const digest = digests[index];
  if (digest === undefined) {
    const expected = `an index below ${digests.length}`;
    throw new DeployError("INPUT_INVALID", { what: `fragment ${index}`, expected });
  }
  return digest;
}

/** Throws unless every fragment that the manifest names, pages included, is here with its size. */
export async function requireContent(folder: FragmentFolder, manifest: Manifest): Promise<void> {
  const { content } = manifest;
  if (content === undefined) return;
  const [main, ...deltas] = await sectionParts(folder, manifest, content);
  const missing = await missingOf(folder, [...(main ?? []), ...deltas.flat()]);
  if (missing.length > 0) throw missingError(manifest, missing.length);
  requireSum("the manifest", main ?? [], content.wireBytes);
  for (const [at, parts] of deltas.entries()) {
    requireSum("a delta of the manifest", parts, content.deltas?.[at]?.wireBytes ?? 0);
  }
}

function requireSum(what: string, parts: readonly Part[], wireBytes: number): void {
  if (parts.reduce((sum, part) => sum + part.wireBytes, 0) === wireBytes) return;
  throw new DeployError("DOCUMENT_INVALID", { what, problem: SUMS_DIFFER });
}

async function partsOf(folder: FragmentFolder, manifest: Manifest): Promise<readonly Part[]> {
  const { content } = manifest;
  return content === undefined ? [] : (await sectionParts(folder, manifest, content)).flat();
}

/** Pages and fragments of the content and of each delta, all in swarm order. */
async function sectionParts(
  folder: FragmentFolder,
  manifest: Manifest,
  content: Content,
): Promise<readonly (readonly Part[])[]> {
  const sections = swarmSections(content);
  const pages = sections.flatMap((section) => pagesOf(section));
  const missing = await missingOf(folder, pages);
  if (missing.length > 0) throw missingError(manifest, missing.length);
  const found: (readonly Part[])[] = [];
  for (const section of sections) {
    const fragments: Part[] = [];
    for (const { digest } of section.fragmentPages) {
      const bytes = await folder.bytes(digest);
      if (bytes === undefined) throw missingError(manifest, 1);
      for (const entry of decodeFragmentPage(bytes)) fragments.push(entry);
    }
    if (fragments.length !== section.fragmentCount) {
      throw new DeployError("DOCUMENT_INVALID", { what: "the manifest", problem: SUMS_DIFFER });
    }
    found.push([...pagesOf(section), ...fragments]);
  }
  return found;
}

function pagesOf({ fragmentPages, listPages }: SwarmSection): readonly Part[] {
  return [...fragmentPages, ...listPages].map(({ digest, sizeBytes }) => {
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
