/**
 * The lease gate of one site and one manifest: who may fetch which fragment over the site's WAN line, so
 * that each crosses it once (distribution 3.2). Decisions only: the shell makes tokens and counts bytes.
 */
import type { EndpointId } from "../../protocol/ids.ts";
import type { ForceReason } from "../../protocol/lease.ts";
import { LEASE_MAX_FRAGMENTS } from "../../protocol/lease.ts";

export interface GateSettings {
  /** Life of a lease without progress. */
  readonly leaseTtlMs: number;
  /** Distinct holders at a time while no DP fetches (distribution 3.2 rule 2: G = 3). */
  readonly maxHolders: number;
  /** Leases of one holder at a time. */
  readonly maxLeases: number;
  /** A DP without progress for this long no longer keeps others away. */
  readonly dpPatienceMs: number;
  /** The LAN must have been tried for this long (rule 3). */
  readonly unreachableAfterMs: number;
  /** A site without a served fragment for this long may force (rule 5). */
  readonly noProgressAfterMs: number;
  /** Forced fragments per window: a split site must not become many full downloads. */
  readonly forcedLimit: number;
  readonly forcedWindowMs: number;
}

export const GATE_DEFAULTS: GateSettings = {
  leaseTtlMs: 15_000,
  maxHolders: 3,
  maxLeases: 4,
  dpPatienceMs: 3000,
  unreachableAfterMs: 2000,
  noProgressAfterMs: 30_000,
  forcedLimit: 8,
  forcedWindowMs: 10_000,
};

export interface Lease {
  readonly holder: EndpointId;
  readonly grantedMs: number;
  readonly expiresMs: number;
}

export interface GateState {
  readonly leases: ReadonlyMap<number, Lease>;
  /** Who was sent a fragment to its end: pages of `SERVED_PAGE` numbers into `holders`, 0 = nobody. */
  readonly served: ReadonlyMap<number, Uint16Array>;
  readonly holders: readonly EndpointId[];
  /** Served within the last `unreachableAfterMs`: when. */
  readonly servedMs: ReadonlyMap<number, number>;
  readonly forcedMs: readonly number[];
  readonly forced: Readonly<Record<ForceReason, number>>;
  readonly firstMs: number | undefined;
  readonly lastServedMs: number;
  readonly dpProgressMs: number;
}

export type GateEvent =
  | {
      readonly type: "request";
      readonly endpoint: EndpointId;
      readonly want: readonly number[];
      readonly release: readonly number[];
      readonly force: ForceReason | undefined;
      /** Enabled DPs of the site that were seen just now. */
      readonly dps: readonly EndpointId[];
    }
  | {
      readonly type: "progress" | "served";
      readonly endpoint: EndpointId;
      readonly index: number;
      readonly dps: readonly EndpointId[];
    };

export type GateRequest = Extract<GateEvent, { type: "request" }>;

export interface GateAnswer {
  readonly grants: readonly { readonly index: number; readonly expiresMs: number }[];
  readonly leased: readonly {
    readonly index: number;
    readonly holder: EndpointId;
    readonly isServed: boolean;
  }[];
  readonly retryAfterMs: number;
}

export const EMPTY_GATE: GateState = {
  leases: new Map(),
  served: new Map(),
  holders: [],
  servedMs: new Map(),
  forcedMs: [],
  forced: { holderUnreachable: 0, noProgress: 0 },
  firstMs: undefined,
  lastServedMs: 0,
  dpProgressMs: 0,
};

const SERVED_PAGE = 1024;
const RETRY_AFTER_MS = 1000;
const NO_ANSWER: GateAnswer = { grants: [], leased: [], retryAfterMs: 0 };

export function step(
  state: GateState,
  event: GateEvent,
  nowMs: number,
  settings: GateSettings = GATE_DEFAULTS,
): { readonly state: GateState; readonly answer: GateAnswer } {
  const current = forgetOld(state, nowMs, settings);
  switch (event.type) {
    case "request":
      return answerRequest(current, event, nowMs, settings);
    case "progress":
    case "served": {
      const isDp = event.dps.includes(event.endpoint);
      const moved = { ...current, ...(isDp ? { dpProgressMs: nowMs } : {}) };
      const { endpoint, index } = event;
      const next =
        event.type === "served"
          ? markServed(moved, index, endpoint, nowMs)
          : extend(moved, index, endpoint, nowMs + settings.leaseTtlMs);
      return { state: next, answer: NO_ANSWER };
    }
    default:
      return event satisfies never;
  }
}

/** Who was sent this fragment, undefined for nobody. */
function servedHolder({ served, holders }: GateState, index: number): EndpointId | undefined {
  const ordinal = served.get(Math.floor(index / SERVED_PAGE))?.[index % SERVED_PAGE] ?? 0;
  return holders[ordinal - 1];
}

interface Decision {
  readonly state: GateState;
  readonly answer: GateAnswer;
}

function answerRequest(
  before: GateState,
  event: GateRequest,
  nowMs: number,
  settings: GateSettings,
): Decision {
  let state = released(before, event, nowMs);
  const grants: { index: number; expiresMs: number }[] = [];
  const leased: { index: number; holder: EndpointId; isServed: boolean }[] = [];
  const wanted = [...new Set(event.want)].slice(0, LEASE_MAX_FRAGMENTS);
  for (const index of wanted) {
    const verdict = judge(state, event, index, { nowMs, settings });
    state = verdict.state;
    if (verdict.expiresMs !== undefined) grants.push({ index, expiresMs: verdict.expiresMs });
    else if (verdict.holder !== undefined) {
      leased.push({ index, holder: verdict.holder, isServed: verdict.isServed });
    }
  }
  const isDp = event.dps.includes(event.endpoint);
  if (isDp && grants.length > 0) state = { ...state, dpProgressMs: nowMs };
  const retryAfterMs = grants.length === 0 && wanted.length > 0 ? RETRY_AFTER_MS : 0;
  return { state, answer: { grants, leased, retryAfterMs } };
}

interface Verdict {
  readonly state: GateState;
  /** Set: granted. */
  readonly expiresMs?: number;
  readonly holder?: EndpointId;
  readonly isServed: boolean;
}
interface Moment {
  readonly nowMs: number;
  readonly settings: GateSettings;
}

function judge(state: GateState, event: GateRequest, index: number, moment: Moment): Verdict {
  const { nowMs, settings } = moment;
  const expiresMs = nowMs + settings.leaseTtlMs;
  const lease = state.leases.get(index);
  if (lease?.holder === event.endpoint) {
    return { state: granted(state, index, { ...lease, expiresMs }), expiresMs, isServed: false };
  }
  const sentTo = servedHolder(state, index);
  const dp = lease === undefined && sentTo === undefined ? busyDp(state, event, moment) : undefined;
  const holder = sentTo ?? lease?.holder ?? dp;
  const isRefused = holder !== undefined || !mayHoldMore(state, event, settings);
  if (!isRefused) {
    const own = { holder: event.endpoint, grantedMs: nowMs, expiresMs };
    return { state: granted(state, index, own), expiresMs, isServed: false };
  }
  // Nobody knows better that a sent copy is lost than the one it was sent to.
  const force = event.force ?? (sentTo === event.endpoint ? "holderUnreachable" : undefined);
  if (force !== undefined && mayForce(state, force, index, moment)) {
    return { state: countForced(state, force, nowMs), expiresMs, isServed: false };
  }
  const isServed = sentTo !== undefined;
  return { state, isServed, ...(holder === undefined ? {} : { holder }) };
}

/** The DP that others have to wait for: it fetches, or it was given its time to begin. */
function busyDp(state: GateState, event: GateRequest, moment: Moment): EndpointId | undefined {
  const [dp] = event.dps;
  if (dp === undefined || event.dps.includes(event.endpoint)) return undefined;
  const progressMs = Math.max(state.dpProgressMs, state.firstMs ?? moment.nowMs);
  return moment.nowMs - progressMs < moment.settings.dpPatienceMs ? dp : undefined;
}

function mayHoldMore(state: GateState, event: GateRequest, settings: GateSettings): boolean {
  const own = [...state.leases.values()].filter(({ holder }) => holder === event.endpoint).length;
  if (event.dps.includes(event.endpoint)) return own < LEASE_MAX_FRAGMENTS;
  const holders = new Set([...state.leases.values()].map(({ holder }) => holder));
  const isHolder = own > 0;
  return own < settings.maxLeases && (isHolder || holders.size < settings.maxHolders);
}

function mayForce(state: GateState, reason: ForceReason, index: number, moment: Moment): boolean {
  const { nowMs, settings } = moment;
  if (state.forcedMs.length >= settings.forcedLimit) return false;
  const firstMs = state.firstMs ?? nowMs;
  if (reason === "noProgress") {
    return nowMs - Math.max(state.lastServedMs, firstMs) >= settings.noProgressAfterMs;
  }
  // A served mark without its time is older than the patience: such times are forgotten.
  const isServed = servedHolder(state, index) !== undefined;
  const markedMs = isServed
    ? (state.servedMs.get(index) ?? 0)
    : (state.leases.get(index)?.grantedMs ?? firstMs);
  return nowMs - markedMs >= settings.unreachableAfterMs;
}

// A forced grant is not a lease: the holder that it passes by keeps its own.
function countForced(state: GateState, reason: ForceReason, nowMs: number): GateState {
  return {
    ...state,
    forcedMs: [...state.forcedMs, nowMs],
    forced: { ...state.forced, [reason]: state.forced[reason] + 1 },
  };
}

function granted(state: GateState, index: number, lease: Lease): GateState {
  return { ...state, leases: new Map(state.leases).set(index, lease) };
}

function released(state: GateState, event: GateRequest, nowMs: number): GateState {
  const leases = new Map(state.leases);
  for (const index of event.release) {
    if (leases.get(index)?.holder === event.endpoint) leases.delete(index);
  }
  return { ...state, leases, firstMs: state.firstMs ?? nowMs };
}

function extend(state: GateState, index: number, holder: EndpointId, expiresMs: number): GateState {
  const lease = state.leases.get(index);
  return lease?.holder === holder ? granted(state, index, { ...lease, expiresMs }) : state;
}

function markServed(
  state: GateState,
  index: number,
  endpoint: EndpointId,
  nowMs: number,
): GateState {
  const known = state.holders.indexOf(endpoint);
  const holders = known < 0 ? [...state.holders, endpoint] : state.holders;
  const place = Math.floor(index / SERVED_PAGE);
  const page = Uint16Array.from(state.served.get(place) ?? new Uint16Array(SERVED_PAGE));
  page[index % SERVED_PAGE] = known < 0 ? holders.length : known + 1;
  const leases = new Map(state.leases);
  leases.delete(index);
  return {
    ...state,
    leases,
    holders,
    served: new Map(state.served).set(place, page),
    servedMs: new Map(state.servedMs).set(index, nowMs),
    lastServedMs: nowMs,
  };
}

function forgetOld(state: GateState, nowMs: number, settings: GateSettings): GateState {
  const isRecent = (atMs: number): boolean => nowMs - atMs < settings.unreachableAfterMs;
  return {
    ...state,
    leases: new Map([...state.leases].filter(([, { expiresMs }]) => expiresMs > nowMs)),
    servedMs: new Map([...state.servedMs].filter(([, atMs]) => isRecent(atMs))),
    forcedMs: state.forcedMs.filter((atMs) => nowMs - atMs < settings.forcedWindowMs),
  };
}
