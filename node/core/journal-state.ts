/**
 * What the journal says: records in, state out. Everything a node must not forget between two starts
 * is here, and nothing else.
 */
import { Type, type Static } from "typebox";
import { SourceBytesSchema, type SourceBytes } from "../../protocol/check-in.ts";
import {
  DigestSchema,
  PackageNameSchema,
  PackageVersionSchema,
  type Digest,
  type PackageName,
  type PackageVersion,
} from "../../protocol/ids.ts";
import { parserOf } from "../../protocol/json.ts";
import { JobReportSchema, ReportSchema, RunReportSchema } from "../../protocol/report.ts";
import { OutcomeSchema } from "../../protocol/outcome.ts";
import { PostActionSchema } from "../../protocol/package-rules.ts";
import {
  afterAttempt,
  afterDrift,
  afterQuietEnd,
  NO_ATTEMPTS,
  wishKey,
  type AttemptRecord,
} from "./attempts.ts";
import { isSuccess } from "./outcome.ts";
import { PowerNeedSchema } from "./power.ts";

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
    /** Absent: install. */
    operation: Type.Optional(Type.Enum(["install", "uninstall", "launch"])),
    /** What the end of the attempt may ask of the system. */
    postAction: Type.Optional(PostActionSchema),
    restartTimeoutMin: Type.Optional(Type.Integer()),
    shutdownAfter: Type.Optional(Type.Boolean()),
    /** The report of its start; the final one repeats its facts. */
    report: JobReportSchema,
  },
  closed,
);
export type OpenAttempt = Static<typeof OpenAttemptSchema>;

const QuietEndSchema = Type.Enum(["alreadyInstalled", "incompatible", "expired", "aborted"]);
const AttemptRecordSchema = Type.Object(
  {
    attempts: Count,
    isDone: Type.Boolean(),
    level: Type.Optional(Count),
    end: Type.Optional(QuietEndSchema),
  },
  closed,
);

/** A request to the system, and the start of the system in which it was made. */
const HeldPowerSchema = Type.Object({ boot: Type.String(), need: PowerNeedSchema }, closed);
export type HeldPower = Static<typeof HeldPowerSchema>;
const PowerSlotSchema = Type.Enum(["power", "parting"]);
const ActionEntrySchema = RunReportSchema.properties.entries.items;
export type ActionEntry = Static<typeof ActionEntrySchema>;
/** Actions kept for the next run report, and wake requests remembered. */
const ACTIONS_MAX_COUNT = 200;
const WAKES_MAX_COUNT = 256;

const SnapshotSchema = Type.Object(
  {
    counter: Count,
    order: Count,
    bytes: SourceBytesSchema,
    records: Type.Array(Type.Tuple([Type.String({ maxLength: 100 }), AttemptRecordSchema])),
    open: Type.Optional(OpenAttemptSchema),
    outbox: Type.Array(ReportSchema),
    installed: Type.Optional(Type.Array(Type.Tuple([PackageNameSchema, PackageVersionSchema]))),
    power: Type.Optional(HeldPowerSchema),
    parting: Type.Optional(HeldPowerSchema),
    actions: Type.Optional(Type.Array(ActionEntrySchema)),
    scanDigest: Type.Optional(DigestSchema),
    wakes: Type.Optional(Type.Array(Type.String({ maxLength: 64 }))),
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
  /** Ended without an attempt. */
  Type.Object({ type: Type.Literal("settled"), ...wishFields, end: QuietEndSchema }, closed),
  /** Was done and no longer holds (SE-19). */
  Type.Object({ type: Type.Literal("drifted"), ...wishFields }, closed),
  /** A job of the endpoint's own that is over, or one that is wished under another revision now. */
  Type.Object({ type: Type.Literal("forgotten"), ...wishFields }, closed),
  /** A restart or shutdown is due; without `held` it is over. */
  Type.Object(
    {
      type: Type.Literal("power"),
      slot: PowerSlotSchema,
      held: Type.Optional(HeldPowerSchema),
    },
    closed,
  ),
  /** For the log of the run. */
  Type.Object({ type: Type.Literal("acted"), entry: ActionEntrySchema }, closed),
  /** The first so many actions are in a run report. */
  Type.Object({ type: Type.Literal("logged"), count: Count }, closed),
  /** A scan report with this content was posted. */
  Type.Object({ type: Type.Literal("scanned"), digest: DigestSchema }, closed),
  /** These wake requests are being broadcast. */
  Type.Object({ type: Type.Literal("woke"), ids: Type.Array(Type.String()) }, closed),
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
  /** Versions that this node installed and has not taken off since. */
  readonly installed: ReadonlyMap<PackageName, PackageVersion>;
  /** What keeps more from being executed until the system has restarted. */
  readonly power: HeldPower | undefined;
  /** A shutdown that comes after the last job. */
  readonly parting: HeldPower | undefined;
  /** Actions that no run report has told yet, oldest first. */
  readonly actions: readonly ActionEntry[];
  /** Of the software in the last scan report. */
  readonly scanDigest: Digest | undefined;
  /** Wake requests that were broadcast, oldest first. */
  readonly wakes: ReadonlySet<string>;
}

export const EMPTY_JOURNAL: JournalState = {
  counter: 0,
  order: 0,
  bytes: { local: 0, peer: 0, dp: 0, origin: 0 },
  records: new Map(),
  open: undefined,
  outbox: new Map(),
  installed: new Map(),
  power: undefined,
  parting: undefined,
  actions: [],
  scanDigest: undefined,
  wakes: new Set(),
};

export function reduced(state: JournalState, record: JournalRecord): JournalState {
  switch (record.type) {
    case "snapshot":
      return restored(record.state);
    case "counter":
      return { ...state, counter: Math.max(state.counter, record.counter) };
    case "level":
      return changed(state, record, (before) => ({ ...before, level: record.level }));
    case "intent":
      return { ...state, open: record.open };
    case "dropped":
      return isOpen(state, record) ? { ...state, open: undefined } : state;
    case "ended":
      return isOpen(state, record) ? { ...withEnd(state, record.outcome), open: undefined } : state;
    case "replicated":
      return changed(state, record, (before) => ({ ...before, isDone: true }));
    case "settled":
      return changed(state, record, (before) => afterQuietEnd(before, record.end));
    case "drifted":
      return changed(state, record, afterDrift);
    case "forgotten":
      return withoutRecord(state, record);
    case "power":
      return { ...state, [record.slot]: record.held };
    case "acted":
      return { ...state, actions: [...state.actions, record.entry].slice(-ACTIONS_MAX_COUNT) };
    case "logged":
      return { ...state, actions: state.actions.slice(record.count) };
    case "scanned":
      return { ...state, scanDigest: record.digest };
    case "woke":
      return { ...state, wakes: lastOf([...state.wakes, ...record.ids], WAKES_MAX_COUNT) };
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
  const { counter, order, bytes, open, power, parting, scanDigest } = state;
  return {
    type: "snapshot",
    state: {
      counter,
      order,
      bytes,
      records: [...state.records],
      ...(open === undefined ? {} : { open }),
      outbox: [...state.outbox.values()],
      installed: [...state.installed],
      ...(power === undefined ? {} : { power }),
      ...(parting === undefined ? {} : { parting }),
      actions: [...state.actions],
      ...(scanDigest === undefined ? {} : { scanDigest }),
      wakes: [...state.wakes],
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

// What older programs did not write is as it is at the first start.
function restored(snapshot: Static<typeof SnapshotSchema>): JournalState {
  return {
    ...EMPTY_JOURNAL,
    ...snapshot,
    records: new Map(snapshot.records),
    open: snapshot.open,
    outbox: new Map(snapshot.outbox.map((report) => [report.id, report])),
    installed: new Map(snapshot.installed),
    power: snapshot.power,
    parting: snapshot.parting,
    actions: snapshot.actions ?? [],
    scanDigest: snapshot.scanDigest,
    wakes: new Set(snapshot.wakes),
  };
}

type WishFields = { readonly job: string; readonly revision: string };

function isOpen(state: JournalState, wish: WishFields): boolean {
  return state.open !== undefined && wishKey(state.open) === wishKey(wish);
}

function changed(
  state: JournalState,
  wish: WishFields,
  change: (before: AttemptRecord) => AttemptRecord,
): JournalState {
  const key = wishKey(wish);
  const records = new Map(state.records);
  records.set(key, change(records.get(key) ?? NO_ATTEMPTS));
  return { ...state, records };
}

function withoutRecord(state: JournalState, wish: WishFields): JournalState {
  const records = new Map(state.records);
  records.delete(wishKey(wish));
  return { ...state, records };
}

function withEnd(state: JournalState, outcome: Static<typeof OutcomeSchema>): JournalState {
  const { open } = state;
  if (open === undefined) return state;
  const ended = changed(state, open, (before) => afterAttempt(before, outcome));
  if (!isSuccess(outcome) || open.operation === "launch") return ended;
  const installed = new Map(state.installed);
  if (open.operation === "uninstall") installed.delete(open.name);
  else installed.set(open.name, open.version);
  return { ...ended, installed };
}

function lastOf(ids: readonly string[], count: number): ReadonlySet<string> {
  return new Set([...new Set(ids)].slice(-count));
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
