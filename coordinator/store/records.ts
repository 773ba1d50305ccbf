/**
 * The coordinator's records in memory, kept equal to the store: reads cost nothing, every change is one
 * checked commit. One coordinator owns its store, so nothing changes behind this file's back.
 */
import { DeployError } from "../../protocol/errors.ts";
import { afterPrefix, type Store } from "./store.ts";
import { TABLES, type Table } from "./tables.ts";

interface Rows {
  readonly byId: Map<string, Cached>;
  /** Ids of the records below one another, by their part before the slash. */
  readonly groups: Map<string, Set<string>>;
  /** Of the whole table at "", of its groups at their names. */
  readonly revisions: Map<string, number>;
  readonly watchers: ((id: string, isThere: boolean) => void)[];
}

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
  count<T>(table: Table<T>): number;
  /** Pairs of id and record of one group: the ids up to their first slash, or all for "". */
  below<T>(table: Table<T>, group: string): readonly (readonly [string, T])[];
  /** A number that changes with every change of the table, or of one group of it. */
  revision<T>(table: Table<T>, group?: string): number;
  /** Calls for every record that is there now, and for each that is set or removed later. */
  watch<T>(table: Table<T>, changed: (id: string, isThere: boolean) => void): void;
  /**
   * Decides on the records as they are and commits; decides again where another change came between.
   * Resolves when the change is durable.
   */
  change<R>(decide: Decide<R>): Promise<R>;
}

type Decide<R> = () => { readonly changes: readonly RecordChange[]; readonly result: R };

const ATTEMPT_LIMIT = 20;

export function setRecord<T>(table: Table<T>, id: string, value: T | undefined): RecordChange {
  return { key: table.prefix + id, value };
}

export async function openRecords(store: Store): Promise<Records> {
  const tables = new Map<string, Rows>();
  for (const known of Object.values(TABLES)) {
    const { prefix, parse } = known;
    const rows = await store.range({ gte: prefix, lt: afterPrefix(prefix) });
    const table: Rows = { byId: new Map(), groups: new Map(), revisions: new Map(), watchers: [] };
    for (const { key, value, rev } of rows) {
      setRow(table, key.slice(prefix.length), { value: parse(value), rev });
    }
    tables.set(prefix, table);
  }
  return recordsOf(store, tables);
}

function setRow(rows: Rows, id: string, row: Cached | undefined): void {
  const group = id.slice(0, Math.max(id.indexOf("/"), 0));
  const ids = rows.groups.get(group) ?? new Set();
  if (row === undefined) {
    rows.byId.delete(id);
    ids.delete(id);
  } else {
    rows.byId.set(id, row);
    if (group !== "") rows.groups.set(group, ids.add(id));
  }
  for (const name of new Set(["", group])) {
    rows.revisions.set(name, (rows.revisions.get(name) ?? 0) + 1);
  }
  for (const changed of rows.watchers) changed(id, row !== undefined);
}

type Tables = ReadonlyMap<string, Rows>;

function recordsOf(store: Store, tables: Tables): Records {
  return { ...readsOf(tables), change: changer(store, tables) };
}

function readsOf(tables: Tables): Omit<Records, "change"> {
  return {
    get: ({ prefix, parse }, id) => {
      const found = tables.get(prefix)?.byId.get(id);
      return found === undefined ? undefined : parse(found.value);
    },
    all: ({ prefix, parse }) =>
      [...(tables.get(prefix)?.byId.values() ?? [])].map(({ value }) => parse(value)),
    count: ({ prefix }) => tables.get(prefix)?.byId.size ?? 0,
    below: ({ prefix, parse }, group) => {
      const rows = tables.get(prefix);
      const ids = group === "" ? rows?.byId.keys() : rows?.groups.get(group);
      return [...(ids ?? [])].flatMap((id) => {
        const row = rows?.byId.get(id);
        return row === undefined ? [] : [[id, parse(row.value)] as const];
      });
    },
    revision: ({ prefix }, group = "") => tables.get(prefix)?.revisions.get(group) ?? 0,
    watch: ({ prefix }, changed) => {
      const rows = tables.get(prefix);
      for (const id of rows?.byId.keys() ?? []) changed(id, true);
      rows?.watchers.push(changed);
    },
  };
}

function changer(store: Store, tables: Tables): Records["change"] {
  const inFlight = new Set<Promise<unknown>>();
  const inLine = waitingLine();

  function placeOf(key: string): { rows: Rows; id: string } {
    const slash = key.indexOf("/") + 1;
    const rows = tables.get(key.slice(0, slash));
    if (rows === undefined) throw new DeployError("STORE_DAMAGED", { key, problem: "no table" });
    return { rows, id: key.slice(slash) };
  }

  async function commit(changes: readonly RecordChange[]): Promise<boolean> {
    const places = changes.map(({ key, value }) => ({ key, value, ...placeOf(key) }));
    const outcome = await store.commit({
      check: places.map(({ key, rows, id }) => ({ key, rev: rows.byId.get(id)?.rev ?? 0 })),
      set: places.filter(({ value }) => value !== undefined),
      del: places.filter(({ value }) => value === undefined).map(({ key }) => key),
    });
    if (outcome.kind === "conflict") return false;
    for (const { rows, id, value } of places) {
      setRow(rows, id, value === undefined ? undefined : { value, rev: outcome.rev });
    }
    return true;
  }

  /** Undefined where another change came between. */
  async function tried<R>(decide: Decide<R>): Promise<{ readonly result: R } | undefined> {
    const { changes, result } = decide();
    if (changes.length === 0) return { result };
    const committing = commit(changes);
    inFlight.add(committing);
    try {
      return (await committing) ? { result } : undefined;
    } finally {
      inFlight.delete(committing);
    }
  }

  return async (decide) => {
    const first = await tried(decide);
    if (first !== undefined) return first.result;
    return inLine(
      async () => tried(decide),
      async () => Promise.allSettled(inFlight),
    );
  };
}

type Attempt<R> = () => Promise<{ readonly result: R } | undefined>;

/**
 * Who lost a race tries again in turn: of many that change the same record at once each has its turn.
 * `settle` resolves when the changes that came between are in memory.
 */
function waitingLine(): <R>(attempt: Attempt<R>, settle: () => Promise<unknown>) => Promise<R> {
  let line: Promise<unknown> = Promise.resolve();
  return async (attempt, settle) => {
    const turn = line.then(async () => {
      for (let count = 1; count < ATTEMPT_LIMIT; count++) {
        await settle();
        const done = await attempt();
        if (done !== undefined) return done.result;
      }
      throw new DeployError("STORE_CONFLICT", { what: "the same records" });
    });
    // The next one waits for this one's end, whatever that is.
    line = Promise.allSettled([turn]);
    return turn;
  };
}
