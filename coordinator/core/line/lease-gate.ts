/**
 * The lease gate of one site and one manifest: who may fetch which fragment over the site's WAN line, so
 * that each crosses it once (distribution 3.2). Decisions only: the shell makes tokens and counts bytes.
 */
import type { EndpointId } from "../../../protocol/ids.ts";
import { LEASE_MAX_FRAGMENTS, type ForceReason } from "../../../protocol/lease.ts";
import {
  breakOff,
  flowed,
  forgetOld,
  forgetServed,
  GATE_DEFAULTS,
  holdersOf,
  markServed,
  renewAll,
  servedHolder,
  takeBack,
  ttlMs,
  unreachableAfterMs,
  type GateSettings,
  type GateState,
  type Moment,
} from "./gate-state.ts";
import { untilForcedMs } from "./forced-budget.ts";

export type GateEvent =
  | {
      readonly type: "request";
      readonly endpoint: EndpointId;
      readonly want: readonly number[];
      readonly most?: number;
      readonly release: readonly number[];
      readonly force: ForceReason | undefined;
      /** Leased ones that it has fetched where the gate does not see the bytes (a plain HTTPS origin). */
      readonly done?: readonly number[];
      /** What it was sent of this package is no longer with it. */
      readonly isGone?: boolean;
      /** Enabled DPs of the site that were seen just now. */
      readonly dps: readonly EndpointId[];
    }
  | {
      /**
       * The holder of a token comes for its fragment, bytes flow, the last byte has gone out, or the
       * transfer ended before it, or the connection before it arrived. `begin` is answered by a grant, or not.
       */
      readonly type: "begin" | "progress" | "served" | "broken";
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
  /** Endpoints that hold leases right now: they share the line. */
  readonly holders: number;
}

const RETRY_AFTER_MIN_MS = 1000;
const RETRY_AFTER_MAX_MS = 30_000;
/** The DP's time is almost over. */
const DP_RETRY_MIN_MS = 100;
const NO_ANSWER: GateAnswer = { grants: [], leased: [], retryAfterMs: 0, holders: 0 };

/** Decides on one event and keeps what follows from it in `gate`. */
export function step(
  gate: GateState,
  event: GateEvent,
  nowMs: number,
  settings: GateSettings = GATE_DEFAULTS,
): GateAnswer {
  const moment = { nowMs, settings };
  forgetOld(gate, moment);
  if (event.type === "request") return answerRequest(gate, event, moment);
  const { endpoint, index } = event;
  const isDp = event.dps.includes(endpoint);
  switch (event.type) {
    case "begin":
      return begin(gate, endpoint, index, moment);
    case "served":
      flowed(gate, endpoint, moment);
      markServed(gate, index, endpoint, nowMs);
      break;
    case "progress":
      flowed(gate, endpoint, moment);
      renewAll(gate, index, endpoint, moment);
      break;
    case "broken":
      takeBack(gate, index, endpoint);
      breakOff(gate, index, endpoint, nowMs + settings.brokenGraceMs);
      // Its other transfers, if any, say in a moment that it is alive.
      if (isDp) gate.dpProgressMs = Number.NEGATIVE_INFINITY;
      return NO_ANSWER;
    default:
      event satisfies never;
  }
  if (isDp) gate.dpProgressMs = nowMs;
  return NO_ANSWER;
}

function answerRequest(gate: GateState, event: GateRequest, moment: Moment): GateAnswer {
  gate.firstMs ??= moment.nowMs;
  const { endpoint, dps, release, done = [] } = event;
  if (event.isGone === true) forgetServed(gate, endpoint);
  for (const index of done) {
    const forced = gate.forcedLeases.get(index);
    const lease = gate.leases.get(index);
    const isOwn = forced?.holder === endpoint || lease?.holder === endpoint;
    // Its lease ended and nobody took it: the bytes are in the site all the same.
    const isFree = (forced ?? lease) === undefined && servedHolder(gate, index) === undefined;
    if (!isOwn && !isFree) continue;
    renewAll(gate, index, endpoint, moment);
    markServed(gate, index, endpoint, moment.nowMs);
    if (dps.includes(endpoint)) gate.dpProgressMs = moment.nowMs;
  }
  for (const index of release) {
    if (gate.leases.get(index)?.holder === endpoint) gate.leases.delete(index);
  }
  const grants: { index: number; expiresMs: number }[] = [];
  const leased: { index: number; holder: EndpointId; isServed: boolean }[] = [];
  const wanted = [...new Set(event.want)]
    .slice(0, LEASE_MAX_FRAGMENTS)
    // Others than the one that has its beginning take it last.
    .toSorted(
      (one, other) => begunElsewhere(gate, one, event) - begunElsewhere(gate, other, event),
    );
  for (const index of wanted) {
    if (grants.length >= (event.most ?? LEASE_MAX_FRAGMENTS)) break;
    const { expiresMs, holder, isServed } = judge(gate, event, index, moment);
    if (expiresMs !== undefined) grants.push({ index, expiresMs });
    else if (holder !== undefined) leased.push({ index, holder, isServed });
  }
  if (dps.includes(endpoint) && grants.length > 0) gate.dpProgressMs = moment.nowMs;
  const isEmpty = grants.length === 0 && wanted.length > 0;
  const retryAfterMs = isEmpty ? retryAfter(gate, event, moment) : 0;
  return { grants, leased, retryAfterMs, holders: holdersOf(gate).size };
}

function begunElsewhere(gate: GateState, index: number, { endpoint }: GateRequest): number {
  const begunWith = gate.begun.get(index);
  return begunWith === undefined || begunWith === endpoint ? 0 : 1;
}

/** Coming sooner would find the same holders at work; with a place free, other fragments may be had. */
function retryAfter(gate: GateState, event: GateRequest, moment: Moment): number {
  if (event.force !== undefined) return untilForcedMs(gate.forcedBudget, moment);
  const isDpBusy = busyDp(gate, event, moment) !== undefined;
  if (!isDpBusy && mayHoldMore(gate, event, moment)) return 0;
  const retryMs = isDpBusy
    ? Math.max(DP_RETRY_MIN_MS, dpBusyUntilMs(gate, event, moment) - moment.nowMs)
    : Math.max(RETRY_AFTER_MIN_MS, 2 * gate.servedGapMs);
  return Math.min(Math.ceil(retryMs), RETRY_AFTER_MAX_MS);
}

/** A token is worth what the gate knows when it is shown: a lease in force, or one that nobody took since. */
function begin(gate: GateState, endpoint: EndpointId, index: number, moment: Moment): GateAnswer {
  const pending = gate.forcedLeases.get(index);
  const lease = gate.leases.get(index);
  const isForced = pending?.holder === endpoint;
  const isFree =
    lease === undefined && pending === undefined && servedHolder(gate, index) === undefined;
  if (!isForced && lease?.holder !== endpoint && !isFree) return NO_ANSWER;
  gate.flows.set(endpoint, gate.flows.get(endpoint) ?? { lastMs: moment.nowMs, gapMs: 0 });
  const expiresMs = moment.nowMs + ttlMs(gate, endpoint, moment);
  if (isForced) gate.forcedLeases.set(index, { ...pending, expiresMs });
  else {
    const grantedMs = lease?.grantedMs ?? moment.nowMs;
    gate.leases.set(index, { holder: endpoint, grantedMs, expiresMs, isBroken: false });
    renewAll(gate, index, endpoint, moment);
  }
  return { ...NO_ANSWER, grants: [{ index, expiresMs }] };
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
  const expiresMs = nowMs + ttlMs(gate, endpoint, moment);
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
  const isLost =
    sentTo !== undefined && sentTo !== endpoint && isDistrusted(gate, sentTo, settings);
  const dp = lease === undefined && sentTo === undefined ? busyDp(gate, event, moment) : undefined;
  const holder = sentTo ?? lease?.holder ?? dp;
  const isRefused = holder !== undefined || !mayHoldMore(gate, event, moment);
  if (!isRefused) {
    gate.leases.set(index, { holder: endpoint, grantedMs: nowMs, expiresMs, isBroken: false });
    return { expiresMs, isServed: false };
  }
  // Nobody knows better that a sent copy is lost than the one it was sent to.
  const force = event.force ?? (sentTo === endpoint || isLost ? "holderUnreachable" : undefined);
  if (force !== undefined && mayForce(gate, event, { reason: force, index }, moment)) {
    if (force === "holderUnreachable" && holder !== undefined && holder !== endpoint) {
      passBy(gate, holder, event, moment);
    }
    // The holder that it passes by keeps its own lease.
    const forced = { holder: endpoint, grantedMs: nowMs, expiresMs, isBroken: false };
    gate.forcedLeases.set(index, forced);
    // What an endpoint lost itself is bounded by its own budget, not by the site's.
    if (sentTo !== endpoint) gate.forcedBudget.count++;
    gate.forced[force]++;
    return { expiresMs, isServed: false };
  }
  const isServed = sentTo !== undefined;
  return { isServed, ...(holder === undefined ? {} : { holder }) };
}

/** The DP that others have to wait for: it fetches, or it was given its time to begin. */
function busyDp(gate: GateState, event: GateRequest, moment: Moment): EndpointId | undefined {
  const [dp] = event.dps;
  if (dp === undefined || event.dps.includes(event.endpoint)) return undefined;
  return moment.nowMs < dpBusyUntilMs(gate, event, moment) ? dp : undefined;
}

function dpBusyUntilMs(gate: GateState, { dps }: GateRequest, moment: Moment): number {
  const { settings } = moment;
  const [dp] = dps;
  const flow = dp === undefined ? undefined : gate.flows.get(dp);
  const patienceMs = Math.max(settings.dpPatienceMs, settings.gapFactor * (flow?.gapMs ?? 0));
  return (gate.dpProgressMs ?? gate.firstMs ?? moment.nowMs) + patienceMs;
}

// Leases are few (a handful of holders), whatever the size of the package: looking at all is cheap.
function mayHoldMore(gate: GateState, event: GateRequest, { settings }: Moment): boolean {
  const { endpoint, dps } = event;
  let ownCount = 0;
  for (const { holder } of gate.leases.values()) if (holder === endpoint) ownCount++;
  if (ownCount >= settings.maxLeases) return false;
  if (dps.includes(endpoint)) return true;
  if (isResting(gate, endpoint, settings)) return false;
  return ownCount > 0 || holdersOf(gate).size < settings.maxHolders;
}

/** Different endpoints had to fetch again what it was sent. */
function isDistrusted(gate: GateState, endpoint: EndpointId, settings: GateSettings): boolean {
  const passed = gate.passedBy.get(endpoint);
  return passed !== undefined && passed.endpoints.size >= settings.passedByLimit;
}

/** Others fetch in its place for a while, as long as there are others. */
function isResting(gate: GateState, endpoint: EndpointId, settings: GateSettings): boolean {
  if (!isDistrusted(gate, endpoint, settings)) return false;
  return [...gate.leases.values()].some(({ holder }) => holder !== endpoint);
}

function passBy(gate: GateState, holder: EndpointId, event: GateRequest, moment: Moment): void {
  // A part of the site that cannot reach its DP must not stop the DP for the rest.
  if (event.dps.includes(holder)) return;
  const before = gate.passedBy.get(holder)?.endpoints ?? [];
  const untilMs = moment.nowMs + moment.settings.restMs;
  gate.passedBy.set(holder, { endpoints: new Set([...before, event.endpoint]), untilMs });
}

function mayForce(
  gate: GateState,
  { endpoint, dps }: GateRequest,
  { reason, index }: { readonly reason: ForceReason; readonly index: number },
  { nowMs, settings }: Moment,
): boolean {
  const sentTo = servedHolder(gate, index);
  const isLost = sentTo !== undefined && isDistrusted(gate, sentTo, settings);
  const { limit, count } = gate.forcedBudget;
  const most = isLost ? settings.lostFactor * limit : limit;
  if (sentTo !== endpoint && count >= most) return false;
  if (!dps.includes(endpoint) && isResting(gate, endpoint, settings)) return false;
  const firstMs = gate.firstMs ?? nowMs;
  if (reason === "noProgress") {
    return nowMs - Math.max(gate.lastServedMs, firstMs) >= settings.noProgressAfterMs;
  }
  // A served mark without its time is older than the patience: such times are forgotten.
  const isServed = sentTo !== undefined;
  const markedMs = isServed
    ? (gate.servedMs.get(index) ?? 0)
    : (gate.leases.get(index)?.grantedMs ?? firstMs);
  // What is still on its way to it, it does not ask for.
  const isOwn = sentTo === endpoint;
  const patienceMs = isOwn ? settings.unreachableAfterMs : unreachableAfterMs(gate, settings);
  return nowMs - markedMs >= patienceMs;
}
