/**
 * Which fragments are how often at the neighbours: every claim of a credible neighbour counts one copy.
 * Follows joins, announcements, absences and the loss and return of credibility.
 */
import type { Bitmap } from "../../../protocol/bitmap.ts";
import type { EndpointId } from "../../../protocol/ids.ts";
import { Neighbour } from "../neighbour.ts";

export class SiteCopies {
  readonly neighbours = new Map<EndpointId, Neighbour>();
  private readonly counts: Uint16Array;
  private readonly onTrial = new Set<Neighbour>();
  private readonly onCopy: (index: number, isProven: boolean) => void;

  /** `onCopy` hears of every copy that is new at a credible neighbour; `isProven`: one that has answered. */
  constructor(fragmentCount: number, onCopy: (index: number, isProven: boolean) => void) {
    this.counts = new Uint16Array(fragmentCount);
    this.onCopy = onCopy;
  }

  of(index: number): number {
    return this.counts[index] ?? 0;
  }

  joined(peer: EndpointId, isDp: boolean, have: Bitmap): void {
    const neighbour = new Neighbour(peer, isDp, have);
    this.neighbours.set(peer, neighbour);
    this.count(neighbour, 1);
  }

  /** Takes the neighbour out; undefined for a stranger. */
  left(peer: EndpointId): Neighbour | undefined {
    const neighbour = this.neighbours.get(peer);
    if (neighbour === undefined) return undefined;
    this.neighbours.delete(peer);
    this.onTrial.delete(neighbour);
    if (neighbour.isCredible) this.count(neighbour, -1);
    return neighbour;
  }

  /** A first request goes to it: its trial begins. */
  asked(neighbour: Neighbour): void {
    if (neighbour.isOnTrial) this.onTrial.add(neighbour);
  }

  announced(neighbour: Neighbour, indices: readonly number[]): void {
    for (const index of indices) {
      if (neighbour.announced(index) && neighbour.isCredible) this.more(index, neighbour);
    }
  }

  /** It does not have what it announced, or not intact. */
  lacks(neighbour: Neighbour, index: number): void {
    if (neighbour.lacks(index) && neighbour.isCredible) this.less(index);
  }

  /** Runs a change of a neighbour and follows its credibility. */
  judged(neighbour: Neighbour, change: () => void): void {
    const was = neighbour.isCredible;
    change();
    if (was !== neighbour.isCredible) this.count(neighbour, was ? -1 : 1);
  }

  /** Peers that never answered a request in their time lose their credibility. */
  endTrials(nowMs: number): void {
    for (const neighbour of this.onTrial) {
      this.judged(neighbour, () => neighbour.tried(nowMs));
      if (!neighbour.isOnTrial) this.onTrial.delete(neighbour);
    }
  }

  private count(neighbour: Neighbour, by: 1 | -1): void {
    for (let index = 0; index < neighbour.have.size; index++) {
      if (!neighbour.have.has(index)) continue;
      if (by === 1) this.more(index, neighbour);
      else this.less(index);
    }
  }

  private more(index: number, neighbour: Neighbour): void {
    this.counts[index] = this.of(index) + 1;
    this.onCopy(index, neighbour.isProven);
  }

  private less(index: number): void {
    this.counts[index] = Math.max(0, this.of(index) - 1);
  }
}
