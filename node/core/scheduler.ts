/**
 * The fragment scheduler of one package on one node: events in, effects out, no IO, no clock, no chance.
 * LAN first, rarest first; the WAN only under leases (wan-policy.ts). The same code runs in production
 * and in tests.
 */
import { Bitmap } from "../../protocol/bitmap.ts";
import type { EndpointId } from "../../protocol/ids.ts";
import type { LeaseAnswer } from "../../protocol/lease.ts";
import { Announcements, type Announcement } from "./announcements.ts";
import { Neighbour, type NextNumber } from "./neighbour.ts";
import { WanPolicy, type LeaseWish, type WanPlace } from "./wan-policy.ts";

/** Leases are shuffled inside this window, so that holders ask for different fragments. */
const LEASE_WINDOW = 64;
/** A holder with so many fragments that nobody took yet asks for no more leases for a while. */
const UNSPREAD_MAX_COUNT = 4;
const UNSPREAD_FORGET_MS = 10_000;
const HEARD_LATELY_MS = 2000;
/** Fewer missing than this: a second LAN source is asked for what is late (distribution 5.3). */
const ENDGAME_COUNT = 8;

export type FragmentSource = "origin" | EndpointId;

export type SchedulerEvent =
  | { readonly type: "placed"; readonly place: WanPlace }
  /** Digests of these are known from now on: they may be fetched. */
  | { readonly type: "known"; readonly indices: Iterable<number> }
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

interface Asked {
  readonly peer: EndpointId;
  readonly sinceMs: number;
  readonly deadlineMs: number;
}

export class Scheduler {
  readonly have: Bitmap;
  private readonly known: Bitmap;
  private readonly neighbours = new Map<EndpointId, Neighbour>();
  private readonly banned = new Set<EndpointId>();
  private readonly availability: Uint16Array;
  /** LAN requests by index; two entries only in the endgame. */
  private readonly asked = new Map<number, Asked[]>();
  private readonly wan: WanPolicy;
  private readonly next: NextNumber;
  private readonly leaseShift: number;
  private lowestMissing = 0;
  private readonly announcements = new Announcements();
  /** When any peer last joined, announced or sent something. */
  private heardMs = 0;
  /** Fetched over the WAN and at no neighbour yet, with the time of arrival. */
  private readonly unspread = new Map<number, number>();
  private isComplete = false;
  private effects: SchedulerEffect[] = [];

  constructor(fragmentCount: number, place: WanPlace, seed: number, nowMs: number) {
    this.have = new Bitmap(fragmentCount);
    this.known = new Bitmap(fragmentCount);
    this.availability = new Uint16Array(fragmentCount);
    this.wan = new WanPolicy(place, nowMs);
    this.next = numbersFrom(seed);
    this.leaseShift = Math.floor(this.next() * LEASE_WINDOW);
  }

  get peers(): readonly EndpointId[] {
    return [...this.neighbours.keys()];
  }

  step(event: SchedulerEvent, nowMs: number): readonly SchedulerEffect[] {
    this.effects = [];
    this.take(event, nowMs);
    const site = {
      neighbours: this.neighbours,
      copies: (index: number): number => this.copiesOf(index),
      isDp: this.wan.isDp,
      isFull: this.have.isFull,
    };
    for (const announcement of this.announcements.due(site, nowMs)) this.tell(announcement);
    if (this.have.isFull) this.complete();
    else {
      this.expire(nowMs);
      this.requestFromLan(nowMs);
      this.useWan(nowMs);
    }
    return this.effects;
  }

  private take(event: SchedulerEvent, nowMs: number): void {
    switch (event.type) {
      case "placed":
        this.wan.placed(event.place);
        break;
      case "known":
        for (const index of event.indices) this.known.add(index);
        break;
      case "found":
        for (const index of event.indices) this.have.add(index);
        break;
      case "vanished":
        this.vanished(event.indices, nowMs);
        break;
      case "peerJoined":
        this.peerJoined(event.peer, event.isDp, event.have);
        this.heard(event.peer, nowMs);
        break;
      case "peerHas":
        this.peerHas(event.peer, event.indices);
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
        this.wan.answered(event.answer, nowMs);
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

  private vanished(indices: Iterable<number>, nowMs: number): void {
    for (const index of indices) {
      if (!this.have.delete(index)) continue;
      this.isComplete = false;
      this.lowestMissing = Math.min(this.lowestMissing, index);
      for (const neighbour of this.neighbours.values()) neighbour.wantedAgain(index);
    }
    this.wan.resumed(nowMs);
  }

  private peerJoined(peer: EndpointId, isDp: boolean, have: Bitmap): void {
    if (this.banned.has(peer) || have.size !== this.have.size) return;
    this.peerLeft(peer);
    const neighbour = new Neighbour(peer, isDp, have);
    this.neighbours.set(peer, neighbour);
    this.countClaims(neighbour, 1);
  }

  private peerHas(peer: EndpointId, indices: readonly number[]): void {
    const neighbour = this.neighbours.get(peer);
    if (neighbour === undefined) return;
    for (const index of indices) {
      if (neighbour.announced(index) && neighbour.isCredible) this.nowOnLan(index);
    }
  }

  private heard(peer: EndpointId, nowMs: number): void {
    this.heardMs = nowMs;
    if (this.neighbours.get(peer)?.isDp === true) this.wan.dpHeard(nowMs);
  }

  private nowOnLan(index: number): void {
    this.availability[index] = this.copiesOf(index) + 1;
    this.unspread.delete(index);
    this.wan.isOnLan(index);
  }

  private peerLeft(peer: EndpointId): void {
    const neighbour = this.neighbours.get(peer);
    if (neighbour === undefined) return;
    this.neighbours.delete(peer);
    for (const index of neighbour.inFlight) this.forget(index, peer);
    if (neighbour.isCredible) this.countClaims(neighbour, -1);
  }

  /** Runs a change of a neighbour and follows its credibility in the availability counts. */
  private judged(neighbour: Neighbour, change: () => void): void {
    const was = neighbour.isCredible;
    change();
    if (was !== neighbour.isCredible) this.countClaims(neighbour, was ? -1 : 1);
  }

  private countClaims(neighbour: Neighbour, by: 1 | -1): void {
    for (let index = 0; index < neighbour.have.size; index++) {
      if (!neighbour.have.has(index)) continue;
      if (by === 1) this.nowOnLan(index);
      else this.lessOnLan(index);
    }
  }

  private lessOnLan(index: number): void {
    this.availability[index] = Math.max(0, this.copiesOf(index) - 1);
  }

  private copiesOf(index: number): number {
    return this.availability[index] ?? 0;
  }

  private arrived(index: number, source: FragmentSource, nowMs: number): void {
    for (const { peer, sinceMs } of this.asked.get(index) ?? []) {
      const neighbour = this.neighbours.get(peer);
      if (neighbour === undefined) continue;
      if (peer === source) this.judged(neighbour, () => neighbour.answered(index, nowMs - sinceMs));
      else {
        neighbour.inFlight.delete(index);
        this.effects.push({ type: "cancel", peer, index });
      }
    }
    this.asked.delete(index);
    this.wan.progressed(index, nowMs);
    if (source !== "origin") this.heard(source, nowMs);
    if (!this.have.add(index)) return;
    if (source === "origin") {
      if (this.copiesOf(index) === 0) this.unspread.set(index, nowMs);
      this.tell(this.announcements.offered(index, this.neighbours, nowMs));
    } else this.announcements.arrived(index, nowMs);
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
    this.forget(index, source);
    const neighbour = this.neighbours.get(source);
    if (neighbour === undefined) return;
    if (reason === "busy") neighbour.busy(index, nowMs);
    else if (reason === "lost") this.judged(neighbour, () => neighbour.timedOut(index, nowMs));
    else {
      const isBanned = reason === "corrupt" && neighbour.struck();
      if (neighbour.lacks(index) && neighbour.isCredible) this.lessOnLan(index);
      if (isBanned) this.ban(source, index);
    }
  }

  private ban(peer: EndpointId, index: number): void {
    this.banned.add(peer);
    this.peerLeft(peer);
    this.effects.push({ type: "ban", peer, index });
  }

  private forget(index: number, peer: EndpointId): void {
    const rest = (this.asked.get(index) ?? []).filter((asked) => asked.peer !== peer);
    if (rest.length === 0) this.asked.delete(index);
    else this.asked.set(index, rest);
  }

  private expire(nowMs: number): void {
    for (const [index, requests] of this.asked) {
      for (const { peer, deadlineMs } of requests) {
        if (deadlineMs > nowMs) continue;
        this.forget(index, peer);
        const neighbour = this.neighbours.get(peer);
        if (neighbour !== undefined) this.judged(neighbour, () => neighbour.timedOut(index, nowMs));
        this.effects.push({ type: "cancel", peer, index });
      }
    }
  }

  private requestFromLan(nowMs: number): void {
    const isEndgame = this.have.size - this.have.count <= ENDGAME_COUNT;
    for (const neighbour of this.neighbours.values()) {
      while (neighbour.mayAsk(nowMs)) {
        const index = neighbour.pick(
          (candidate) => this.isWantedFrom(candidate, neighbour.peer, isEndgame),
          (candidate) => this.have.has(candidate),
          (candidate) => this.copiesOf(candidate),
          this.next,
        );
        if (index === undefined) break;
        const asked = {
          peer: neighbour.peer,
          sinceMs: nowMs,
          deadlineMs: nowMs + neighbour.timeoutMs,
        };
        this.asked.set(index, [...(this.asked.get(index) ?? []), asked]);
        this.effects.push({ type: "request", peer: neighbour.peer, index });
      }
    }
  }

  private isWantedFrom(index: number, peer: EndpointId, isEndgame: boolean): boolean {
    if (!this.known.has(index) || this.wan.holds(index)) return false;
    const asked = this.asked.get(index);
    if (asked === undefined) return true;
    return isEndgame && asked.length === 1 && asked[0]?.peer !== peer;
  }

  private useWan(nowMs: number): void {
    for (;;) {
      const fetch = this.wan.nextFetch(nowMs);
      if (fetch === undefined) break;
      this.effects.push({ type: "fetchOrigin", ...fetch });
    }
    if (this.isSlowSource(nowMs)) return;
    const wish = this.wan.nextWish(() => this.missingOnSite(), nowMs);
    if (wish !== undefined) this.effects.push({ type: "askLease", wish });
  }

  /** Takes over the line what it cannot pass on: others fetch instead until it has caught up. */
  private isSlowSource(nowMs: number): boolean {
    for (const [index, atMs] of this.unspread) {
      if (nowMs - atMs > UNSPREAD_FORGET_MS) this.unspread.delete(index);
    }
    // Neighbours that are silent altogether prove nothing against this node.
    const isSiteAlive = nowMs - this.heardMs < HEARD_LATELY_MS;
    // Nobody fetches in the place of a DP.
    return isSiteAlive && !this.wan.isDp && this.unspread.size >= UNSPREAD_MAX_COUNT;
  }

  /** Wanted, at no neighbour, fetched by nobody: nearly sequential, shifted inside each window. */
  private *missingOnSite(): Generator<number> {
    const size = this.have.size;
    while (this.lowestMissing < size && this.have.has(this.lowestMissing)) this.lowestMissing++;
    const first = this.lowestMissing - (this.lowestMissing % LEASE_WINDOW);
    for (let start = first; start < size; start += LEASE_WINDOW) {
      const length = Math.min(LEASE_WINDOW, size - start);
      for (let offset = 0; offset < length; offset++) {
        const index = start + ((offset + this.leaseShift) % length);
        const isMissing =
          this.known.has(index) &&
          !this.have.has(index) &&
          this.copiesOf(index) === 0 &&
          !this.asked.has(index) &&
          !this.wan.holds(index);
        if (isMissing) yield index;
      }
    }
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
