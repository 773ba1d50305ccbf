/**
 * What the journal says: records in, state out. Everything a node must not forget between two starts
 * is here, and nothing else.
 */
import { Type, type Static } from "typebox";
import { SourceBytesSchema, type SourceBytes } from "../../protocol/check-in.ts";
import { DigestSchema, PackageNameSchema, PackageVersionSchema } from "../../protocol/ids.ts";
import { parserOf } from "../../protocol/json.ts";
import { JobReportSchema, OutcomeSchema, ReportSchema } from "../../protocol/report.ts";
import { afterAttempt, NO_ATTEMPTS, wishKey, type AttemptRecord } from "./attempts.ts";

const closed = { additionalProperties: false } as const;
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const wishFields = {
  job: Type.String({ maxLength: 64 }),
  revision: Type.String({ maxLength: 16 }),
};

/** An attempt whose end the journal does not know: enough to report it whatever the directive says now. */
export const OpenAttemptSchema = Type.Object(
  {
    ...wishFields,
    attempt: Count,
    attemptLimit: Count,
    /** Name of the run's folders. */
    run: Type.String({ pattern: "^[0-9A-Za-z-]{1,120}$" }),
    name: PackageNameSchema,
    version: PackageVersionSchema,
    manifestDigest: DigestSchema,
    actionKind: Type.Enum(["launch", "execute", "store"]),
    /** The report of its start; the final one repeats its facts. */
    report: JobReportSchema,
  },
  closed,
);
export type OpenAttempt = Static<typeof OpenAttemptSchema>;

const AttemptRecordSchema = Type.Object(
  { attempts: Count, isDone: Type.Boolean(), level: Type.Optional(Count) },
  closed,
);

const SnapshotSchema = Type.Object(
  {
    counter: Count,
    order: Count,
    bytes: SourceBytesSchema,
    records: Type.Array(Type.Tuple([Type.String({ maxLength: 100 }), AttemptRecordSchema])),
    open: Type.Optional(OpenAttemptSchema),
    outbox: Type.Array(ReportSchema),
  },
  closed,
);

export const JournalRecordSchema = Type.Union([
  /** The whole state; first line of a compacted journal. */
  Type.Object({ type: Type.Literal("snapshot"), state: SnapshotSchema }, closed),
  /** A check-in is about to be sent under this counter (trust E6). */
  Type.Object({ type: Type.Literal("counter"), counter: Count }, closed),
  Type.Object({ type: Type.Literal("level"), ...wishFields, level: Count }, closed),
  /** Written before an attempt acts. */
  Type.Object({ type: Type.Literal("intent"), open: OpenAttemptSchema }, closed),
  /** The attempt turned out never to have started; its number is used again. */
  Type.Object({ type: Type.Literal("dropped"), ...wishFields }, closed),
  Type.Object({ type: Type.Literal("ended"), ...wishFields, outcome: OutcomeSchema }, closed),
  Type.Object({ type: Type.Literal("replicated"), ...wishFields }, closed),
  Type.Object({ type: Type.Literal("report"), report: ReportSchema }, closed),
  Type.Object({ type: Type.Literal("acknowledged"), ids: Type.Array(Type.String()) }, closed),
  /** Bytes by source class, as growth. */
  Type.Object({ type: Type.Literal("bytes"), bytes: SourceBytesSchema }, closed),
]);
export type JournalRecord = Static<typeof JournalRecordSchema>;
export const parseJournalRecord = parserOf("a line of the journal", JournalRecordSchema);

export interface JournalState {
  /** Of the last check-in that may have been sent. */
  readonly counter: number;
  /** Highest order of any report; never used twice. */
  readonly order: number;
  readonly bytes: SourceBytes;
  readonly records: ReadonlyMap<string, AttemptRecord>;
  /** At most one: executions do not overlap. */
  readonly open: OpenAttempt | undefined;
  /** Reports that nobody has acknowledged, oldest first. */
  readonly outbox: ReadonlyMap<string, Static<typeof ReportSchema>>;
}

export const EMPTY_JOURNAL: JournalState = {
  counter: 0,
  order: 0,
  bytes: { local: 0, peer: 0, dp: 0, origin: 0 },
  records: new Map(),
  open: undefined,
  outbox: new Map(),
};

export function reduced(state: JournalState, record: JournalRecord): JournalState {
  switch (record.type) {
    case "snapshot":
      return restored(record.state);
    case "counter":
      return { ...state, counter: Math.max(state.counter, record.counter) };
    case "level":
      return withRecord(state, record, { level: record.level });
    case "intent":
      return { ...state, open: record.open };
    case "dropped":
      return isOpen(state, record) ? { ...state, open: undefined } : state;
    case "ended":
      return isOpen(state, record)
        ? { ...withEnd(state, record, record.outcome), open: undefined }
        : state;
    case "replicated":
      return withRecord(state, record, { isDone: true });
    case "report":
      return withReport(state, record.report);
    case "acknowledged":
      return withoutReports(state, record.ids);
    case "bytes":
      return { ...state, bytes: sumOfBytes(state.bytes, record.bytes) };
    default:
      return record satisfies never;
  }
}

/** The record that stands for the whole state. */
export function snapshotOf(state: JournalState): JournalRecord {
  return {
    type: "snapshot",
    state: {
      counter: state.counter,
      order: state.order,
      bytes: state.bytes,
      records: [...state.records],
      ...(state.open === undefined ? {} : { open: state.open }),
      outbox: [...state.outbox.values()],
    },
  };
}

export function sumOfBytes(one: SourceBytes, other: SourceBytes): SourceBytes {
  return {
    local: one.local + other.local,
    peer: one.peer + other.peer,
    dp: one.dp + other.dp,
    origin: one.origin + other.origin,
  };
}

function restored(snapshot: Static<typeof SnapshotSchema>): JournalState {
  return {
    ...snapshot,
    records: new Map(snapshot.records),
    open: snapshot.open,
    outbox: new Map(snapshot.outbox.map((report) => [report.id, report])),
  };
}

type WishFields = { readonly job: string; readonly revision: string };

function isOpen(state: JournalState, wish: WishFields): boolean {
  return state.open !== undefined && wishKey(state.open) === wishKey(wish);
}

function withRecord(
  state: JournalState,
  wish: WishFields,
  change: Partial<AttemptRecord>,
): JournalState {
  const key = wishKey(wish);
  const records = new Map(state.records);
  records.set(key, { ...(records.get(key) ?? NO_ATTEMPTS), ...change });
  return { ...state, records };
}

function withEnd(
  state: JournalState,
  wish: WishFields,
  outcome: Static<typeof OutcomeSchema>,
): JournalState {
  const before = state.records.get(wishKey(wish)) ?? NO_ATTEMPTS;
  return withRecord(state, wish, afterAttempt(before, outcome));
}

function withReport(state: JournalState, report: Static<typeof ReportSchema>): JournalState {
  const outbox = new Map(state.outbox).set(report.id, report);
  const order = report.kind === "job" ? Math.max(state.order, report.order) : state.order;
  return { ...state, outbox, order };
}

function withoutReports(state: JournalState, ids: readonly string[]): JournalState {
  const outbox = new Map(state.outbox);
  for (const id of ids) outbox.delete(id);
  return { ...state, outbox };
}
