/**
 * Where every fragment of a package stands in the exchange: its swarm index. The content comes first, then
 * each set of deltas; each section has its fragment pages, its other pages, then its fragments.
 */
import type { Content, PageRef } from "./manifest.ts";

/** A run of swarm indices that belong together. */
export interface SwarmSection {
  /** Swarm index of the first page. */
  readonly startIndex: number;
  readonly fragmentPages: readonly PageRef[];
  /** File list or delta list. */
  readonly listPages: readonly PageRef[];
  /** Swarm index of the first fragment behind the pages. */
  readonly fragmentIndex: number;
  readonly fragmentCount: number;
  /** Behind the last fragment. */
  readonly endIndex: number;
}

/** The content itself, then its deltas in the order of the manifest. */
export function swarmSections(content: Content): readonly [SwarmSection, ...SwarmSection[]] {
  const main = sectionAt(0, content.fragmentPages, content.filePages, content.fragmentCount);
  const deltas: SwarmSection[] = [];
  let { endIndex } = main;
  for (const { fragmentPages, listPages, fragmentCount } of content.deltas ?? []) {
    const section = sectionAt(endIndex, fragmentPages, listPages, fragmentCount);
    deltas.push(section);
    endIndex = section.endIndex;
  }
  return [main, ...deltas];
}

function sectionAt(
  startIndex: number,
  fragmentPages: readonly PageRef[],
  listPages: readonly PageRef[],
  fragmentCount: number,
): SwarmSection {
  const fragmentIndex = startIndex + fragmentPages.length + listPages.length;
  const endIndex = fragmentIndex + fragmentCount;
  return { startIndex, fragmentPages, listPages, fragmentIndex, fragmentCount, endIndex };
}
