/**
 * The store in memory: the reference of the contract, for tests and trials.
 */
import type { Change, CommitOutcome, RangeQuery, Store, StoredValue } from "./store.ts";
import { decodeValue, encodeValue, refuseLongKey } from "./stored-bytes.ts";

export function openMemoryStore(): Store {
  const rows = new Map<string, Buffer>();
  const changes = new Map<string, number>();
  let head = 0;

  function read(key: string): StoredValue | undefined {
    const bytes = rows.get(key);
    return bytes === undefined ? undefined : decodeValue(key, bytes);
  }

  function commitNow(change: Change): CommitOutcome {
    const isCurrent = (change.check ?? []).every(({ key, rev }) => (read(key)?.rev ?? 0) === rev);
    if (!isCurrent) return { kind: "conflict" };
    const rev = head + 1;
    const encoded = (change.set ?? []).map(({ key, value }) => {
      refuseLongKey(key);
      return { key, bytes: encodeValue(key, value, rev) };
    });
    head = rev;
    for (const { key, bytes } of encoded) rows.set(key, bytes);
    for (const key of change.del ?? []) rows.delete(key);
    for (const key of [...encoded.map((row) => row.key), ...(change.del ?? [])]) {
      changes.delete(key);
      changes.set(key, rev);
    }
    return { kind: "committed", rev };
  }

  return {
    get: async (keys) => keys.map(read),
    range: async (query) =>
      orderedKeys(rows.keys(), query).flatMap((key) => {
        const row = read(key);
        return row === undefined ? [] : [row];
      }),
    commit: async (change) => commitNow(change),
    feed: async (cursor) => ({
      cursor: head,
      keys: [...changes].filter(([, rev]) => rev > cursor).map(([key]) => key),
    }),
    close: async () => undefined,
  };
}

/** Keys of a range in its direction, byte order, cut to its limit. */
export function orderedKeys(keys: Iterable<string>, query: RangeQuery): readonly string[] {
  const { gte, lt, after, reverse = false, limit = Number.POSITIVE_INFINITY } = query;
  const inside = [...keys].filter(
    (key) => isBefore(key, lt) && !isBefore(key, gte) && isPast(key, after, reverse),
  );
  inside.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  if (reverse) inside.reverse();
  return inside.slice(0, limit);
}

function isPast(key: string, after: string | undefined, reverse: boolean): boolean {
  if (after === undefined) return true;
  return reverse ? isBefore(key, after) : isBefore(after, key);
}

// LevelDB and databases with collation "C" order by UTF-8 bytes, not by UTF-16 units.
function isBefore(a: string, b: string): boolean {
  return Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0;
}
