/**
 * The storage port: four calls that a key-value engine on one machine and a database behind several
 * coordinators can both keep. Values are JSON; every change of a key gives it a new, larger `rev`.
 */

export interface StoredValue {
  readonly key: string;
  /** Unchecked: the table that reads it parses it. */
  readonly value: unknown;
  readonly rev: number;
}

export interface RangeQuery {
  /** First key, included. */
  readonly gte: string;
  /** End, excluded. */
  readonly lt: string;
  readonly limit?: number;
  readonly reverse?: boolean;
  /** Goes on after this key (in the direction of the query). */
  readonly after?: string;
}

export interface Change {
  /** The change happens only if each of these keys has this rev now; 0 = must not exist. */
  readonly check?: readonly { readonly key: string; readonly rev: number }[];
  readonly set?: readonly { readonly key: string; readonly value: unknown }[];
  readonly del?: readonly string[];
}

export type CommitOutcome =
  | { readonly kind: "committed"; readonly rev: number }
  | { readonly kind: "conflict" };

export interface FeedPage {
  /** Pass it to the next call. */
  readonly cursor: number;
  /** Keys changed after the asked cursor, oldest change first, each once with its newest change. */
  readonly keys: readonly string[];
}

export interface Store {
  /** In the order of `keys`; undefined where absent. */
  get(keys: readonly string[]): Promise<readonly (StoredValue | undefined)[]>;
  range(query: RangeQuery): Promise<readonly StoredValue[]>;
  /** All or nothing, durable when it resolves. Throws STORE_FAILED once the disk has failed. */
  commit(change: Change): Promise<CommitOutcome>;
  /** Every committed key once, in the order of the commits; 0 begins. */
  feed(cursor: number): Promise<FeedPage>;
  close(): Promise<void>;
}

/** End of the range of all keys that begin with `prefix`. */
export function afterPrefix(prefix: string): string {
  return `${prefix}\u{10ffff}`;
}
