/**
 * What a lease gate knows of one site and one manifest: leases and how long they live, who was sent what,
 * how fast parts flow to whom. Changed in place: a package of 20,000 fragments costs no copies.
 */
import type { EndpointId } from "../../../protocol/ids.ts";
import { LEASE_MAX_FRAGMENTS, type ForceReason } from "../../../protocol/lease.ts";
import {
  newForcedBudget,
  renewForced,
  type ForcedBudget,
  type ForcedSettings,
} from "./forced-budget.ts";

const SERVED_PAGE = 1024;
const EWMA_WEIGHT = 0.2;
/** A longer pause is no gap between two parts: nothing was asked for. */
const GAP_MAX_MS = 15_000;

export interface GateSettings extends ForcedSettings {
  /** Life of a lease while nothing flows to its holder; any of its transfers renews all of them. */
  readonly leaseTtlMs: number;
  /** What is left of a lease whose transfer broke off: its holder may go on, then others may. */
  readonly brokenGraceMs: number;
  /** Distinct holders at a time while no DP fetches (distribution 3.2 rule 2: G = 3). */
  readonly maxHolders: number;
  /** Leases of one holder at a time, a DP or not: one request's worth in flight, one in reserve. */
  readonly maxLeases: number;
  /** A DP without progress for this long no longer keeps others away. */
  readonly dpPatienceMs: number;
  /** The LAN must have been tried for this long (rule 3). */
  readonly unreachableAfterMs: number;
  /** The same in gaps between two served fragments of the site, where that is longer. */
  readonly sentGaps: number;
  /** A site without a served fragment for this long may force (rule 5). */
  readonly noProgressAfterMs: number;
  /** So many times more of what a holder was sent that is not trusted any more: the site lacks all of it. */
  readonly lostFactor: number;
  /** So many different endpoints had to pass a holder by: it cannot pass on what it is sent. */
  readonly passedByLimit: number;
  /** Such a holder is granted nothing for this long. */
  readonly restMs: number;
  /** A lease lives for at least so many gaps between two parts of what its holder receives. */
  readonly gapFactor: number;
  readonly leaseTtlMaxMs: number;
  /** Life of the leases of a holder whose first transfer has begun and shown no gap yet. */
  readonly firstTtlMs: number;
}

export const GATE_DEFAULTS: GateSettings = {
  leaseTtlMs: 5000,
  brokenGraceMs: 1000,
  maxHolders: 3,
  maxLeases: 2 * LEASE_MAX_FRAGMENTS,
  dpPatienceMs: 3000,
  unreachableAfterMs: 2000,
  sentGaps: 6,
  noProgressAfterMs: 30_000,
  forcedLimit: 4,
  forcedPeriodMs: 2500,
  forcedLimitMax: 1024,
  lostFactor: 16,
  passedByLimit: 2,
  restMs: 30_000,
  gapFactor: 4,
  leaseTtlMaxMs: 60_000,
  firstTtlMs: 15_000,
};

interface PassedBy {
  readonly endpoints: ReadonlySet<EndpointId>;
  readonly untilMs: number;
}

export interface Lease {
  readonly holder: EndpointId;
  readonly grantedMs: number;
  readonly expiresMs: number;
  /** Its transfer broke off: the holder's other transfers do not renew it. */
  readonly isBroken: boolean;
}

/** What flows to one holder, so that leases on a slow line do not end between two parts. */
interface Flow {
  readonly lastMs: number;
  readonly gapMs: number;
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
  /** Second copies that were granted lately, and how many more may be. */
  readonly forcedBudget: ForcedBudget;
  readonly forced: Record<ForceReason, number>;
  /** With whom a transfer broke off: it goes on where it stopped. */
  readonly begun: Map<number, EndpointId>;
  /** Holders that were passed by lately, and by whom. */
  readonly passedBy: Map<EndpointId, PassedBy>;
  readonly flows: Map<EndpointId, Flow>;
  /** Smoothed time between two served fragments of the site. */
  servedGapMs: number;
  firstMs: number | undefined;
  lastServedMs: number;
  /** When something last flowed to the DP or was granted to it; undefined: never. */
  dpProgressMs: number | undefined;
}

export interface Moment {
  readonly nowMs: number;
  readonly settings: GateSettings;
}

export function newGate(): GateState {
  return {
    leases: new Map(),
    forcedLeases: new Map(),
    served: new Map(),
    holders: [],
    ordinals: new Map(),
    servedMs: new Map(),
    forcedBudget: newForcedBudget(GATE_DEFAULTS),
    forced: { holderUnreachable: 0, noProgress: 0 },
    begun: new Map(),
    passedBy: new Map(),
    flows: new Map(),
    servedGapMs: 0,
    firstMs: undefined,
    lastServedMs: Number.NEGATIVE_INFINITY,
    dpProgressMs: undefined,
  };
}

/** Who was sent this fragment, undefined for nobody. */
export function servedHolder(
  { served, holders }: GateState,
  index: number,
): EndpointId | undefined {
  const ordinal = served.get(Math.floor(index / SERVED_PAGE))?.[index % SERVED_PAGE] ?? 0;
  return holders[ordinal - 1];
}

export function holdersOf(gate: GateState): ReadonlySet<EndpointId> {
  return new Set([...gate.leases.values()].map(({ holder }) => holder));
}

/** Leases outlive the gaps of a line that is slow or shared; how slow, the first gap tells. */
export function ttlMs(gate: GateState, endpoint: EndpointId, { settings }: Moment): number {
  const flow = gate.flows.get(endpoint);
  if (flow !== undefined && flow.gapMs === 0) return settings.firstTtlMs;
  const gapMs = flow?.gapMs ?? 0;
  const neededMs = Math.ceil(settings.gapFactor * gapMs);
  return Math.min(Math.max(settings.leaseTtlMs, neededMs), settings.leaseTtlMaxMs);
}

/** Sent is not received: a slow line carries first what went out before. */
export function unreachableAfterMs(gate: GateState, settings: GateSettings): number {
  return Math.max(settings.unreachableAfterMs, settings.sentGaps * gate.servedGapMs);
}

export function flowed(gate: GateState, endpoint: EndpointId, { nowMs }: Moment): void {
  const before = gate.flows.get(endpoint);
  const gapMs = before === undefined ? 0 : nowMs - before.lastMs;
  const smoothMs = before?.gapMs ?? 0;
  const isGap = before !== undefined && gapMs <= GAP_MAX_MS;
  const weight = smoothMs === 0 ? 1 : EWMA_WEIGHT;
  gate.flows.set(endpoint, {
    lastMs: nowMs,
    gapMs: isGap ? Math.max(1, smoothMs + weight * (gapMs - smoothMs)) : smoothMs,
  });
}

// Whoever receives one fragment is alive: its next ones wait for the line, not for it.
export function renewAll(gate: GateState, index: number, holder: EndpointId, moment: Moment): void {
  const expiresMs = moment.nowMs + ttlMs(gate, holder, moment);
  const forced = gate.forcedLeases.get(index);
  if (forced?.holder === holder) gate.forcedLeases.set(index, { ...forced, expiresMs });
  for (const [at, lease] of gate.leases) {
    const isRenewed = lease.holder === holder && (at === index || !lease.isBroken);
    if (isRenewed) gate.leases.set(at, { ...lease, expiresMs, isBroken: false });
  }
}

/**
 * With the holder itself gone, all that it holds is free after the same grace, also where the lease of the
 * transfer that broke had ended before.
 */
export function breakOff(gate: GateState, index: number, holder: EndpointId, endMs: number): void {
  gate.begun.set(index, holder);
  if (gate.forcedLeases.get(index)?.holder === holder) gate.forcedLeases.delete(index);
  for (const [at, lease] of gate.leases) {
    if (lease.holder !== holder) continue;
    const expiresMs = Math.min(lease.expiresMs, endMs);
    gate.leases.set(at, { ...lease, expiresMs, isBroken: lease.isBroken || at === index });
  }
}

export function markServed(
  gate: GateState,
  index: number,
  endpoint: EndpointId,
  nowMs: number,
): void {
  const ordinal = gate.ordinals.get(endpoint) ?? gate.holders.push(endpoint);
  gate.ordinals.set(endpoint, ordinal);
  const place = Math.floor(index / SERVED_PAGE);
  const page = gate.served.get(place) ?? new Uint16Array(SERVED_PAGE);
  page[index % SERVED_PAGE] = ordinal;
  gate.served.set(place, page);
  gate.leases.delete(index);
  gate.forcedLeases.delete(index);
  gate.begun.delete(index);
  // Set anew, so that the map stays in the order of time.
  gate.servedMs.delete(index);
  gate.servedMs.set(index, nowMs);
  const gapMs = nowMs - gate.lastServedMs;
  if (gapMs <= GAP_MAX_MS) gate.servedGapMs += EWMA_WEIGHT * (gapMs - gate.servedGapMs);
  gate.lastServedMs = nowMs;
}

/** It went out and did not arrive. */
export function takeBack(gate: GateState, index: number, endpoint: EndpointId): void {
  if (servedHolder(gate, index) !== endpoint) return;
  const page = gate.served.get(Math.floor(index / SERVED_PAGE));
  if (page !== undefined) page[index % SERVED_PAGE] = 0;
  gate.servedMs.delete(index);
}

/** Nobody is sent to this endpoint any more for what it was sent. */
export function forgetServed({ served, ordinals }: GateState, endpoint: EndpointId): void {
  const ordinal = ordinals.get(endpoint);
  if (ordinal === undefined) return;
  for (const page of served.values()) {
    for (const [at, holder] of page.entries()) if (holder === ordinal) page[at] = 0;
  }
}

export function forgetOld(gate: GateState, { nowMs, settings }: Moment): void {
  for (const leases of [gate.leases, gate.forcedLeases]) {
    for (const [index, { expiresMs }] of leases) if (expiresMs <= nowMs) leases.delete(index);
  }
  for (const [index, atMs] of gate.servedMs) {
    if (nowMs - atMs < unreachableAfterMs(gate, settings)) break;
    gate.servedMs.delete(index);
  }
  for (const [holder, { untilMs }] of gate.passedBy) {
    if (untilMs <= nowMs) gate.passedBy.delete(holder);
  }
  renewForced(gate.forcedBudget, settings, nowMs);
}
