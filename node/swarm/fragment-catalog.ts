/** Digest and size of every fragment of a package by swarm index: pages at once, content once they are there. */
import { DeployError } from "../../protocol/errors.ts";
import { decodeFragmentPage } from "../../protocol/fragment-index.ts";
import type { Digest } from "../../protocol/ids.ts";
import type { Content } from "../../protocol/manifest.ts";

export class FragmentCatalog {
  /** Fragments of the package: pages first, then content. */
  readonly count: number;
  readonly pageCount: number;
  private readonly fragmentPageCount: number;
  private readonly fragmentCount: number;
  private readonly digests: Digest[] = [];
  private readonly sizes: number[] = [];

  constructor(content: Content) {
    this.fragmentCount = content.fragmentCount;
    this.fragmentPageCount = content.fragmentPages.length;
    for (const page of [...content.fragmentPages, ...content.filePages]) {
      this.digests.push(page.digest);
      this.sizes.push(page.sizeBytes);
    }
    this.pageCount = this.digests.length;
    this.count = this.pageCount + content.fragmentCount;
  }

  get isLoaded(): boolean {
    return this.digests.length === this.count;
  }

  /** Swarm indices of the fragment pages: what must be there before `load`. */
  get fragmentPageIndices(): readonly number[] {
    return Array.from({ length: this.fragmentPageCount }, (_none, index) => index);
  }

  digestOf(index: number): Digest | undefined {
    return this.digests[index];
  }

  sizeOf(index: number): number {
    return this.sizes[index] ?? 0;
  }

  /** Takes all fragment pages in order. Throws DOCUMENT_INVALID where they do not fit the manifest. */
  load(pages: readonly Buffer[]): void {
    const entries = pages.flatMap((page) => [...decodeFragmentPage(page)]);
    if (entries.length !== this.fragmentCount) {
      const problem = `it lists ${entries.length} fragments, the manifest ${this.fragmentCount}`;
      throw new DeployError("DOCUMENT_INVALID", { what: "the fragment index", problem });
    }
    for (const entry of entries) {
      this.digests.push(entry.digest);
      this.sizes.push(entry.wireBytes);
    }
  }
}
