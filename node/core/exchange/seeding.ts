/**
 * How a DP gives out what it has: it does not show its fragments, it offers them, each to few peers that
 * pass it on. What comes fresh over the WAN goes to two rotating peers, again where copies stay rare; what
 * is older goes to few active peers that lack it, the rarest first, so that the DP's port carries every
 * fragment about once (distribution 2.3 and 3.2 step 4). A peer that does not take what it is offered wants
 * only some of the package: it is shown everything and chooses.
 */
import type { Bitmap } from "../../../protocol/bitmap.ts";
import { HAVE_MAX_COUNT } from "../../../protocol/exchange.ts";
import type { EndpointId } from "../../../protocol/ids.ts";
import type { Announcement } from "./announcements.ts";
import type { Neighbour, NextNumber } from "../neighbour.ts";
import type { SiteCopies } from "./site-copies.ts";

const FIRST_OFFERS = 2;
/** A fresh fragment with fewer than 4 + 2k copies after k rounds is offered again. */
const ROUND_MS = 500;
const ROUND_MAX_COUNT = 3;
const COPIES_ENOUGH = 4;
const COPIES_PER_ROUND = 2;
/** Peers that are brought up to date at the same time (distribution 2.3). */
const ACTIVE_MAX_COUNT = 16;
/** Offers that one peer has not taken yet: grows while it takes them as fast as they come. */
const WINDOW_FIRST = 4;
const WINDOW_MAX = 64;
/** An offer that is not taken for so long counts no more; the first ones of a peer sooner. */
const STALE_MS = 3000;
const FIRST_STALE_MS = 1500;
const SAMPLE_SIZE = 48;
/** With many neighbours, all of them are looked through no more often than this. */
const REVIEW_MS = 20;
const FEW_NEIGHBOURS = 32;

interface Fresh {
  readonly index: number;
  readonly atMs: number;
  readonly rounds: number;
}

interface Taker {
  /** Offered and not taken, with the time of the offer. */
  readonly open: Map<number, number>;
  window: number;
  /** When it last took something; undefined: never. */
  takenMs: number | undefined;
  /** Is shown everything: it takes what it wants. */
  isShown: boolean;
  /** It has everything below, as far as has been looked. */
  lowest: number;
}

export class Seeding {
  private readonly have: Bitmap;
  private readonly next: NextNumber;
  private fresh: readonly Fresh[] = [];
  /** What may be offered to whoever lacks it, in random order. */
  private readonly settled: number[] = [];
  private firstPass = 0;
  /** Offers ever made, and those that are open. */
  private readonly offered: Uint16Array;
  private readonly takers = new Map<EndpointId, Taker>();
  private readonly active = new Set<EndpointId>();
  private turn = 0;
  private reviewedMs = Number.NEGATIVE_INFINITY;
  /** Not offered to few any more: peers that are shown everything hear of them. */
  private unshown: number[] = [];

  constructor(have: Bitmap, next: NextNumber) {
    this.have = have;
    this.next = next;
    this.offered = new Uint16Array(have.size);
    for (let index = 0; index < have.size; index++) if (have.has(index)) this.settle(index);
  }

  /** From the disk or from a peer: the site has it elsewhere, or nobody waits for it. */
  settle(index: number): void {
    const at =
      this.firstPass + Math.floor(this.next() * (this.settled.length + 1 - this.firstPass));
    this.settled.push(this.settled[at] ?? index);
    this.settled[at] = index;
  }

  /** Came over the WAN. */
  arrived(index: number, site: SiteCopies, nowMs: number): Announcement | undefined {
    this.fresh = [...this.fresh, { index, atMs: nowMs, rounds: 0 }];
    return this.offerFresh(index, site, nowMs);
  }

  /** A peer has these now, from wherever. */
  taken(peer: EndpointId, indices: readonly number[], nowMs: number): void {
    const taker = this.takers.get(peer);
    if (taker === undefined) return;
    let count = 0;
    for (const index of indices) if (taker.open.delete(index)) count++;
    if (count > 0) taker.takenMs = nowMs;
    if (count > 0 && taker.open.size <= taker.window / 4) {
      taker.window = Math.min(taker.window * 2, WINDOW_MAX);
    }
  }

  left(peer: EndpointId): void {
    this.takers.delete(peer);
    this.active.delete(peer);
  }

  /** What is due by now. */
  due(site: SiteCopies, nowMs: number): readonly Announcement[] {
    const isReview = site.neighbours.size <= FEW_NEIGHBOURS || nowMs - this.reviewedMs >= REVIEW_MS;
    if (!isReview) return [];
    this.reviewedMs = nowMs;
    const again = this.nextRounds(site, nowMs);
    this.chooseActive(site);
    const refills = [...this.active].flatMap((peer) => this.refill(peer, site, nowMs));
    return [...again, ...refills, ...this.showSettled(site)];
  }

  /** Everything, in messages of bounded length. */
  showAll(peers: readonly EndpointId[]): readonly Announcement[] {
    if (peers.length === 0) return [];
    const all: number[] = [];
    for (let index = 0; index < this.have.size; index++) if (this.have.has(index)) all.push(index);
    const count = Math.ceil(all.length / HAVE_MAX_COUNT);
    return Array.from({ length: count }, (_none, part) => {
      return { indices: all.slice(part * HAVE_MAX_COUNT, (part + 1) * HAVE_MAX_COUNT), peers };
    });
  }

  private showSettled(site: SiteCopies): readonly Announcement[] {
    const settled = this.unshown;
    this.unshown = [];
    if (settled.length === 0) return [];
    return [...this.takers]
      .filter(([, { isShown }]) => isShown)
      .map(([peer]) => {
        const isNews = (index: number): boolean =>
          site.neighbours.get(peer)?.have.has(index) === false;
        return { indices: settled.filter(isNews), peers: [peer] };
      })
      .filter(({ indices }) => indices.length > 0);
  }

  private offerFresh(index: number, site: SiteCopies, nowMs: number): Announcement | undefined {
    const peers: EndpointId[] = [];
    const all = [...site.neighbours.values()];
    for (let tried = 0; tried < all.length && peers.length < FIRST_OFFERS; tried++) {
      const neighbour = all[this.turn++ % all.length];
      if (neighbour === undefined || neighbour.have.has(index)) continue;
      const taker = this.takerOf(neighbour.peer);
      if (taker.open.has(index) || this.openCount(taker, nowMs) >= taker.window) continue;
      this.note(taker, index, nowMs);
      peers.push(neighbour.peer);
    }
    return peers.length === 0 ? undefined : { indices: [index], peers };
  }

  private nextRounds(site: SiteCopies, nowMs: number): readonly Announcement[] {
    const due = this.fresh.filter(({ atMs, rounds }) => nowMs - atMs >= ROUND_MS * (rounds + 1));
    if (due.length === 0) return [];
    const waiting = this.fresh.filter((one) => !due.includes(one));
    const again = due.filter(({ index, rounds }) => {
      const isRare = site.of(index) < COPIES_ENOUGH + COPIES_PER_ROUND * rounds;
      return isRare && rounds < ROUND_MAX_COUNT;
    });
    for (const one of due) {
      if (again.includes(one)) continue;
      this.settle(one.index);
      this.unshown.push(one.index);
    }
    this.fresh = [...waiting, ...again.map((one) => ({ ...one, rounds: one.rounds + 1 }))];
    return again.flatMap(({ index }) => this.offerFresh(index, site, nowMs) ?? []);
  }

  /** Whoever lacks most comes first; who is active stays so until it has what there is. */
  private chooseActive(site: SiteCopies): void {
    for (const peer of this.active) {
      const neighbour = site.neighbours.get(peer);
      if (neighbour === undefined || !this.isServed(neighbour)) this.active.delete(peer);
    }
    if (this.active.size >= ACTIVE_MAX_COUNT) return;
    const waiting = [...site.neighbours.values()]
      .filter((neighbour) => !this.active.has(neighbour.peer) && this.isServed(neighbour))
      .toSorted((one, other) => one.have.count - other.have.count);
    for (const { peer } of waiting.slice(0, ACTIVE_MAX_COUNT - this.active.size)) {
      this.active.add(peer);
    }
  }

  // Of what is fresh a peer may have some: as long as it lacks more than that, it lacks older ones.
  private isServed({ peer, have }: Neighbour): boolean {
    const isBehind = have.count < (this.have.isFull ? have.size : this.settled.length);
    return isBehind && this.takers.get(peer)?.isShown !== true;
  }

  private refill(peer: EndpointId, site: SiteCopies, nowMs: number): readonly Announcement[] {
    const neighbour = site.neighbours.get(peer);
    if (neighbour === undefined) return [];
    const taker = this.takerOf(peer);
    const openCount = this.openCount(taker, nowMs);
    if (taker.isShown) return this.showAll([peer]);
    const indices: number[] = [];
    // A newcomer can ask for nothing until it has the pages, which come first in the swarm's order.
    const lowest = newcomerNext(neighbour, taker);
    if (lowest !== undefined && this.have.has(lowest) && !taker.open.has(lowest)) {
      this.note(taker, lowest, nowMs);
      indices.push(lowest);
    }
    for (let room = taker.window - openCount; room > 0; room--) {
      const index = this.choose(neighbour, taker, site);
      if (index === undefined) break;
      this.note(taker, index, nowMs);
      indices.push(index);
    }
    return indices.length === 0 ? [] : [{ indices, peers: [peer] }];
  }

  /** What was never offered; then the rarest of a sample; towards the end whatever is left. */
  private choose(neighbour: Neighbour, taker: Taker, site: SiteCopies): number | undefined {
    const { settled, offered } = this;
    const isOpen = (index: number): boolean =>
      this.have.has(index) && !neighbour.have.has(index) && !taker.open.has(index);
    while ((offered[settled[this.firstPass] ?? -1] ?? 0) > 0) this.firstPass++;
    const first = settled.slice(this.firstPass, this.firstPass + SAMPLE_SIZE);
    const never = first.find((index) => (offered[index] ?? 0) === 0 && isOpen(index));
    if (never !== undefined) return never;
    let best: number | undefined;
    const rarity = (index: number): number => site.of(index) + (offered[index] ?? 0);
    const look = (index: number): void => {
      if (isOpen(index) && (best === undefined || rarity(index) < rarity(best))) best = index;
    };
    for (let tried = 0; tried < SAMPLE_SIZE; tried++) {
      look(settled[Math.floor(this.next() * settled.length)] ?? -1);
    }
    if (best === undefined && neighbour.have.size - neighbour.have.count <= SAMPLE_SIZE) {
      settled.forEach(look);
    }
    return best;
  }

  private note(taker: Taker, index: number, nowMs: number): void {
    taker.open.set(index, nowMs);
    this.offered[index] = (this.offered[index] ?? 0) + 1;
  }

  private openCount(taker: Taker, nowMs: number): number {
    const { takenMs } = taker;
    const staleMs = takenMs === undefined ? FIRST_STALE_MS : STALE_MS;
    for (const [index, atMs] of taker.open) {
      if (nowMs - atMs < staleMs) break;
      taker.open.delete(index);
      taker.isShown = takenMs === undefined || nowMs - takenMs >= staleMs;
    }
    return taker.open.size;
  }

  private takerOf(peer: EndpointId): Taker {
    const known = this.takers.get(peer);
    if (known !== undefined) return known;
    const taker = {
      open: new Map<number, number>(),
      window: WINDOW_FIRST,
      takenMs: undefined,
      isShown: false,
      lowest: 0,
    };
    this.takers.set(peer, taker);
    return taker;
  }
}

/** The first fragment that a peer lacks, as long as it has nothing behind it. */
function newcomerNext({ have }: Neighbour, taker: Taker): number | undefined {
  while (have.has(taker.lowest)) taker.lowest++;
  return taker.lowest === have.count ? taker.lowest : undefined;
}
