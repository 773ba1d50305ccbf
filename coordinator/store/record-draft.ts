/**
 * Records as they would be after changes that are not committed yet, so that several objects of one call
 * can name one another, be checked together, and be shown without being made.
 */
import type { RecordChange, Records } from "./records.ts";
import type { Table } from "./tables.ts";

export interface RecordDraft {
  get<T>(table: Table<T>, id: string): T | undefined;
  all<T>(table: Table<T>): readonly T[];
  set<T>(table: Table<T>, id: string, value: T | undefined): void;
  /** Ids of a table that are set or removed here. */
  touched(table: Table<unknown>): readonly string[];
  changes(): readonly RecordChange[];
}

const NOTHING: ReadonlyMap<string, unknown> = new Map();

export function openDraft(records: Records): RecordDraft {
  const pending = new Map<string, Map<string, unknown>>();
  const pendingIn = ({ prefix }: Table<unknown>) => pending.get(prefix) ?? NOTHING;

  function get<T>(table: Table<T>, id: string): T | undefined {
    const own = pendingIn(table);
    if (!own.has(id)) return records.get(table, id);
    const value = own.get(id);
    return value === undefined ? undefined : table.parse(value);
  }

  return {
    get,
    touched: (table) => [...pendingIn(table).keys()],
    all: (table) => {
      const ids = [...pendingIn(table).keys()];
      if (ids.length === 0) return records.all(table);
      const gone = new Set(ids.map((id) => records.get(table, id)));
      const kept = records.all(table).filter((value) => !gone.has(value));
      return [...kept, ...ids.flatMap((id) => get(table, id) ?? [])];
    },
    set: ({ prefix }, id, value) => {
      pending.set(prefix, (pending.get(prefix) ?? new Map<string, unknown>()).set(id, value));
    },
    changes: () =>
      [...pending].flatMap(([prefix, own]) =>
        [...own].map(([id, value]) => ({ key: prefix + id, value })),
      ),
  };
}
