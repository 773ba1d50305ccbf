/**
 * The store in LevelDB. Checks and the overlay write are one synchronous step; then commits that arrived
 * together go to the disk in one synced batch. Rows: `d!<key>` values, `f!<rev>!<key>` the feed, `c!<n>`
 * one row per batch: a gap in them shows that the engine lost an acknowledged batch.
 */
import { Level } from "level";
import { DeployError } from "../../protocol/errors.ts";
import { orderedKeys } from "./memory-store.ts";
import type { Change, CommitOutcome, FeedPage, RangeQuery, Store, StoredValue } from "./store.ts";
import { damaged, decodeValue, encodeValue, refuseLongKey } from "./stored-bytes.ts";

type Database = Level<string, Buffer>;
type Row = { readonly bytes: Buffer | undefined; readonly rev: number };
interface Waiting {
  readonly rows: ReadonlyMap<string, Row>;
  readonly feedDrops: readonly string[];
  readonly resolve: (outcome: CommitOutcome) => void;
  readonly reject: (reason: DeployError) => void;
  readonly rev: number;
}

// A write buffer of LevelDB (4 MB) holds fewer batches than this, so every batch that is only in the
// log is still in the chain.
const CHAIN_LENGTH = 20_000;

/** Opens or makes the store. Throws STORE_LOCKED, STORE_DAMAGED or STORE_FAILED. */
export async function openLevelStore(folder: string): Promise<Store> {
  const database: Database = new Level(folder, {
    keyEncoding: "utf8",
    valueEncoding: "buffer",
  });
  try {
    await database.open();
  } catch (cause) {
    if (hasCode(cause, "LEVEL_LOCKED"))
      throw new DeployError("STORE_LOCKED", { folder }, { cause });
    throw storeFailed(folder, cause);
  }
  try {
    return levelStore(folder, database, await chainEnd(database), await newestRev(database));
  } catch (cause) {
    await database.close();
    throw cause;
  }
}

function levelStore(folder: string, database: Database, chain: number, newest: number): Store {
  const overlay = new Map<string, Row>();
  const writer = batchWriter(folder, database, overlay, chain);
  let head = newest;

  function readBytes(key: string): Buffer | undefined {
    const row = overlay.get(key);
    return row === undefined ? database.getSync(dataKey(key)) : row.bytes;
  }

  function read(key: string): StoredValue | undefined {
    const bytes = readBytes(key);
    return bytes === undefined ? undefined : decodeValue(key, bytes);
  }

  // No `await` in here: between a check and its overlay write no other commit may look.
  function stage(change: Change): Omit<Waiting, "resolve" | "reject"> | undefined {
    const isCurrent = (change.check ?? []).every(({ key, rev }) => (read(key)?.rev ?? 0) === rev);
    if (!isCurrent) return undefined;
    const rev = head + 1;
    const rows = new Map<string, Row>();
    for (const { key, value } of change.set ?? []) {
      refuseLongKey(key);
      rows.set(key, { bytes: encodeValue(key, value, rev), rev });
    }
    for (const key of change.del ?? []) rows.set(key, { bytes: undefined, rev });
    const feedDrops = [...rows.keys()].flatMap((key) => {
      const old = overlay.get(key)?.rev ?? read(key)?.rev;
      return old === undefined ? [] : [feedKey(old, key)];
    });
    head = rev;
    for (const [key, row] of rows) overlay.set(key, row);
    return { rows, feedDrops, rev };
  }

  return {
    get: async (keys) => keys.map(read),
    range: async (query) => rangeOf(database, overlay, query),
    commit: async (change) => {
      const staged = writer.refuseIfBroken() ?? stage(change);
      return staged === undefined ? { kind: "conflict" } : writer.write(staged);
    },
    feed: async (cursor) => {
      await writer.settled();
      return feedPage(database, cursor);
    },
    close: async () => {
      await writer.settled();
      await database.close();
    },
  };
}

interface BatchWriter {
  refuseIfBroken(): undefined;
  write(staged: Omit<Waiting, "resolve" | "reject">): Promise<CommitOutcome>;
  settled(): Promise<void>;
}

function batchWriter(
  folder: string,
  database: Database,
  overlay: Map<string, Row>,
  chain: number,
): BatchWriter {
  const queue: Waiting[] = [];
  let sequence = chain;
  let running: Promise<void> | undefined;
  let broken: DeployError | undefined;

  async function flush(batch: readonly Waiting[]): Promise<void> {
    sequence++;
    try {
      await database.batch([...batchRows(batch), ...chainRows(sequence)], { sync: true });
    } catch (cause) {
      // After a failed fsync the pages may be gone although the kernel calls them clean: never retry.
      broken = storeFailed(folder, cause);
      for (const waiting of batch) waiting.reject(broken);
      return;
    }
    for (const waiting of batch) {
      for (const [key, row] of waiting.rows) if (overlay.get(key) === row) overlay.delete(key);
      waiting.resolve({ kind: "committed", rev: waiting.rev });
    }
  }

  async function drain(): Promise<void> {
    await Promise.resolve();
    while (queue.length > 0) {
      const batch = queue.splice(0);
      if (broken === undefined) await flush(batch);
      else for (const waiting of batch) waiting.reject(broken);
    }
    running = undefined;
  }

  return {
    refuseIfBroken: () => {
      if (broken !== undefined) throw broken;
      return undefined;
    },
    write: async (staged) => {
      const { promise, resolve, reject } = Promise.withResolvers<CommitOutcome>();
      queue.push({ ...staged, resolve, reject });
      running ??= drain();
      return promise;
    },
    settled: async () => running,
  };
}

type Operation = { type: "put"; key: string; value: Buffer } | { type: "del"; key: string };
const EMPTY = Buffer.alloc(0);

function batchRows(batch: readonly Waiting[]): readonly Operation[] {
  return batch.flatMap(({ rows, feedDrops }): Operation[] => [
    ...feedDrops.map((key) => ({ type: "del" as const, key })),
    ...[...rows].flatMap(([key, row]): Operation[] => [
      row.bytes === undefined
        ? { type: "del", key: dataKey(key) }
        : { type: "put", key: dataKey(key), value: row.bytes },
      { type: "put", key: feedKey(row.rev, key), value: EMPTY },
    ]),
  ]);
}

function chainRows(sequence: number): readonly Operation[] {
  const added: Operation = { type: "put", key: chainKey(sequence), value: EMPTY };
  if (sequence <= CHAIN_LENGTH) return [added];
  return [added, { type: "del", key: chainKey(sequence - CHAIN_LENGTH) }];
}

async function chainEnd(database: Database): Promise<number> {
  const keys = await database.keys({ gte: "c!", lt: "c\u0022" }).all();
  const numbers = keys.map((key) => Number(key.slice(2)));
  const first = numbers[0] ?? 1;
  const hasGap = numbers.some((number, index) => number !== first + index);
  if (hasGap) throw damaged("c!", "an acknowledged batch is gone");
  return numbers.at(-1) ?? 0;
}

async function newestRev(database: Database): Promise<number> {
  const [key] = await database.keys({ gte: "f!", lt: "f\u0022", reverse: true, limit: 1 }).all();
  return key === undefined ? 0 : revOfFeedKey(key);
}

async function feedPage(database: Database, cursor: number): Promise<FeedPage> {
  const range = { gte: feedKey(cursor + 1, ""), lt: "f\u0022" };
  const found = await database.keys(range).all();
  const last = found.at(-1);
  return {
    cursor: last === undefined ? cursor : revOfFeedKey(last),
    keys: found.map((key) => key.slice("f!".length + REV_DIGITS + 1)),
  };
}

async function rangeOf(
  database: Database,
  overlay: ReadonlyMap<string, Row>,
  query: RangeQuery,
): Promise<readonly StoredValue[]> {
  // The overlay is read before the first await, and the iterator's snapshot is taken in the same step:
  // together they are one moment.
  const fresh = new Map(overlay);
  const stored = await database.iterator({ gte: dataKey(query.gte), lt: dataKey(query.lt) }).all();
  const rows = new Map<string, Buffer>(stored.map(([key, bytes]) => [key.slice(2), bytes]));
  for (const [key, row] of fresh) {
    if (row.bytes === undefined) rows.delete(key);
    else rows.set(key, row.bytes);
  }
  return orderedKeys(rows.keys(), query).flatMap((key) => {
    const bytes = rows.get(key);
    return bytes === undefined ? [] : [decodeValue(key, bytes)];
  });
}

const REV_DIGITS = 16;
const dataKey = (key: string): string => `d!${key}`;
const feedKey = (rev: number, key: string): string =>
  `f!${String(rev).padStart(REV_DIGITS, "0")}!${key}`;
const chainKey = (sequence: number): string => `c!${String(sequence).padStart(REV_DIGITS, "0")}`;
const revOfFeedKey = (key: string): number => Number(key.slice(2, 2 + REV_DIGITS));

function storeFailed(folder: string, cause: unknown): DeployError {
  const problem = cause instanceof Error ? cause.message : String(cause);
  return new DeployError("STORE_FAILED", { folder, problem }, { cause });
}

function hasCode(error: unknown, code: string): boolean {
  if (!(error instanceof Error)) return false;
  if ("code" in error && error.code === code) return true;
  return hasCode(error.cause, code);
}
