/**
 * The fragment scheduler of one package on one node: events in, effects out, no IO, no clock, no chance.
 * LAN first, rarest first; the WAN only under leases (wan-policy.ts). The same code runs in production
 * and in the simulator.
 */
import { Bitmap } from "../../../protocol/bitmap.ts";
import type { EndpointId } from "../../../protocol/ids.ts";
import type { LeaseAnswer } from "../../../protocol/lease.ts";
import { Announcements, type AnnouncedSite, type Announcement } from "./announcements.ts";
import { LAN_DEFAULTS, LanRequests, type LanSettings } from "./lan-requests.ts";
import type { NextNumber } from "../neighbour.ts";
import { PassingOn } from "./passing-on.ts";
import { Seeding } from "./seeding.ts";
import { SiteCopies } from "./site-copies.ts";
import { LEASE_WINDOW, WantedFragments, type FragmentSizes } from "./wanted-fragments.ts";
import { WanPolicy, type LeaseWish, type WanPlace } from "./wan-policy.ts";

/** Fewer missing than this: a second LAN source is asked at once (distribution 5.3). */
const ENDGAME_COUNT = 8;
/** Ticks come every 50 ms while something is missing: after such a pause the machine has slept. */
const SLEEP_MS = 5000;

export type FragmentSource = "origin" | EndpointId;

export type SchedulerEvent =
  | { readonly type: "placed"; readonly place: WanPlace }
  /** Digests of these are known from now on: they may be fetched. */
  | {
      readonly type: "known";
      readonly indices: Iterable<number>;
      /** Only from neighbours that have them: no lease is asked for. */
      readonly isLanOnly?: true;
    }
  /** A part of these came over the line before their transfer broke. */
  | { readonly type: "begun"; readonly indices: Iterable<number> }
  /** Already on this node's disk. */
  | { readonly type: "found"; readonly indices: Iterable<number> }
  /** No longer on this node's disk. */
  | { readonly type: "vanished"; readonly indices: Iterable<number> }
  | {
      readonly type: "peerJoined";
      readonly peer: EndpointId;
      readonly isDp: boolean;
      readonly have: Bitmap;
    }
  | { readonly type: "peerHas"; readonly peer: EndpointId; readonly indices: readonly number[] }
  | { readonly type: "peerLeft"; readonly peer: EndpointId }
  /** Verified and stored. */
  | { readonly type: "arrived"; readonly index: number; readonly source: FragmentSource }
  | {
      readonly type: "failed";
      readonly index: number;
      readonly source: FragmentSource;
      readonly reason: "absent" | "busy" | "corrupt" | "lost";
    }
  | { readonly type: "leased"; readonly answer: LeaseAnswer }
  | { readonly type: "leaseFailed" }
  | { readonly type: "tick" };

export type SchedulerEffect =
  | { readonly type: "request"; readonly peer: EndpointId; readonly index: number }
  | { readonly type: "cancel"; readonly peer: EndpointId; readonly index: number }
  | { readonly type: "fetchOrigin"; readonly index: number; readonly token: string }
  | { readonly type: "askLease"; readonly wish: LeaseWish }
  | {
      readonly type: "announce";
      readonly indices: readonly number[];
      readonly peers: readonly EndpointId[];
    }
  | { readonly type: "ban"; readonly peer: EndpointId; readonly index: number }
  | { readonly type: "complete" };

export class Scheduler {
  readonly have: Bitmap;
  private readonly wanted: WantedFragments;
  private readonly site: SiteCopies;
  private readonly requests: LanRequests;
  private readonly wan: WanPolicy;
  private readonly announcements = new Announcements();
  private readonly passingOn = new PassingOn();
  /** Set while this node is the DP. */
  private seeding: Seeding | undefined;
  private readonly banned = new Set<EndpointId>();
  private readonly next: NextNumber;
  private readonly leaseShift: number;
  private mostNeighbours = 0;
  private steppedMs: number;
  private isComplete = false;
  private effects: SchedulerEffect[] = [];

  constructor(
    sizes: FragmentSizes,
    place: WanPlace,
    seed: number,
    nowMs: number,
    lan: LanSettings = LAN_DEFAULTS,
  ) {
    this.have = new Bitmap(sizes.length);
    this.wanted = new WantedFragments(this.have, sizes);
    this.steppedMs = nowMs;
    this.next = numbersFrom(seed);
    this.site = new SiteCopies(sizes.length, (index, isProven) => {
      this.passingOn.taken(index, this.steppedMs);
      // Leases are kept against the word of a stranger.
      if (isProven) this.wan.isOnLan(index);
    });
    this.requests = new LanRequests(this.site, this.next, lan);
    this.wan = new WanPolicy(place, this.next(), nowMs);
    this.leaseShift = Math.floor(this.next() * LEASE_WINDOW);
    if (this.wan.isDp) this.seeding = new Seeding(this.have, this.next);
  }

  /** Whether some neighbour has it. */
  isNearby(index: number): boolean {
    return this.site.of(index) > 0;
  }

  get peers(): readonly EndpointId[] {
    return [...this.site.neighbours.keys()];
  }

  /** What a JOIN says this node has: a DP offers its fragments instead of showing them. */
  get claims(): Bitmap {
    return this.seeding === undefined ? this.have : new Bitmap(this.have.size);
  }

  step(event: SchedulerEvent, nowMs: number): readonly SchedulerEffect[] {
    this.effects = [];
    // Nothing could come while the machine slept, and nobody is to blame.
    if (nowMs - this.steppedMs > SLEEP_MS) this.wan.resumed(nowMs);
    this.steppedMs = nowMs;
    this.take(event, nowMs);
    for (const announcement of this.announcementsDue(nowMs)) this.tell(announcement);
    if (this.have.isFull) this.complete();
    else {
      this.requests.expire(nowMs);
      this.site.endTrials(nowMs);
      this.requestFromLan(nowMs);
      this.useWan(nowMs);
    }
    return this.effects;
  }

  private take(event: SchedulerEvent, nowMs: number): void {
    switch (event.type) {
      case "placed":
        this.placed(event.place);
        break;
      case "known":
        for (const index of event.indices) this.wanted.knows(index, event.isLanOnly === true);
        break;
      case "begun":
        for (const index of event.indices) this.wanted.hasBegun(index);
        break;
      case "found":
        for (const index of event.indices) if (this.keep(index)) this.seeding?.settle(index);
        break;
      case "vanished":
        this.vanished(event.indices, nowMs);
        break;
      case "peerJoined":
        this.peerJoined(event.peer, event.isDp, event.have, nowMs);
        this.heard(event.peer, nowMs);
        break;
      case "peerHas":
        this.peerHas(event.peer, event.indices, nowMs);
        this.heard(event.peer, nowMs);
        break;
      case "peerLeft":
        this.peerLeft(event.peer);
        break;
      case "arrived":
        this.arrived(event.index, event.source, nowMs);
        break;
      case "failed":
        this.failed(event.index, event.source, event.reason, nowMs);
        break;
      case "leased":
        this.leased(event.answer, nowMs);
        break;
      case "leaseFailed":
        this.wan.failed(undefined, nowMs);
        break;
      case "tick":
        break;
      default:
        event satisfies never;
    }
  }

  private placed(place: WanPlace): void {
    this.wan.placed(place);
    if (this.wan.isDp) this.seeding ??= new Seeding(this.have, this.next);
    else if (this.seeding !== undefined) {
      // What it only offered as a DP it shows as an agent.
      for (const announcement of this.seeding.showAll(this.peers)) this.tell(announcement);
      this.seeding = undefined;
    }
  }

  private keep(index: number): boolean {
    const isNew = this.have.add(index);
    this.wanted.follow(index);
    return isNew;
  }

  private vanished(indices: Iterable<number>, nowMs: number): void {
    for (const index of indices) {
      if (!this.have.delete(index)) continue;
      this.wanted.follow(index);
      this.isComplete = false;
      for (const neighbour of this.site.neighbours.values()) neighbour.wantedAgain(index);
    }
    this.wan.resumed(nowMs);
  }

  private peerJoined(peer: EndpointId, isDp: boolean, have: Bitmap, nowMs: number): void {
    if (this.banned.has(peer) || have.size !== this.have.size) return;
    this.drop(peer);
    if (this.site.neighbours.size === 0) this.passingOn.accompanied(nowMs);
    this.site.joined(peer, isDp, have);
    this.mostNeighbours = Math.max(this.mostNeighbours, this.site.neighbours.size);
  }

  private peerHas(peer: EndpointId, indices: readonly number[], nowMs: number): void {
    const neighbour = this.site.neighbours.get(peer);
    if (neighbour === undefined) return;
    // Also the word of one that answers slowly, or not yet: it was sent what it has.
    for (const index of indices) this.passingOn.taken(index, nowMs);
    this.site.announced(neighbour, indices);
    this.seeding?.taken(peer, indices, nowMs);
  }

  private heard(peer: EndpointId, nowMs: number): void {
    this.passingOn.heard(nowMs);
    if (this.site.neighbours.get(peer)?.isDp === true) this.wan.dpHeard(nowMs);
  }

  private peerLeft(peer: EndpointId): void {
    if (this.site.neighbours.get(peer)?.isDp === true) this.wan.dpLost();
    if (!this.drop(peer)) return;
    this.wan.neighbourLost(this.steppedMs);
    // Most have turned away: what it fetches now may reach nobody.
    const { size } = this.site.neighbours;
    if (2 * size >= this.mostNeighbours) return;
    this.mostNeighbours = size;
    this.wan.stepDown();
  }

  private drop(peer: EndpointId): boolean {
    const neighbour = this.site.left(peer);
    if (neighbour === undefined) return false;
    for (const index of neighbour.inFlight) this.requests.ended(index, peer);
    this.seeding?.left(peer);
    return true;
  }

  private leased(answer: LeaseAnswer, nowMs: number): void {
    this.wan.answered(answer, nowMs);
    // Whom the origin has sent a fragment is asked for it first, announced or not.
    for (const { index, holder, isServed } of answer.leased) {
      const neighbour = this.site.neighbours.get(holder);
      if (isServed && neighbour !== undefined) this.site.announced(neighbour, [index]);
    }
  }

  private arrived(index: number, source: FragmentSource, nowMs: number): void {
    const isOverWan = source === "origin";
    const gone = this.requests.arrived(index, isOverWan ? undefined : source, nowMs);
    for (const request of gone) this.effects.push({ type: "cancel", ...request });
    this.wan.progressed(index, nowMs);
    if (!isOverWan) this.heard(source, nowMs);
    if (!this.keep(index)) return;
    if (!isOverWan) {
      if (this.seeding === undefined) this.announcements.arrived(index, source);
      else this.seeding.settle(index);
      return;
    }
    if (this.site.of(index) === 0) this.passingOn.fetched(index, nowMs);
    this.tell(
      this.seeding === undefined
        ? this.announcements.offered(index, this.announced, nowMs)
        : this.seeding.arrived(index, this.site, nowMs),
    );
  }

  private failed(
    index: number,
    source: FragmentSource,
    reason: "absent" | "busy" | "corrupt" | "lost",
    nowMs: number,
  ): void {
    if (source === "origin") {
      this.wan.failed(index, nowMs);
      return;
    }
    const sinceMs = this.requests.ended(index, source) ?? nowMs;
    const neighbour = this.site.neighbours.get(source);
    if (neighbour === undefined) return;
    if (reason === "busy") neighbour.busy(index, nowMs);
    else if (reason === "lost") {
      this.site.judged(neighbour, () => neighbour.timedOut(index, sinceMs, nowMs));
    } else {
      const isBanned = reason === "corrupt" && neighbour.struck();
      this.site.lacks(neighbour, index);
      if (isBanned) this.ban(source, index);
    }
  }

  private ban(peer: EndpointId, index: number): void {
    this.banned.add(peer);
    this.drop(peer);
    this.effects.push({ type: "ban", peer, index });
  }

  private requestFromLan(nowMs: number): void {
    const wishes = {
      isWanted: (index: number) => this.wanted.isKnown(index) && !this.wan.holds(index),
      few: this.wanted.few,
      isGone: (index: number) => this.have.has(index),
      isEndgame: this.wanted.missing.count <= ENDGAME_COUNT,
    };
    for (const request of this.requests.due(wishes, nowMs)) {
      this.effects.push({ type: "request", ...request });
    }
  }

  private useWan(nowMs: number): void {
    // Nobody fetches in the place of a DP.
    const isFailing = !this.wan.isDp && this.passingOn.isFailing(nowMs);
    if (isFailing) this.wan.stepDown();
    while (this.wan.isDp || this.passingOn.mayFetch(nowMs)) {
      const fetch = this.wan.nextFetch(nowMs);
      if (fetch === undefined) break;
      this.effects.push({ type: "fetchOrigin", ...fetch });
    }
    const missing = {
      count: this.wanted.missing.count,
      indices: () => this.missingOnSite(),
      isNear: (peer: EndpointId) => this.site.neighbours.has(peer),
    };
    const wish = this.wan.nextWish(missing, isFailing, nowMs);
    if (wish !== undefined) this.effects.push({ type: "askLease", wish });
  }

  /** Wanted, at no neighbour, fetched by nobody. */
  private *missingOnSite(): Generator<number> {
    for (const index of this.wanted.inLeaseOrder(this.leaseShift)) {
      const isFree = this.site.of(index) === 0 && !this.requests.isAsked(index);
      if (isFree && !this.wan.holds(index)) yield index;
    }
  }

  private announcementsDue(nowMs: number): readonly Announcement[] {
    const own = this.announcements.due(this.announced, nowMs);
    return this.seeding === undefined ? own : [...own, ...this.seeding.due(this.site, nowMs)];
  }

  private get announced(): AnnouncedSite {
    const isEnd = this.wanted.missing.count === 0;
    return { neighbours: this.site.neighbours, usualMs: this.requests.usualMs, isEnd };
  }

  private tell(announcement: Announcement | undefined): void {
    if (announcement !== undefined) this.effects.push({ type: "announce", ...announcement });
  }

  private complete(): void {
    if (this.isComplete) return;
    this.isComplete = true;
    this.effects.push({ type: "complete" });
  }
}

// Mulberry32: small, seeded, good enough to break ties.
function numbersFrom(seed: number): NextNumber {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
