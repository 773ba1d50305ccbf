/** Pages of a package's index: lists of fragments, files and patches, staged like any other fragment. */
import { encodeFragmentPage, type FragmentEntry } from "../../protocol/fragment-index.ts";
import { canonicalBytes } from "../../protocol/json.ts";
import { FILE_PAGE_MAX_BYTES, FRAGMENTS_PER_PAGE } from "../../protocol/limits.ts";
import type { PageRef } from "../../protocol/manifest.ts";
import type { FragmentWriter, StagedFragment } from "./fragment-writer.ts";

export async function fragmentPagesOf(
  fragments: readonly FragmentEntry[],
  writer: FragmentWriter,
): Promise<PageRef[]> {
  const pages: PageRef[] = [];
  for (let at = 0; at < fragments.length; at += FRAGMENTS_PER_PAGE) {
    const page = encodeFragmentPage(fragments.slice(at, at + FRAGMENTS_PER_PAGE));
    pages.push(pageRefOf(await writer.addPage(page)));
  }
  return pages;
}

/** Entries as compressed canonical JSON, at most `perPage` on each. */
export async function listPagesOf(
  entries: readonly unknown[],
  perPage: number,
  writer: FragmentWriter,
): Promise<PageRef[]> {
  const pages: PageRef[] = [];
  for (const page of cutPages(entries, perPage)) {
    const bytes = await writer.compressed(canonicalBytes(page));
    pages.push(pageRefOf(await writer.addPage(bytes)));
  }
  return pages;
}

// A page is bounded by count and by its unpacked size; few files with many extents fill one early.
function cutPages(entries: readonly unknown[], perPage: number): unknown[][] {
  const pages: unknown[][] = [];
  let page: unknown[] = [];
  let pageBytes = 2;
  for (const entry of entries) {
    const sizeBytes = canonicalBytes(entry).length + 1;
    if (page.length === perPage || pageBytes + sizeBytes > FILE_PAGE_MAX_BYTES) {
      pages.push(page);
      page = [];
      pageBytes = 2;
    }
    page.push(entry);
    pageBytes += sizeBytes;
  }
  pages.push(page);
  return pages;
}

function pageRefOf({ digest, sizeBytes }: StagedFragment): PageRef {
  return { digest, sizeBytes };
}
