/**
 * How an agent tells its neighbours what arrived. What came over the LAN is told in small batches to those
 * who can use it: who lacks it, who sent it and counts its copies, and a DP, which counts them all. Everyone
 * else hears of it with the next such message. What came over the WAN goes to two rotating peers first, so
 * that they pass it on (distribution 3.2 step 4). A DP does not announce: it offers (seeding.ts).
 */
import type { EndpointId } from "../../../protocol/ids.ts";
import type { Neighbour } from "../neighbour.ts";

const FIRST_OFFERS = 2;
const OFFER_ALL_MS = 500;
/** The first after a pause is told at once, what follows so soon in one message. */
const HAVE_BATCH_MS = 50;
const HAVE_BATCH_COUNT = 16;
/** So late, or when so much has gathered, everyone hears of everything. */
const LATE_MS = 1000;
const LATE_MAX_COUNT = 256;

export interface Announcement {
  readonly indices: readonly number[];
  readonly peers: readonly EndpointId[];
}

/** What the announcements need to know of the site right now. */
export interface AnnouncedSite {
  readonly neighbours: ReadonlyMap<EndpointId, Neighbour>;
  /** Usual time of an answer on the LAN. */
  readonly usualMs: number;
  /** Nothing more will come soon: what arrived is told at once. */
  readonly isEnd: boolean;
}

interface Offer {
  readonly index: number;
  readonly atMs: number;
}

/** Came from a neighbour. */
interface Arrival {
  readonly index: number;
  readonly source: EndpointId;
}

export class Announcements {
  private fresh: Arrival[] = [];
  /** What each neighbour has not been told because it has it too. */
  private untold = new Map<EndpointId, readonly number[]>();
  private untoldSinceMs = 0;
  private toldMs = Number.NEGATIVE_INFINITY;
  private offers: readonly Offer[] = [];
  private turn = 0;

  /** Came from a neighbour. */
  arrived(index: number, source: EndpointId): void {
    this.fresh.push({ index, source });
  }

  /** Came over the WAN: whom to tell at once. */
  offered(index: number, site: AnnouncedSite, nowMs: number): Announcement | undefined {
    const takers = lacking(site.neighbours, index);
    if (takers.length === 0) return undefined;
    this.offers = [...this.offers, { index, atMs: nowMs }];
    // Whoever is slow to answer is slow to pass on: asked to only where there is nobody else.
    const quick = takers.filter((taker) => !taker.isSlow(site.usualMs));
    const chosen = rotated(quick.length > 0 ? quick : takers, this.turn, FIRST_OFFERS);
    this.turn += FIRST_OFFERS;
    return { indices: [index], peers: chosen.map(({ peer }) => peer) };
  }

  /** What is due by now. */
  due(site: AnnouncedSite, nowMs: number): readonly Announcement[] {
    return [...this.batch(site, nowMs), ...this.widened(site, nowMs), ...this.late(site, nowMs)];
  }

  private batch({ neighbours, isEnd }: AnnouncedSite, nowMs: number): readonly Announcement[] {
    const isDue =
      this.fresh.length >= HAVE_BATCH_COUNT || isEnd || nowMs - this.toldMs >= HAVE_BATCH_MS;
    if (this.fresh.length === 0 || !isDue) return [];
    const arrivals = this.fresh;
    this.fresh = [];
    this.toldMs = nowMs;
    const fresh = arrivals.map(({ index }) => index);
    return [...neighbours.values()].flatMap((neighbour): readonly Announcement[] => {
      const { peer } = neighbour;
      const indices = [...(this.untold.get(peer) ?? []), ...fresh];
      if (isNews(neighbour, arrivals) || indices.length > LATE_MAX_COUNT) {
        this.untold.delete(peer);
        return [{ indices, peers: [peer] }];
      }
      if (this.untold.size === 0) this.untoldSinceMs = nowMs;
      this.untold.set(peer, indices);
      return [];
    });
  }

  private late({ neighbours }: AnnouncedSite, nowMs: number): readonly Announcement[] {
    if (this.untold.size === 0 || nowMs - this.untoldSinceMs < LATE_MS) return [];
    const { untold } = this;
    this.untold = new Map();
    return [...untold]
      .filter(([peer]) => neighbours.has(peer))
      .map(([peer, indices]) => ({ indices, peers: [peer] }));
  }

  private widened({ neighbours }: AnnouncedSite, nowMs: number): readonly Announcement[] {
    const isDue = ({ atMs }: Offer): boolean => nowMs - atMs >= OFFER_ALL_MS;
    const due = this.offers.filter(isDue);
    if (due.length === 0) return [];
    this.offers = this.offers.filter((offer) => !isDue(offer));
    return due
      .map(({ index }) => {
        return { indices: [index], peers: lacking(neighbours, index).map(({ peer }) => peer) };
      })
      .filter(({ peers }) => peers.length > 0);
  }
}

function isNews({ peer, isDp, have }: Neighbour, arrivals: readonly Arrival[]): boolean {
  return isDp || arrivals.some(({ index, source }) => source === peer || !have.has(index));
}

/** `count` of the items, beginning at a place that moves on. */
function rotated<T>(items: readonly T[], turn: number, count: number): readonly T[] {
  const start = items.length === 0 ? 0 : turn % items.length;
  return [...items.slice(start), ...items.slice(0, start)].slice(0, count);
}

function lacking(
  neighbours: ReadonlyMap<EndpointId, Neighbour>,
  index: number,
): readonly Neighbour[] {
  return [...neighbours.values()].filter(({ have }) => !have.has(index));
}
