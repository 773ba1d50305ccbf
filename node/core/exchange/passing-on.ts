/**
 * Whether what this node fetches over the WAN reaches others. A holder that cannot pass on what it takes
 * over the line would make the whole site wait for its slow port.
 */

/** So many untaken fragments, the oldest for so long, are the mark of a slow port. */
const UNSPREAD_MAX_COUNT = 3;
const UNSPREAD_MAX_MS = 1000;
/** The first one may be a small page, which proves nothing. */
const PROVEN_COUNT = 3;
/** One that has passed fragments on may be so far ahead of its peers. */
const UNSPREAD_PROVEN_COUNT = 12;
const UNSPREAD_FORGET_MS = 10_000;
const HEARD_LATELY_MS = 2000;

export class PassingOn {
  /** Fetched over the WAN and at no neighbour yet, with the time of arrival. */
  private readonly unspread = new Map<number, number>();
  private takenCount = 0;
  private heardMs = Number.NEGATIVE_INFINITY;

  /** The first neighbour came: what was fetched before could go to nobody so far. */
  accompanied(nowMs: number): void {
    for (const index of this.unspread.keys()) this.unspread.set(index, nowMs);
    this.heard(nowMs);
  }

  /** A peer joined, announced or sent something. */
  heard(nowMs: number): void {
    this.heardMs = nowMs;
  }

  /** Came over the WAN, and no neighbour has it. */
  fetched(index: number, nowMs: number): void {
    this.unspread.set(index, nowMs);
  }

  /** A neighbour has it. What was taken late proves nothing: a slow port gives out its own in the end, too. */
  taken(index: number, nowMs: number): void {
    const atMs = this.unspread.get(index);
    this.unspread.delete(index);
    if (atMs !== undefined && nowMs - atMs < UNSPREAD_MAX_MS) this.takenCount++;
  }

  /** Others are to fetch until this node has caught up. */
  isFailing(nowMs: number): boolean {
    let oldestMs = nowMs;
    for (const [index, atMs] of this.unspread) {
      if (nowMs - atMs > UNSPREAD_FORGET_MS) this.unspread.delete(index);
      else oldestMs = Math.min(oldestMs, atMs);
    }
    const isMuch = this.unspread.size >= UNSPREAD_MAX_COUNT;
    const isOver = this.isHeeded(nowMs) && isMuch && nowMs - oldestMs >= UNSPREAD_MAX_MS;
    if (isOver) this.takenCount = 0;
    return isOver;
  }

  /** Whether another fragment may be fetched before one of those here is taken. */
  mayFetch(nowMs: number): boolean {
    const most = this.takenCount >= PROVEN_COUNT ? UNSPREAD_PROVEN_COUNT : UNSPREAD_MAX_COUNT;
    return this.unspread.size < most || !this.isHeeded(nowMs);
  }

  // Neighbours that are silent altogether prove nothing against this node.
  private isHeeded(nowMs: number): boolean {
    return nowMs - this.heardMs < HEARD_LATELY_MS;
  }
}
