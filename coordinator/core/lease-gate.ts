/**
 * The lease gate of one site and one manifest: who may fetch which fragment over the site's WAN line, so
 * that each crosses it once (distribution 3.2). Decisions only: the shell makes tokens and counts bytes.
 * The state belongs to one gate and is changed in place: a package of 20,000 fragments costs no copies.
 */
import type { EndpointId } from "../../protocol/ids.ts";
import type { ForceReason } from "../../protocol/lease.ts";
import { LEASE_MAX_FRAGMENTS } from "../../protocol/lease.ts";

export interface GateSettings {
  /** Life of a lease while nothing flows to its holder; any of its transfers renews all of them. */
  readonly leaseTtlMs: number;
  /** What is left of a lease whose transfer broke off: its holder may go on, then others may. */
  readonly brokenGraceMs: number;
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
  leaseTtlMs: 5000,
  brokenGraceMs: 1000,
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
  /** Its transfer broke off: the holder's other transfers do not renew it. */
  readonly isBroken: boolean;
}

export interface GateState {
  readonly leases: Map<number, Lease>;
  /** Second copies on their way, one per fragment: whoever else would force waits for it. */
  readonly forcedLeases: Map<number, Lease>;
  /** Who was sent a fragment to its end: pages of `SERVED_PAGE` numbers into `holders`, 0 = nobody. */
  readonly served: Map<number, Uint16Array>;
  /** Number `n` stands for `holders[n - 1]`. */
  readonly holders: EndpointId[];
  readonly ordinals: Map<EndpointId, number>;
  /** Served within the last `unreachableAfterMs`: when, oldest first. */
  readonly servedMs: Map<number, number>;
  readonly forcedMs: number[];
  readonly forced: Record<ForceReason, number>;
  firstMs: number | undefined;
  lastServedMs: number;
  dpProgressMs: number;
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
      /** Bytes flow, the last byte has gone out, or the transfer ended before it. */
      readonly type: "progress" | "served" | "broken";
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

const SERVED_PAGE = 1024;
const RETRY_AFTER_MS = 1000;
const NO_ANSWER: GateAnswer = { grants: [], leased: [], retryAfterMs: 0 };

export function newGate(): GateState {
  return {
    leases: new Map(),
    forcedLeases: new Map(),
    served: new Map(),
    holders: [],
    ordinals: new Map(),
    servedMs: new Map(),
    forcedMs: [],
    forced: { holderUnreachable: 0, noProgress: 0 },
    firstMs: undefined,
    lastServedMs: 0,
    dpProgressMs: 0,
  };
}

/** Decides on one event and keeps what follows from it in `gate`. */
export function step(
  gate: GateState,
  event: GateEvent,
  nowMs: number,
  settings: GateSettings = GATE_DEFAULTS,
): GateAnswer {
  forgetOld(gate, nowMs, settings);
  if (event.type === "request") return answerRequest(gate, event, { nowMs, settings });
  const { endpoint, index } = event;
  switch (event.type) {
    case "served":
      markServed(gate, index, endpoint, nowMs);
      break;
    case "progress":
      renewAll(gate, index, endpoint, nowMs + settings.leaseTtlMs);
      break;
    case "broken":
      breakOff(gate, index, endpoint, nowMs + settings.brokenGraceMs);
      return NO_ANSWER;
    default:
      event satisfies never;
  }
  if (event.dps.includes(endpoint)) gate.dpProgressMs = nowMs;
  return NO_ANSWER;
}

interface Moment {
  readonly nowMs: number;
  readonly settings: GateSettings;
}

function answerRequest(gate: GateState, event: GateRequest, moment: Moment): GateAnswer {
  gate.firstMs ??= moment.nowMs;
  for (const index of event.release) {
    if (gate.leases.get(index)?.holder === event.endpoint) gate.leases.delete(index);
  }
  const grants: { index: number; expiresMs: number }[] = [];
  const leased: { index: number; holder: EndpointId; isServed: boolean }[] = [];
  const wanted = [...new Set(event.want)].slice(0, LEASE_MAX_FRAGMENTS);
  for (const index of wanted) {
    const { expiresMs, holder, isServed } = judge(gate, event, index, moment);
    if (expiresMs !== undefined) grants.push({ index, expiresMs });
    else if (holder !== undefined) leased.push({ index, holder, isServed });
  }
  if (event.dps.includes(event.endpoint) && grants.length > 0) gate.dpProgressMs = moment.nowMs;
  const retryAfterMs = grants.length === 0 && wanted.length > 0 ? RETRY_AFTER_MS : 0;
  return { grants, leased, retryAfterMs };
}

interface Verdict {
  /** Set: granted. */
  readonly expiresMs?: number;
  readonly holder?: EndpointId;
  readonly isServed: boolean;
}

function judge(gate: GateState, event: GateRequest, index: number, moment: Moment): Verdict {
  const { nowMs, settings } = moment;
  const { endpoint } = event;
  const expiresMs = nowMs + settings.leaseTtlMs;
  const lease = gate.leases.get(index);
  if (lease?.holder === endpoint) {
    gate.leases.set(index, { ...lease, expiresMs, isBroken: false });
    return { expiresMs, isServed: false };
  }
  const pending = gate.forcedLeases.get(index);
  if (pending !== undefined) {
    return pending.holder === endpoint
      ? { expiresMs, isServed: false }
      : { holder: pending.holder, isServed: false };
  }
  const sentTo = servedHolder(gate, index);
  const dp = lease === undefined && sentTo === undefined ? busyDp(gate, event, moment) : undefined;
  const holder = sentTo ?? lease?.holder ?? dp;
  const isRefused = holder !== undefined || !mayHoldMore(gate, event, settings);
  if (!isRefused) {
    gate.leases.set(index, { holder: endpoint, grantedMs: nowMs, expiresMs, isBroken: false });
    return { expiresMs, isServed: false };
  }
  // Nobody knows better that a sent copy is lost than the one it was sent to.
  const force = event.force ?? (sentTo === endpoint ? "holderUnreachable" : undefined);
  if (force !== undefined && mayForce(gate, force, index, moment)) {
    // The holder that it passes by keeps its own lease.
    const forced = { holder: endpoint, grantedMs: nowMs, expiresMs, isBroken: false };
    gate.forcedLeases.set(index, forced);
    gate.forcedMs.push(nowMs);
    gate.forced[force]++;
    return { expiresMs, isServed: false };
  }
  const isServed = sentTo !== undefined;
  return { isServed, ...(holder === undefined ? {} : { holder }) };
}

/** Who was sent this fragment, undefined for nobody. */
function servedHolder({ served, holders }: GateState, index: number): EndpointId | undefined {
  const ordinal = served.get(Math.floor(index / SERVED_PAGE))?.[index % SERVED_PAGE] ?? 0;
  return holders[ordinal - 1];
}

/** The DP that others have to wait for: it fetches, or it was given its time to begin. */
function busyDp(gate: GateState, event: GateRequest, moment: Moment): EndpointId | undefined {
  const [dp] = event.dps;
  if (dp === undefined || event.dps.includes(event.endpoint)) return undefined;
  const progressMs = Math.max(gate.dpProgressMs, gate.firstMs ?? moment.nowMs);
  return moment.nowMs - progressMs < moment.settings.dpPatienceMs ? dp : undefined;
}

// Leases are few (a handful of holders), whatever the size of the package: looking at all is cheap.
function mayHoldMore(gate: GateState, event: GateRequest, settings: GateSettings): boolean {
  const holders = [...gate.leases.values()].map(({ holder }) => holder);
  const ownCount = holders.filter((holder) => holder === event.endpoint).length;
  if (event.dps.includes(event.endpoint)) return ownCount < LEASE_MAX_FRAGMENTS;
  const isHolder = ownCount > 0;
  return ownCount < settings.maxLeases && (isHolder || new Set(holders).size < settings.maxHolders);
}

function mayForce(gate: GateState, reason: ForceReason, index: number, moment: Moment): boolean {
  const { nowMs, settings } = moment;
  if (gate.forcedMs.length >= settings.forcedLimit) return false;
  const firstMs = gate.firstMs ?? nowMs;
  if (reason === "noProgress") {
    return nowMs - Math.max(gate.lastServedMs, firstMs) >= settings.noProgressAfterMs;
  }
  // A served mark without its time is older than the patience: such times are forgotten.
  const isServed = servedHolder(gate, index) !== undefined;
  const markedMs = isServed
    ? (gate.servedMs.get(index) ?? 0)
    : (gate.leases.get(index)?.grantedMs ?? firstMs);
  return nowMs - markedMs >= settings.unreachableAfterMs;
}

// Whoever receives one fragment is alive: its next ones wait for the line, not for it.
function renewAll(gate: GateState, index: number, holder: EndpointId, expiresMs: number): void {
  const forced = gate.forcedLeases.get(index);
  if (forced?.holder === holder) gate.forcedLeases.set(index, { ...forced, expiresMs });
  for (const [at, lease] of gate.leases) {
    const isRenewed = lease.holder === holder && (at === index || !lease.isBroken);
    if (isRenewed) gate.leases.set(at, { ...lease, expiresMs, isBroken: false });
  }
}

function breakOff(gate: GateState, index: number, holder: EndpointId, endMs: number): void {
  if (gate.forcedLeases.get(index)?.holder === holder) gate.forcedLeases.delete(index);
  const lease = gate.leases.get(index);
  if (lease?.holder !== holder) return;
  const expiresMs = Math.min(lease.expiresMs, endMs);
  gate.leases.set(index, { ...lease, expiresMs, isBroken: true });
}

function markServed(gate: GateState, index: number, endpoint: EndpointId, nowMs: number): void {
  const ordinal = gate.ordinals.get(endpoint) ?? gate.holders.push(endpoint);
  gate.ordinals.set(endpoint, ordinal);
  const place = Math.floor(index / SERVED_PAGE);
  const page = gate.served.get(place) ?? new Uint16Array(SERVED_PAGE);
  page[index % SERVED_PAGE] = ordinal;
  gate.served.set(place, page);
  gate.leases.delete(index);
  gate.forcedLeases.delete(index);
  // Set anew, so that the map stays in the order of time.
  gate.servedMs.delete(index);
  gate.servedMs.set(index, nowMs);
  gate.lastServedMs = nowMs;
}

function forgetOld(gate: GateState, nowMs: number, settings: GateSettings): void {
  for (const leases of [gate.leases, gate.forcedLeases]) {
    for (const [index, { expiresMs }] of leases) if (expiresMs <= nowMs) leases.delete(index);
  }
  for (const [index, atMs] of gate.servedMs) {
    if (nowMs - atMs < settings.unreachableAfterMs) break;
    gate.servedMs.delete(index);
  }
  const isOver = (atMs: number): boolean => nowMs - atMs >= settings.forcedWindowMs;
  while (gate.forcedMs[0] !== undefined && isOver(gate.forcedMs[0])) gate.forcedMs.shift();
}
