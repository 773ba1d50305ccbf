/**
 * Which source each file of a package comes from: what this node has, a patch against what it has, or
 * fragments. The cheapest way for the site's line; every way ends in the same bytes. Pure.
 */
import type { Digest } from "../../protocol/ids.ts";
import { DELTA_SAVING_MIN } from "../../protocol/limits.ts";

/** A file that cannot be made of fragments that are here. */
export interface OpenFile {
  /** In the file list. */
  readonly place: number;
  readonly sha256: Digest;
  /** Content fragments that it needs and that are not here. */
  readonly missing: readonly number[];
}

/** A patch whose old files are here and proven. */
export interface PatchOffer {
  /** In the delta list. */
  readonly entry: number;
  /** Places in the file list. */
  readonly files: readonly number[];
  /** Small files share fragments: such patches save something together or not at all. */
  readonly isGroup: boolean;
  /** Fragments of the delta set that hold it. */
  readonly fragments: readonly number[];
  /** Bytes to fetch for it alone; less where neighbours have them. */
  readonly cost: number;
}

export interface SourceInput {
  readonly files: readonly OpenFile[];
  /** Whole files that are here and proven. */
  readonly localFiles: ReadonlySet<Digest>;
  readonly patches: readonly PatchOffer[];
  /** Bytes to fetch for a content fragment; less where neighbours have it. */
  readonly costOf: (fragment: number) => number;
}

export interface SourceChoice {
  /** Places of files that are copied from this machine. */
  readonly copies: ReadonlySet<number>;
  /** Entries of the delta list that are used. */
  readonly patches: readonly number[];
  /** Content fragments to fetch. */
  readonly fragments: ReadonlySet<number>;
  /** Fragments of the delta set to fetch, or to have. */
  readonly patchFragments: ReadonlySet<number>;
}

export function chooseSources(input: SourceInput): SourceChoice {
  const copies = new Set(
    input.files.flatMap(({ sha256, place }) => (input.localFiles.has(sha256) ? [place] : [])),
  );
  const open = new Map(
    input.files.filter(({ place }) => !copies.has(place)).map((file) => [file.place, file]),
  );
  const useful = input.patches.filter(({ files }) => files.some((place) => open.has(place)));
  const single = useful.filter(
    (patch) => !patch.isGroup && isWorth(patch.cost, savingOf([patch], open, input)),
  );
  for (const { files } of single) for (const place of files) open.delete(place);
  const groups = useful.filter(({ isGroup }) => isGroup);
  const groupCost = groups.reduce((sum, { cost }) => sum + cost, 0);
  const used = isWorth(groupCost, savingOf(groups, open, input)) ? [...single, ...groups] : single;
  for (const { files } of used) for (const place of files) open.delete(place);
  return {
    copies,
    patches: used.map(({ entry }) => entry),
    fragments: new Set([...open.values()].flatMap(({ missing }) => missing)),
    patchFragments: new Set(used.flatMap(({ fragments }) => fragments)),
  };
}

/** What need not be fetched when these patches are used: fragments that no other open file needs. */
function savingOf(
  patches: readonly PatchOffer[],
  open: ReadonlyMap<number, OpenFile>,
  { costOf }: SourceInput,
): number {
  const patched = new Set(patches.flatMap(({ files }) => files));
  const saved = new Set<number>();
  const needed = new Set<number>();
  for (const { place, missing } of open.values()) {
    for (const fragment of missing) (patched.has(place) ? saved : needed).add(fragment);
  }
  let bytes = 0;
  for (const fragment of saved) if (!needed.has(fragment)) bytes += costOf(fragment);
  return bytes;
}

function isWorth(cost: number, saving: number): boolean {
  return saving > 0 && cost <= saving * (1 - DELTA_SAVING_MIN);
}
