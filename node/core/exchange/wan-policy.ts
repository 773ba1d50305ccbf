/**
 * When a node may ask for leases, and for which fragments (distribution 3.2). No rule here lets a node
 * use the WAN by its own choice: everything ends in a request that the origin's gate may refuse.
 */
import type { EndpointId } from "../../../protocol/ids.ts";
import {
  LEASE_MAX_FRAGMENTS,
  type ForceReason,
  type LeaseAnswer,
} from "../../../protocol/lease.ts";
import { HOLDER_COUNT, WanPace } from "./wan-pace.ts";

/** A node asks the gate itself after its DP has been silent for this long. */
const DP_PATIENCE_MS = 3000;
/** Silence of so many gaps between fragments is none that a slow line would explain. */
const PATIENCE_GAPS = 4;
/** Each rank behind the holders waits one step longer, so that a dead holder is replaced in order. */
const RANK_STEP_MIN_MS = 400;
const RANK_STEP_GAPS = 4;
/** Whatever rank and pace: before the site counts as being without progress. Not for all nodes at once. */
const RANK_PATIENCE_MAX_MS = 10_000;
const RANK_SPREAD_MS = 200;
const FIRST_RANKS = 2 * HOLDER_COUNT;
/** The named holder gets this long on the LAN before a forced lease is asked (distribution 3.2 step 3). */
const HOLDER_PATIENCE_MIN_MS = 2000;
/** Where there is no session with it, others had their time to bring what it was sent. */
const STRANGER_PATIENCE_MIN_MS = 1000;
/** What the origin has sent to a holder is on a slow line for as long as everything that went before it. */
const HOLDER_PATIENCE_GAPS = 8;
const STRANGER_PATIENCE_GAPS = 6;
/** Some behind the holders look for a free place after so many gaps: a holder may have died. */
const STANDBY_GAPS = 64;
/** How long the number of holders that the gate told is taken for true. */
const TOLD_GAPS = 16;
/** Who could not pass on what it fetched lets so many others go first. */
const STEPPED_DOWN_STEPS = 8;
/** With so few missing, those that fetched before go first: one slow newcomer would hold up the site. */
const TAIL_COUNT = 24;
const TAIL_STEPS = 4;
const FIRST_STANDBY_GAPS = 16;
const STANDBY_RANKS = HOLDER_COUNT + 1;
/** What a holder had that is gone is free after so long: the gate lets it come back for a second. */
const LOST_GRACE_MS = 1200;
/** Nodes of a large site that begin together do not all ask together. */
const SMALL_SITE_SIZE = 16;
const FIRST_ASK_SPREAD_MS = 10;
const FIRST_ASK_MAX_MS = 2000;
const NO_PROGRESS_MS = 30_000;
/** A token closer to its end than this is not started any more. */
const LEASE_MARGIN_MS = 500;
const REFUSED_PAUSE_MS = 700;
/** What somebody else holds or was sent is not asked for again for so long, on a slow line for longer. */
const LEASED_PAUSE_MIN_MS = 2000;
/** Empty answers in a row double the pause up to this. */
const EMPTY_PAUSE_MAX_MS = 16_000;
/** Towards the end leases come in smaller batches, so that no holder is left with the last ones. */
const BATCH_SHARE = 6;
const BATCH_MIN_COUNT = 4;
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
  /** Of these, no more than so many. */
  readonly most?: number;
  readonly release: readonly number[];
  readonly force?: ForceReason;
}

/** What the scheduler knows of the fragments that are to be asked for. */
export interface MissingFragments {
  /** How many this node lacks. */
  readonly count: number;
  /** Wanted, at no neighbour, fetched by nobody, in lease order. */
  readonly indices: () => Iterable<number>;
  /** Whether there is a session with this peer. */
  readonly isNear: (peer: EndpointId) => boolean;
}

export class WanPolicy {
  private place: WanPlace;
  private readonly pace = new WanPace();
  private readonly leases = new Map<number, Lease>();
  private readonly refused = new Map<number, Refused>();
  private toRelease: number[] = [];
  private readonly inFlight = new Set<number>();
  private asking: { readonly sinceMs: number; readonly wish: LeaseWish } | undefined;
  /** The last answer granted something: the gate counts this node among the holders. */
  private isHolder = false;
  private told: { readonly holders: number; readonly atMs: number } | undefined;
  private emptyAnswers = 0;
  private wasHolder = false;
  private hasProgressed = false;
  /** Steps of patience on top of those of the rank. */
  private extraSteps = 0;
  private askedMs: number;
  /** Not before this. */
  private readonly firstAskMs: number;
  private nextAskMs = 0;
  /** When a neighbour was lost that may have been a holder, until this node has looked for its place. */
  private lostMs: number | undefined;
  /** The gate grants no second copies before. */
  private nextForceMs = 0;
  private failurePauseMs = FAILURE_PAUSE_MIN_MS;
  private progressMs: number;
  /** When the gate last said that all places are taken: others fetch, however slow the line is. */
  private fullMs = Number.NEGATIVE_INFINITY;
  private dpHeardMs: number | undefined;

  /** `chance` in [0, 1) spreads the first requests of a large site. */
  constructor(place: WanPlace, chance: number, nowMs: number) {
    this.place = place;
    this.progressMs = nowMs;
    this.dpHeardMs = nowMs;
    this.askedMs = nowMs;
    const others = Math.max(0, place.siteSize - SMALL_SITE_SIZE);
    const spreadMs = Math.min(others * FIRST_ASK_SPREAD_MS, FIRST_ASK_MAX_MS);
    this.firstAskMs = place.role === "dp" ? nowMs : nowMs + chance * spreadMs;
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

  /** The session with the DP broke: waiting for it needs no patience any more. */
  dpLost(): void {
    this.dpHeardMs = undefined;
  }

  /** A neighbour is gone, perhaps a holder. */
  neighbourLost(nowMs: number): void {
    this.lostMs = nowMs;
  }

  /** Any verified fragment from anywhere. */
  progressed(index: number, nowMs: number): void {
    this.pace.progressed(nowMs - this.progressMs);
    this.progressMs = nowMs;
    this.hasProgressed = true;
    if (this.inFlight.delete(index)) this.pace.fetched(this.inFlight.size > 0, nowMs);
    this.refused.delete(index);
    this.leases.delete(index);
  }

  /** Fetching begins anew: the LAN gets its time first, and others may have fetched in the meantime. */
  resumed(nowMs: number): void {
    for (const index of this.leases.keys()) this.toRelease.push(index);
    this.leases.clear();
    this.isHolder = false;
    this.progressMs = nowMs;
    this.dpHeardMs = nowMs;
  }

  /** A neighbour has it: an unused lease goes back. */
  isOnLan(index: number): void {
    if (this.leases.delete(index)) this.toRelease.push(index);
  }

  /** Others are to fetch: what was not begun goes back, and this node waits its turn like anybody. */
  stepDown(): void {
    for (const index of this.leases.keys()) this.toRelease.push(index);
    this.leases.clear();
    this.isHolder = false;
    this.extraSteps = STEPPED_DOWN_STEPS;
  }

  holds(index: number): boolean {
    return this.leases.has(index) || this.inFlight.has(index);
  }

  answered(answer: LeaseAnswer, nowMs: number): void {
    const { asking } = this;
    this.asking = undefined;
    this.failurePauseMs = FAILURE_PAUSE_MIN_MS;
    if (asking !== undefined) this.pace.answered(nowMs - asking.sinceMs);
    for (const grant of answer.grants) {
      this.refused.delete(grant.index);
      this.leases.set(grant.index, { token: grant.token, endsMs: nowMs + grant.ttlMs });
    }
    for (const { index, holder, isServed } of answer.leased) {
      const before = this.refused.get(index);
      // The holder's time to pass it on begins when the origin has sent it.
      const isSame = before?.holder === holder && before.isServed === isServed;
      const sinceMs = isSame ? before.sinceMs : nowMs;
      this.refused.set(index, { holder, isServed, sinceMs, seenMs: nowMs });
    }
    if (answer.holders !== undefined) this.told = { holders: answer.holders, atMs: nowMs };
    if (asking === undefined || asking.wish.want.length === 0) return;
    if (asking.wish.force === undefined) this.judged(answer, nowMs);
    else this.forced(asking.wish.want, answer, nowMs);
  }

  private judged({ grants, leased, retryAfterMs, holders }: LeaseAnswer, nowMs: number): void {
    // Only these were taken: the next ones in order may be free.
    if (grants.length === 0 && leased.length > 0 && retryAfterMs === 0) return;
    // With something in hand it still is one of the holders: the rest of the line is taken for now.
    this.isHolder = grants.length > 0 || this.leases.size + this.inFlight.size > 0;
    this.emptyAnswers = this.isHolder ? 0 : this.emptyAnswers + 1;
    this.wasHolder ||= grants.length > 0;
    if (!this.isHolder) this.extraSteps = Math.max(this.extraSteps, 1);
    if (this.isHolder) {
      this.nextAskMs = nowMs + (grants.length > 0 ? 0 : Math.max(retryAfterMs, REFUSED_PAUSE_MS));
      return;
    }
    if ((holders ?? 0) >= HOLDER_COUNT) this.fullMs = nowMs;
    const isFirst = this.emptyAnswers === 1;
    const doubled = isFirst ? 0 : REFUSED_PAUSE_MS * 2 ** Math.min(this.emptyAnswers - 1, 10);
    this.nextAskMs = nowMs + Math.max(retryAfterMs, Math.min(doubled, EMPTY_PAUSE_MAX_MS));
  }

  /** What could not be forced gets its patience anew, so that ordinary wishes have their turn. */
  private forced(want: readonly number[], answer: LeaseAnswer, nowMs: number): void {
    if (answer.grants.length === 0 && answer.retryAfterMs > 0) {
      this.nextForceMs = nowMs + answer.retryAfterMs;
      return;
    }
    // Whoever brings a part of a split site what the other part has goes on with it.
    if (answer.grants.length > 0) this.isHolder = true;
    for (const index of want) {
      const refused = this.refused.get(index);
      const isGranted = answer.grants.some((grant) => grant.index === index);
      if (refused !== undefined && !isGranted) {
        this.refused.set(index, { ...refused, sinceMs: nowMs });
      }
    }
    this.nextAskMs = nowMs + (answer.grants.length > 0 ? 0 : REFUSED_PAUSE_MS);
  }

  /** The origin could not be reached, or refused the request. */
  failed(index: number | undefined, nowMs: number): void {
    if (index === undefined) this.asking = undefined;
    else {
      this.inFlight.delete(index);
      this.leases.delete(index);
    }
    // Several transfers that break together are one failure.
    if (nowMs < this.nextAskMs) return;
    this.nextAskMs = nowMs + this.failurePauseMs;
    this.failurePauseMs = Math.min(this.failurePauseMs * 2, FAILURE_PAUSE_MAX_MS);
  }

  /** The next leased fragment to fetch, if one more may run now. */
  nextFetch(nowMs: number): { readonly index: number; readonly token: string } | undefined {
    if (this.inFlight.size >= this.windowAt(nowMs)) return undefined;
    for (const [index, lease] of this.leases) {
      this.leases.delete(index);
      if (lease.endsMs - LEASE_MARGIN_MS <= nowMs) continue;
      this.inFlight.add(index);
      return { index, token: lease.token };
    }
    return undefined;
  }

  /** The lease request that is due, if any. `isSlow`: this node fetches nothing for others now. */
  nextWish(missing: MissingFragments, isSlow: boolean, nowMs: number): LeaseWish | undefined {
    if (this.asking !== undefined || nowMs < this.nextAskMs) return undefined;
    if (isSlow) return this.toRelease.length > 0 ? this.wish({ want: [] }, nowMs) : undefined;
    if (this.leases.size > this.pace.reserveCount || !this.mayAsk(missing.count, nowMs)) {
      return undefined;
    }
    const stalled = nowMs - this.progressMs;
    const want: number[] = [];
    const unreachable: number[] = [];
    const { gapMs, patienceGapMs } = this.pace;
    const leasedPauseMs = Math.max(LEASED_PAUSE_MIN_MS, PATIENCE_GAPS * gapMs);
    const nearMs = Math.max(HOLDER_PATIENCE_MIN_MS, HOLDER_PATIENCE_GAPS * patienceGapMs);
    const strangerMs = Math.max(STRANGER_PATIENCE_MIN_MS, STRANGER_PATIENCE_GAPS * gapMs);
    for (const index of missing.indices()) {
      const refused = this.refused.get(index);
      if (refused === undefined || nowMs - refused.seenMs > leasedPauseMs) want.push(index);
      if (refused?.isServed === true) {
        const patienceMs = missing.isNear(refused.holder) ? nearMs : strangerMs;
        if (nowMs - refused.sinceMs > patienceMs) unreachable.push(index);
      }
      if (want.length >= LEASE_MAX_FRAGMENTS) break;
    }
    if (unreachable.length > 0 && nowMs >= this.nextForceMs) {
      return this.wish({ want: unreachable.slice(0, 2), force: "holderUnreachable" }, nowMs);
    }
    if (want.length === 0) return undefined;
    return stalled > NO_PROGRESS_MS && nowMs >= this.nextForceMs
      ? this.wish({ want: want.slice(0, 2), force: "noProgress" }, nowMs)
      : this.wish({ want, most: this.batchOf(missing.count) }, nowMs);
  }

  private wish(wanted: Omit<LeaseWish, "release">, nowMs: number): LeaseWish {
    const wish = { ...wanted, release: this.toRelease.splice(0, LEASE_MAX_FRAGMENTS) };
    this.asking = { sinceMs: nowMs, wish };
    this.askedMs = nowMs;
    if (this.isPlaceFree(nowMs)) this.lostMs = undefined;
    return wish;
  }

  // A DP fetches alone: it can take all that one answer grants.
  private batchOf(missingCount: number): number {
    if (this.isDp) return LEASE_MAX_FRAGMENTS;
    const share = Math.max(BATCH_MIN_COUNT, Math.ceil(missingCount / BATCH_SHARE));
    return Math.min(share, LEASE_MAX_FRAGMENTS);
  }

  private mayAsk(missingCount: number, nowMs: number): boolean {
    const { dp, rank } = this.place;
    if (this.isDp || this.isHolder) return true;
    const isTail = missingCount <= TAIL_COUNT && this.hasProgressed && !this.wasHolder;
    const tailSteps = isTail ? TAIL_STEPS : 0;
    const behind = Math.max(0, rank - HOLDER_COUNT + 1);
    const stalledMs = nowMs - Math.max(this.progressMs, this.fullMs);
    if (dp === undefined || this.dpHeardMs === undefined) {
      const waitedMs = Math.min(2 * (this.fullMs - this.progressMs), RANK_PATIENCE_MAX_MS);
      const steps = behind + this.extraSteps + tailSteps;
      const rankMs = Math.max(this.patienceMs(steps), waitedMs);
      const hasFailed = this.extraSteps >= STEPPED_DOWN_STEPS;
      const mayStandBy = rank < STANDBY_RANKS && !isTail && !hasFailed;
      const isStandby = mayStandBy && nowMs - this.askedMs >= this.standbyMs;
      const isNext = rank < STANDBY_RANKS && this.isPlaceFree(nowMs);
      return (stalledMs >= rankMs && nowMs >= this.firstAskMs) || isStandby || isNext;
    }
    const patienceMs = Math.max(DP_PATIENCE_MS, PATIENCE_GAPS * this.pace.gapMs);
    const silentMs = nowMs - Math.max(this.dpHeardMs, this.progressMs);
    return silentMs >= patienceMs + this.patienceMs(behind);
  }

  /** The gate has had its time to hear of a lost holder, too. */
  private isPlaceFree(nowMs: number): boolean {
    return this.lostMs !== undefined && nowMs - this.lostMs >= LOST_GRACE_MS;
  }

  private patienceMs(steps: number): number {
    const stepMs = Math.max(RANK_STEP_MIN_MS, RANK_STEP_GAPS * this.pace.gapMs);
    const spreadMs = RANK_SPREAD_MS * Math.max(0, this.place.rank - FIRST_RANKS);
    return Math.min(steps * stepMs, RANK_PATIENCE_MAX_MS + spreadMs);
  }

  private get standbyMs(): number {
    const gaps = this.emptyAnswers > 0 ? STANDBY_GAPS : FIRST_STANDBY_GAPS;
    return gaps * this.pace.gapMs;
  }

  // Without other holders one stream would leave the line idle between two fragments.
  private windowAt(nowMs: number): number {
    const { told } = this;
    const most = Math.min(this.isDp ? 1 : HOLDER_COUNT, this.place.siteSize);
    const isFresh = told !== undefined && nowMs - told.atMs < TOLD_GAPS * this.pace.gapMs;
    if (this.isDp || isFresh) return this.pace.window(told?.holders ?? most);
    return this.pace.window(this.pace.isAlone ? 1 : Math.max(2, told?.holders ?? most));
  }
}
