/**
 * Requests to neighbours: which fragment is asked of whom, until when, and when a second peer is asked
 * for what is late.
 */
import type { EndpointId } from "../../../protocol/ids.ts";
import type { Neighbour, NextNumber } from "../neighbour.ts";
import type { SiteCopies } from "./site-copies.ts";

export interface LanSettings {
  /** LAN sources of one fragment at a time. */
  readonly sourcesMaxCount: number;
  /** An answer is waited for at least so long, whatever is usual for the peer. */
  readonly answerMinMs: number;
  /** A slow peer keeps its port for what nobody else has. */
  readonly isSlowSpared: boolean;
}

export const LAN_DEFAULTS: LanSettings = {
  sourcesMaxCount: 3,
  answerMinMs: 0,
  isSlowSpared: true,
};

/** An answer that takes so many times longer than usual is late: another peer is asked as well. */
const LATE_FACTOR = 3;
const LATE_MIN_MS = 300;
/** Usual time of an answer before there was one. */
const FIRST_USUAL_MS = 100;
const EWMA_WEIGHT = 0.1;

export interface LanRequest {
  readonly peer: EndpointId;
  readonly index: number;
}

/** What is missing here and may be asked for. */
export interface LanWishes {
  readonly isWanted: (index: number) => boolean;
  /** All that may be wanted, where that is little. */
  readonly few: readonly number[] | undefined;
  /** Here already: never wanted again. */
  readonly isGone: (index: number) => boolean;
  /** So little is missing that a second peer is asked at once (distribution 5.3). */
  readonly isEndgame: boolean;
}

interface Asked {
  readonly peer: EndpointId;
  readonly sinceMs: number;
  readonly deadlineMs: number;
}

export class LanRequests {
  private readonly site: SiteCopies;
  private readonly next: NextNumber;
  private readonly settings: LanSettings;
  private readonly asked = new Map<number, readonly Asked[]>();
  private usual = FIRST_USUAL_MS;

  constructor(site: SiteCopies, next: NextNumber, settings: LanSettings = LAN_DEFAULTS) {
    this.site = site;
    this.next = next;
    this.settings = settings;
  }

  /** Smoothed time of an answer. */
  get usualMs(): number {
    return this.usual;
  }

  isAsked(index: number): boolean {
    return this.asked.has(index);
  }

  /** A fragment is here; `source` is undefined for the origin. Returns the requests that are void now. */
  arrived(index: number, source: EndpointId | undefined, nowMs: number): readonly LanRequest[] {
    const requests = this.asked.get(index) ?? [];
    this.asked.delete(index);
    const isInTime = requests.some(({ peer }) => peer === source);
    for (const { peer, sinceMs } of requests) {
      const neighbour = this.site.neighbours.get(peer);
      if (neighbour === undefined) continue;
      if (peer !== source) {
        neighbour.inFlight.delete(index);
        continue;
      }
      this.usual += EWMA_WEIGHT * (nowMs - sinceMs - this.usual);
      this.site.judged(neighbour, () => neighbour.answered(index, sinceMs, nowMs));
    }
    const late = source === undefined ? undefined : this.site.neighbours.get(source);
    if (late !== undefined && !isInTime) {
      this.site.judged(late, () => late.answeredLate(index, nowMs));
    }
    return this.unanswered(requests, index, source);
  }

  /** Open requests, and those that were given up, of which the peer does not know. */
  private unanswered(
    requests: readonly Asked[],
    index: number,
    source: EndpointId | undefined,
  ): readonly LanRequest[] {
    const peers = new Set(requests.map(({ peer }) => peer));
    for (const neighbour of this.site.neighbours.values()) {
      if (neighbour.takenBack(index)) peers.add(neighbour.peer);
    }
    return [...peers].filter((peer) => peer !== source).map((peer) => ({ peer, index }));
  }

  /** The request is over without an answer that counts. Returns when it was made. */
  ended(index: number, peer: EndpointId): number | undefined {
    const requests = this.asked.get(index) ?? [];
    const rest = requests.filter((asked) => asked.peer !== peer);
    if (rest.length === 0) this.asked.delete(index);
    else this.asked.set(index, rest);
    return requests.find((asked) => asked.peer === peer)?.sinceMs;
  }

  /** Counts on no answer any more that took too long: another peer is asked, and this one may still come. */
  expire(nowMs: number): void {
    for (const [index, requests] of this.asked) {
      for (const { peer, sinceMs, deadlineMs } of requests) {
        if (deadlineMs > nowMs) continue;
        this.ended(index, peer);
        const neighbour = this.site.neighbours.get(peer);
        if (neighbour !== undefined) {
          this.site.judged(neighbour, () => neighbour.timedOut(index, sinceMs, nowMs));
        }
      }
    }
  }

  /** What is to be asked of whom now. */
  due(wishes: LanWishes, nowMs: number): readonly LanRequest[] {
    const requests: LanRequest[] = [];
    for (const neighbour of this.site.neighbours.values()) {
      if (!neighbour.mayAsk(nowMs)) continue;
      const choice = {
        isWanted: this.wantedFrom(neighbour, wishes, nowMs),
        isGone: wishes.isGone,
        few: wishes.few,
        rarityOf: (index: number) => this.site.of(index),
        next: this.next,
      };
      while (neighbour.mayAsk(nowMs)) {
        const index = neighbour.pick(choice, nowMs);
        if (index === undefined) break;
        this.site.asked(neighbour);
        const { peer } = neighbour;
        const timeoutMs = Math.max(neighbour.timeoutMs, this.settings.answerMinMs);
        const asked = { peer, sinceMs: nowMs, deadlineMs: nowMs + timeoutMs };
        this.asked.set(index, [...(this.asked.get(index) ?? []), asked]);
        requests.push({ peer, index });
      }
    }
    return requests;
  }

  private wantedFrom(
    neighbour: Neighbour,
    { isWanted, isEndgame }: LanWishes,
    nowMs: number,
  ): (index: number) => boolean {
    const lateMs = Math.max(LATE_MIN_MS, LATE_FACTOR * this.usual);
    const { isSlowSpared, sourcesMaxCount } = this.settings;
    const isSpared = isSlowSpared && neighbour.isSpared(this.usual, nowMs);
    return (index) => {
      if (!isWanted(index) || (isSpared && this.site.of(index) > 1)) return false;
      const asked = this.asked.get(index) ?? [];
      const last = asked.at(-1);
      if (last === undefined) return true;
      const patienceMs = isEndgame && asked.length === 1 ? 0 : lateMs;
      const isLate = nowMs - last.sinceMs >= patienceMs && asked.length < sourcesMaxCount;
      return isLate && asked.every(({ peer }) => peer !== neighbour.peer);
    };
  }
}
