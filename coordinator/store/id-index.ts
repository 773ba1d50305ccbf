/** Ids of one table by a part of them, kept up with every change: lists that the table's own groups lack. */
import type { Records } from "./records.ts";
import type { Table } from "./tables.ts";

export interface IdIndex {
  /** Ids below this part; the caller does not keep the set. */
  at(part: string): ReadonlySet<string>;
}

const NONE: ReadonlySet<string> = new Set();

export function openIdIndex<T>(
  records: Records,
  table: Table<T>,
  partOf: (id: string) => string,
): IdIndex {
  const known = new Map<string, Set<string>>();
  records.watch(table, (id, isThere) => {
    const part = partOf(id);
    const ids = known.get(part) ?? new Set();
    if (isThere) known.set(part, ids.add(id));
    else ids.delete(id);
    if (ids.size === 0) known.delete(part);
  });
  return { at: (part) => known.get(part) ?? NONE };
}
