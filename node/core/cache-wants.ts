/** Which content the instructions in force still need, and which is to stay (ZEN-17). */
import type { Instruction } from "../../protocol/directive.ts";
import type { Digest } from "../../protocol/ids.ts";
import { isExhausted, NO_ATTEMPTS, wishKey } from "./attempts.ts";
import type { JournalState } from "./journal-state.ts";

/** Content that must not be evicted. */
export interface CacheWant {
  readonly manifestDigest: Digest;
  /** Stays for good: replicated for the site, or cached on request. */
  readonly isPinned: boolean;
}

export interface Instructed {
  readonly manifestDigest: Digest;
  readonly instruction: Pick<Instruction, "job" | "revision" | "purpose" | "attemptLimit">;
}

export function cacheWants(
  instructed: readonly Instructed[],
  { records, open }: Pick<JournalState, "records" | "open">,
): readonly CacheWant[] {
  const wants: CacheWant[] = [];
  for (const { manifestDigest, instruction } of instructed) {
    const isPinned = instruction.purpose !== "perform";
    const record = records.get(wishKey(instruction)) ?? NO_ATTEMPTS;
    // What ended for good needs its content no more; the site's neighbours may have it for a while.
    const isOver =
      record.isDone || record.end !== undefined || isExhausted(record, instruction.attemptLimit);
    if (isPinned || !isOver) wants.push({ manifestDigest, isPinned });
  }
  // Its instruction may have been withdrawn while it runs.
  if (open !== undefined) {
    wants.push({ manifestDigest: open.manifestDigest, isPinned: false });
  }
  return wants;
}
