/**
 * Telling neighbours what arrived. What came over the LAN is told to all in small batches; what came over
 * the WAN goes to two rotating peers first, so that they pass it on (distribution 3.2 step 4).
 */
import type { EndpointId } from "../../protocol/ids.ts";
import type { Neighbour } from "./neighbour.ts";

const FIRST_OFFERS = 2;
const OFFER_ALL_MS = 500;
/** With so many copies in the site a DP leaves the rest to the peers, and tells the last ones late. */
const COPIES_ENOUGH = 4;
const OFFER_LATE_MS = 3000;
const HAVE_BATCH_MS = 50;
const HAVE_BATCH_COUNT = 16;

export interface Announcement {
  readonly indices: readonly number[];
  readonly peers: readonly EndpointId[];
}

/** What the announcements need to know of the site right now. */
export interface AnnouncedSite {
  readonly neighbours: ReadonlyMap<EndpointId, Neighbour>;
  /** Copies of a fragment at neighbours. */
  readonly copies: (index: number) => number;
  /** Whether this node is the DP. */
  readonly isDp: boolean;
  /** Whether this node has everything. */
  readonly isFull: boolean;
}

interface Offer {
  readonly index: number;
  readonly atMs: number;
}

export class Announcements {
  private fresh: number[] = [];
  private freshSinceMs = 0;
  private offers: readonly Offer[] = [];
  private turn = 0;

  /** Came from a neighbour. */
  arrived(index: number, nowMs: number): void {
    if (this.fresh.length === 0) this.freshSinceMs = nowMs;
    this.fresh.push(index);
  }

  /** Came over the WAN: whom to tell at once. */
  offered(
    index: number,
    neighbours: ReadonlyMap<EndpointId, Neighbour>,
    nowMs: number,
  ): Announcement | undefined {
    const takers = lacking(neighbours, index);
    if (takers.length === 0) return undefined;
    const count = Math.min(FIRST_OFFERS, takers.length);
    const peers = Array.from({ length: count }, (_none, nth) =>
      takers.slice((this.turn + nth) % takers.length).slice(0, 1),
    ).flat();
    this.turn += FIRST_OFFERS;
    this.offers = [...this.offers, { index, atMs: nowMs }];
    return { indices: [index], peers };
  }

  /** What is due by now. */
  due(site: AnnouncedSite, nowMs: number): readonly Announcement[] {
    return [...this.batch(site, nowMs), ...this.widened(site, nowMs)];
  }

  private batch({ neighbours, isFull }: AnnouncedSite, nowMs: number): readonly Announcement[] {
    const isDue =
      this.fresh.length >= HAVE_BATCH_COUNT || isFull || nowMs - this.freshSinceMs >= HAVE_BATCH_MS;
    if (this.fresh.length === 0 || !isDue) return [];
    const indices = this.fresh;
    this.fresh = [];
    return neighbours.size === 0 ? [] : [{ indices, peers: [...neighbours.keys()] }];
  }

  private widened(site: AnnouncedSite, nowMs: number): readonly Announcement[] {
    const isDue = ({ index, atMs }: Offer): boolean => {
      const isSpreading = site.isDp && site.copies(index) >= COPIES_ENOUGH;
      return nowMs - atMs >= (isSpreading ? OFFER_LATE_MS : OFFER_ALL_MS);
    };
    const due = this.offers.filter(isDue);
    if (due.length === 0) return [];
    this.offers = this.offers.filter((offer) => !isDue(offer));
    return due
      .map(({ index }) => ({ indices: [index], peers: lacking(site.neighbours, index) }))
      .filter(({ peers }) => peers.length > 0);
  }
}

function lacking(
  neighbours: ReadonlyMap<EndpointId, Neighbour>,
  index: number,
): readonly EndpointId[] {
  return [...neighbours.values()].filter(({ have }) => !have.has(index)).map(({ peer }) => peer);
}
