/**
 * The coordinator's records in memory, kept equal to the store: reads cost nothing, every change is one
 * checked commit. One coordinator owns its store, so nothing changes behind this file's back.
 */
import { DeployError } from "../../protocol/errors.ts";
import { afterPrefix, type Store } from "./store.ts";
import { TABLES, type Table } from "./tables.ts";

interface Cached {
  readonly value: unknown;
  readonly rev: number;
}

/** One record to be set, or removed where `value` is undefined. */
export interface RecordChange {
  readonly key: string;
  readonly value: unknown;
}

export interface Records {
  get<T>(table: Table<T>, id: string): T | undefined;
  all<T>(table: Table<T>): readonly T[];
  /** Pairs of id and record whose id begins with `prefix`. */
  below<T>(table: Table<T>, prefix: string): readonly (readonly [string, T])[];
  /**
   * Decides on the records as they are and commits; decides again where another change came between.
   * Resolves when the change is durable.
   */
  change<R>(
    decide: () => { readonly changes: readonly RecordChange[]; readonly result: R },
  ): Promise<R>;
}

const ATTEMPT_LIMIT = 20;

export function setRecord<T>(table: Table<T>, id: string, value: T | undefined): RecordChange {
  return { key: table.prefix + id, value };
}

export async function openRecords(store: Store): Promise<Records> {
  const tables = new Map<string, Map<string, Cached>>();
  for (const known of Object.values(TABLES)) {
    const { prefix, parse } = known;
    const rows = await store.range({ gte: prefix, lt: afterPrefix(prefix) });
    const entries = rows.map(({ key, value, rev }) => {
      return [key.slice(prefix.length), { value: parse(value), rev }] as const;
    });
    tables.set(prefix, new Map(entries));
  }
  return recordsOf(store, tables);
}

function recordsOf(store: Store, tables: ReadonlyMap<string, Map<string, Cached>>): Records {
  const inFlight = new Set<Promise<unknown>>();

  function placeOf(key: string): { rows: Map<string, Cached>; id: string } {
    const slash = key.indexOf("/") + 1;
    const rows = tables.get(key.slice(0, slash));
    if (rows === undefined) throw new DeployError("STORE_DAMAGED", { key, problem: "no table" });
    return { rows, id: key.slice(slash) };
  }

  async function commit(changes: readonly RecordChange[]): Promise<boolean> {
    const places = changes.map(({ key, value }) => ({ key, value, ...placeOf(key) }));
    const outcome = await store.commit({
      check: places.map(({ key, rows, id }) => ({ key, rev: rows.get(id)?.rev ?? 0 })),
      set: places.filter(({ value }) => value !== undefined),
      del: places.filter(({ value }) => value === undefined).map(({ key }) => key),
    });
    if (outcome.kind === "conflict") return false;
    for (const { rows, id, value } of places) {
      if (value === undefined) rows.delete(id);
      else rows.set(id, { value, rev: outcome.rev });
    }
    return true;
  }

  return {
    get: ({ prefix, parse }, id) => {
      const found = tables.get(prefix)?.get(id);
      return found === undefined ? undefined : parse(found.value);
    },
    all: ({ prefix, parse }) =>
      [...(tables.get(prefix)?.values() ?? [])].map(({ value }) => parse(value)),
    below: ({ prefix, parse }, start) =>
      [...(tables.get(prefix) ?? [])].flatMap(([id, { value }]) =>
        id.startsWith(start) ? [[id, parse(value)] as const] : [],
      ),
    change: async (decide) => {
      for (let attempt = 0; attempt < ATTEMPT_LIMIT; attempt++) {
        const { changes, result } = decide();
        if (changes.length === 0) return result;
        const committing = commit(changes);
        inFlight.add(committing);
        try {
          if (await committing) return result;
        } finally {
          inFlight.delete(committing);
        }
        // Another change is on its way to the disk: its record is in memory once it is there.
        await Promise.allSettled(inFlight);
      }
      throw new DeployError("STORE_CONFLICT", { what: "the same records" });
    },
  };
}
