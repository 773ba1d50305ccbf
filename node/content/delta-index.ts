/** One delta set, decoded from its pages and held against the two file lists that it names. */
import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import { parseDeltaPage, type DeltaEntry } from "../../protocol/delta-list.ts";
import { DeployError } from "../../protocol/errors.ts";
import { decodeFragmentPage, type FragmentEntry } from "../../protocol/fragment-index.ts";
import { readJson } from "../../protocol/json.ts";
import { DELTA_FILE_MAX_BYTES, FILE_PAGE_MAX_BYTES } from "../../protocol/limits.ts";
import type { DeltaSet } from "../../protocol/manifest.ts";
import {
  heldFragment,
  streamOffsets,
  type ContentIndex,
  type PageSource,
} from "./content-index.ts";
import type { FragmentStream } from "./raw-stream.ts";

const unpack = promisify(zstdDecompress);

export interface DeltaIndex extends FragmentStream {
  readonly entries: readonly DeltaEntry[];
}

/** Throws FRAGMENT_MISSING, DOCUMENT_INVALID, or CONTENT_INVALID where the set names what is not there. */
export async function readDeltaIndex(
  set: DeltaSet,
  base: ContentIndex,
  next: ContentIndex,
  pages: PageSource,
): Promise<DeltaIndex> {
  const fragments: FragmentEntry[] = [];
  for (const page of set.fragmentPages) {
    fragments.push(...decodeFragmentPage(await heldFragment(page.digest, pages)));
  }
  const offsetsBytes = streamOffsets(fragments);
  const entries: DeltaEntry[] = [];
  for (const page of set.listPages) {
    const bytes = await unpack(await heldFragment(page.digest, pages), {
      maxOutputLength: FILE_PAGE_MAX_BYTES,
    });
    const what = "a page of the delta list";
    entries.push(...parseDeltaPage(readJson(what, bytes, FILE_PAGE_MAX_BYTES)));
  }
  const streamBytes = offsetsBytes.at(-1) ?? 0;
  const isSound = entries.every((entry) => {
    const isInside = entry.extents.every(
      ([at, length]) => length > 0 && at + length <= streamBytes,
    );
    // trust P3: what is unpacked, and what lies in memory for it, has a bound before it begins.
    const isBounded =
      totalBytes(base, entry.bases) <= DELTA_FILE_MAX_BYTES &&
      totalBytes(next, entry.files) <= DELTA_FILE_MAX_BYTES;
    return isInside && isBounded;
  });
  if (isSound && fragments.length === set.fragmentCount)
    return { fragments, offsetsBytes, entries };
  const problem = `its patches from ${set.base.version} do not fit`;
  throw new DeployError("CONTENT_INVALID", { package: "the package", problem });
}

/** Of the files at these places; infinite where one is none. */
export function totalBytes({ files }: ContentIndex, places: readonly number[]): number {
  return places.reduce((sum, place) => {
    const file = files[place];
    return sum + (file?.kind === "file" ? file.sizeBytes : Number.POSITIVE_INFINITY);
  }, 0);
}
