/**
 * Digest and size of every fragment of a package by swarm index: pages at once, the fragments of a section
 * once its pages are there.
 */
import { Bitmap } from "../../protocol/bitmap.ts";
import { DeployError } from "../../protocol/errors.ts";
import { decodeFragmentPage } from "../../protocol/fragment-index.ts";
import type { Digest } from "../../protocol/ids.ts";
import type { Content } from "../../protocol/manifest.ts";
import { swarmSections, type SwarmSection } from "../../protocol/swarm-order.ts";

export class FragmentCatalog {
  /** Fragments of the package, those of its deltas included. */
  readonly count: number;
  private readonly contentCount: number;
  private readonly digests: (Digest | undefined)[];
  /** Wire bytes by swarm index; 0 where they are not known yet. */
  readonly sizes: Uint32Array;
  private readonly fragmentPages = new Set<number>();
  private awaited: readonly SwarmSection[];

  constructor(content: Content) {
    const sections = swarmSections(content);
    this.contentCount = sections[0].endIndex;
    this.count = sections.at(-1)?.endIndex ?? 0;
    this.digests = Array.from({ length: this.count }, () => undefined);
    this.sizes = new Uint32Array(this.count);
    this.awaited = sections.filter((section) => section.fragmentCount > 0);
    for (const section of sections) this.addPages(section);
  }

  /** Every fragment whose digest is known. */
  get known(): readonly { readonly index: number; readonly digest: Digest }[] {
    return this.digests.flatMap((digest, index) =>
      digest === undefined ? [] : [{ index, digest }],
    );
  }

  /** Sections whose fragments are not known yet. */
  get unloaded(): readonly SwarmSection[] {
    return this.awaited;
  }

  isFragmentPage(index: number): boolean {
    return this.fragmentPages.has(index);
  }

  digestOf(index: number): Digest | undefined {
    return this.digests[index];
  }

  sizeOf(index: number): number {
    return this.sizes[index] ?? 0;
  }

  /** Takes all fragment pages of a section in order. Throws DOCUMENT_INVALID where they do not fit the manifest. */
  load(section: SwarmSection, pages: readonly Buffer[]): void {
    const entries = pages.flatMap((page) => [...decodeFragmentPage(page)]);
    if (entries.length !== section.fragmentCount) {
      const problem = `it lists ${entries.length} fragments, the manifest ${section.fragmentCount}`;
      throw new DeployError("DOCUMENT_INVALID", { what: "the fragment index", problem });
    }
    entries.forEach(({ digest, wireBytes }, at) => {
      this.digests[section.fragmentIndex + at] = digest;
      this.sizes[section.fragmentIndex + at] = wireBytes;
    });
    this.awaited = this.awaited.filter((other) => other !== section);
  }

  /** What an endpoint needs that has nothing yet: everything but the deltas. */
  allContent(): Bitmap {
    const all = new Bitmap(this.count);
    for (let index = 0; index < this.contentCount; index++) all.add(index);
    return all;
  }

  private addPages({ startIndex, fragmentPages, listPages }: SwarmSection): void {
    [...fragmentPages, ...listPages].forEach(({ digest, sizeBytes }, at) => {
      this.digests[startIndex + at] = digest;
      this.sizes[startIndex + at] = sizeBytes;
      if (at < fragmentPages.length) this.fragmentPages.add(startIndex + at);
    });
  }
}
