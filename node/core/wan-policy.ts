/**
 * When a node may ask for leases, and for which fragments (distribution 3.2). No rule here lets a node
 * use the WAN by its own choice: everything ends in a request that the origin's gate may refuse.
 */
import type { EndpointId } from "../../protocol/ids.ts";
import { LEASE_MAX_FRAGMENTS, type ForceReason, type LeaseAnswer } from "../../protocol/lease.ts";

/** Holders side by side without a DP: one may die without an idle line (distribution 3.3). */
export const HOLDER_COUNT = 3;
/** A node asks the gate itself after its DP has been silent for this long. */
const DP_PATIENCE_MS = 3000;
/** Each rank behind the holders waits one step longer, so that a dead holder is replaced in order. */
const RANK_STEP_MS = 250;
const RANK_PATIENCE_MAX_MS = 10_000;
/** The named holder gets this long on the LAN before a forced lease is asked (distribution 3.2 step 3). */
const HOLDER_PATIENCE_MS = 2000;
const NO_PROGRESS_MS = 30_000;
/** A lease closer to its end than this is not started any more. */
const LEASE_MARGIN_MS = 500;
const REFUSED_PAUSE_MS = 700;
const FAILURE_PAUSE_MIN_MS = 1000;
const FAILURE_PAUSE_MAX_MS = 30_000;

/** What the last check-in says of the site, as far as the WAN is concerned. */
export interface WanPlace {
  readonly role: "agent" | "dp";
  /** The DP in use; undefined for none. */
  readonly dp: EndpointId | undefined;
  /** Position by rendezvous hash among the peers that fetch the package too; 0 asks first. */
  readonly rank: number;
  /** Peers of the site, this one included. */
  readonly siteSize: number;
}

interface Lease {
  readonly token: string;
  readonly endsMs: number;
}

interface Refused {
  readonly holder: EndpointId;
  readonly isServed: boolean;
  readonly sinceMs: number;
  readonly seenMs: number;
}

export interface LeaseWish {
  readonly want: readonly number[];
  readonly release: readonly number[];
  readonly force?: ForceReason;
}

export class WanPolicy {
  private place: WanPlace;
  private readonly leases = new Map<number, Lease>();
  private readonly refused = new Map<number, Refused>();
  private readonly toRelease: number[] = [];
  private readonly inFlight = new Set<number>();
  private isAsking = false;
  private forcing: readonly number[] = [];
  private nextAskMs = 0;
  private failurePauseMs = FAILURE_PAUSE_MIN_MS;
  private progressMs: number;
  private dpHeardMs: number;

  constructor(place: WanPlace, nowMs: number) {
    this.place = place;
    this.progressMs = nowMs;
    this.dpHeardMs = nowMs;
  }

  get isDp(): boolean {
    return this.place.role === "dp";
  }

  placed(place: WanPlace): void {
    this.place = place;
  }

  /** The DP joined, announced or sent something. */
  dpHeard(nowMs: number): void {
    this.dpHeardMs = nowMs;
  }

  /** Any verified fragment from anywhere. */
  progressed(index: number, nowMs: number): void {
    this.progressMs = nowMs;
    this.inFlight.delete(index);
    this.refused.delete(index);
    this.leases.delete(index);
  }

  /** Fetching begins anew: the LAN gets its time first. */
  resumed(nowMs: number): void {
    this.progressMs = nowMs;
    this.dpHeardMs = nowMs;
  }

  /** A neighbour has it: an unused lease goes back. */
  isOnLan(index: number): void {
    if (this.leases.delete(index)) this.toRelease.push(index);
  }

  holds(index: number): boolean {
    return this.leases.has(index) || this.inFlight.has(index);
  }

  answered(answer: LeaseAnswer, nowMs: number): void {
    this.isAsking = false;
    this.failurePauseMs = FAILURE_PAUSE_MIN_MS;
    for (const grant of answer.grants) {
      this.refused.delete(grant.index);
      this.leases.set(grant.index, { token: grant.token, endsMs: nowMs + grant.ttlMs });
    }
    for (const { index, holder, isServed } of answer.leased) {
      const before = this.refused.get(index);
      const sinceMs = before?.holder === holder ? before.sinceMs : nowMs;
      this.refused.set(index, { holder, isServed, sinceMs, seenMs: nowMs });
    }
    this.forcedInVain(answer, nowMs);
    const pauseMs = answer.grants.length > 0 ? 0 : REFUSED_PAUSE_MS;
    this.nextAskMs = nowMs + Math.max(answer.retryAfterMs, pauseMs);
  }

  /** What could not be forced gets its patience anew, so that ordinary wishes have their turn. */
  private forcedInVain(answer: LeaseAnswer, nowMs: number): void {
    for (const index of this.forcing) {
      const refused = this.refused.get(index);
      const isGranted = answer.grants.some((grant) => grant.index === index);
      if (refused !== undefined && !isGranted) {
        this.refused.set(index, { ...refused, sinceMs: nowMs });
      }
    }
    this.forcing = [];
  }

  /** The origin could not be reached, or refused the request. */
  failed(index: number | undefined, nowMs: number): void {
    if (index === undefined) this.isAsking = false;
    else {
      this.inFlight.delete(index);
      this.leases.delete(index);
    }
    this.nextAskMs = nowMs + this.failurePauseMs;
    this.failurePauseMs = Math.min(this.failurePauseMs * 2, FAILURE_PAUSE_MAX_MS);
  }

  /** The next leased fragment to fetch, if one more may run now. */
  nextFetch(nowMs: number): { readonly index: number; readonly token: string } | undefined {
    if (this.inFlight.size >= this.parallel) return undefined;
    for (const [index, lease] of this.leases) {
      this.leases.delete(index);
      if (lease.endsMs - LEASE_MARGIN_MS <= nowMs) continue;
      this.inFlight.add(index);
      return { index, token: lease.token };
    }
    return undefined;
  }

  /**
   * The lease request that is due, if any. `missing` yields wanted indices that no neighbour has and
   * nobody fetches, in lease order.
   */
  nextWish(missing: () => Iterable<number>, nowMs: number): LeaseWish | undefined {
    if (this.isAsking || nowMs < this.nextAskMs || this.leases.size > this.lowWater)
      return undefined;
    if (!this.mayAsk(nowMs)) return undefined;
    const stalled = nowMs - this.progressMs;
    const want: number[] = [];
    const unreachable: number[] = [];
    for (const index of missing()) {
      const refused = this.refused.get(index);
      if (refused === undefined || nowMs - refused.seenMs > REFUSED_PAUSE_MS) want.push(index);
      if (refused?.isServed === true && nowMs - refused.sinceMs > HOLDER_PATIENCE_MS) {
        unreachable.push(index);
      }
      if (want.length >= LEASE_MAX_FRAGMENTS) break;
    }
    if (unreachable.length > 0) return this.wish(unreachable.slice(0, 2), "holderUnreachable");
    if (want.length === 0) return undefined;
    return stalled > NO_PROGRESS_MS ? this.wish(want.slice(0, 2), "noProgress") : this.wish(want);
  }

  private wish(want: readonly number[], force?: ForceReason): LeaseWish {
    this.isAsking = true;
    const release = this.toRelease.splice(0, LEASE_MAX_FRAGMENTS);
    this.forcing = force === undefined ? [] : want;
    return { want, release, ...(force === undefined ? {} : { force }) };
  }

  private mayAsk(nowMs: number): boolean {
    const { role, dp, rank } = this.place;
    if (role === "dp") return true;
    const behind = Math.max(0, rank - HOLDER_COUNT + 1);
    const rankMs = Math.min(behind * RANK_STEP_MS, RANK_PATIENCE_MAX_MS);
    // Own progress must not renew the wait for a DP that is gone, or each lease would cost it again.
    const isDpSilent = dp === undefined || nowMs - this.dpHeardMs >= DP_PATIENCE_MS;
    return isDpSilent && nowMs - this.progressMs >= rankMs;
  }

  // Without other holders one stream would leave the line idle between two fragments.
  private get parallel(): number {
    return this.place.role === "dp" || this.place.siteSize < HOLDER_COUNT ? 2 : 1;
  }

  private get lowWater(): number {
    return this.place.role === "dp" ? 8 : 1;
  }
}
