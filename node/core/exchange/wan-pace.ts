/**
 * What a node measures of its site's line: how often fragments come, how far the origin is. From that
 * follow how long silence means nothing, and how many fragments must be in flight to keep the line busy.
 */

/** Holders side by side without a DP: one may die without an idle line (distribution 3.3). */
export const HOLDER_COUNT = 3;
const EWMA_WEIGHT = 0.2;
/** A rare fragment says how slow the line is, a burst says little: slow to forget. */
const DECAY_WEIGHT = 0.05;
const MEAN_WEIGHT = 0.1;
/**
 * A pause far longer than usual is an outage, not the pace of the line: it counts for little, or patience
 * would grow with every outage and make the next one longer.
 */
const GAP_MAX_MS = 10_000;
const OUTAGE_FACTOR = 4;
const OUTAGE_MIN_MS = 1000;
/** Pace before anything came. */
const FIRST_GAP_MS = 250;
/** Until so many fragments have come, a line is taken for this slow by whoever thinks that a neighbour failed. */
const KNOWN_MIN_COUNT = 8;
const UNKNOWN_GAP_MS = 1000;
/** Arrivals from the origin before their pace is believed; until then a fast line is assumed. */
const MEASURED_MIN_COUNT = 4;
const FAST_GAP_MS = 100;
/**
 * What is in flight for a site has crossed its line within this time. The first answers say little of the
 * distance: they come among the check-ins of the whole site, and a slow line with so much under way as they
 * seem to want would be full for half a minute.
 */
const FLIGHT_MAX_MS = 2000;
/** Transfers that should be under way at any moment, beside what the distance needs (distribution 5.4). */
const BUSY_COUNT = 1.5;
/** Transfers that share a line end together and leave it idle together: more than the distance needs. */
const DISTANCE_FACTOR = 5;
const WINDOW_MAX = 28;
const ALONE_SHARE = 0.75;

export class WanPace {
  private siteMs = FIRST_GAP_MS;
  private siteCount = 0;
  private meanMs = FIRST_GAP_MS;
  private originMs = 0;
  private originCount = 0;
  private originSeenMs: number | undefined;
  private delayMs: number | undefined;

  /** A fragment came from anywhere after this pause. */
  progressed(pauseMs: number): void {
    this.siteCount++;
    const outageMs = Math.max(OUTAGE_FACTOR * this.siteMs, OUTAGE_MIN_MS);
    const gapMs = Math.min(pauseMs, outageMs, GAP_MAX_MS);
    const weight = gapMs > this.siteMs ? EWMA_WEIGHT : DECAY_WEIGHT;
    this.siteMs += weight * (gapMs - this.siteMs);
    this.meanMs += MEAN_WEIGHT * (gapMs - this.meanMs);
  }

  /** A fragment came from the origin; `isBusy`: others were on their way before and after. */
  fetched(isBusy: boolean, nowMs: number): void {
    const beforeMs = this.originSeenMs;
    this.originSeenMs = isBusy ? nowMs : undefined;
    if (beforeMs === undefined) return;
    const gapMs = nowMs - beforeMs;
    this.originCount++;
    const weight = Math.max(EWMA_WEIGHT, 1 / this.originCount);
    this.originMs += weight * (gapMs - this.originMs);
  }

  /** A lease request took this long: the way there and back, at least. */
  answered(tookMs: number): void {
    this.delayMs = Math.min(this.delayMs ?? tookMs, tookMs);
  }

  /** Usual time between two fragments of the site. */
  get gapMs(): number {
    return this.siteMs;
  }

  /** The same for judging others: at first several fragments share the line, and the first comes late. */
  get patienceGapMs(): number {
    return this.siteCount < KNOWN_MIN_COUNT ? Math.max(this.siteMs, UNKNOWN_GAP_MS) : this.siteMs;
  }

  /** Leases that must be in hand when more are asked for. */
  get reserveCount(): number {
    return Math.ceil((this.delayMs ?? 0) / this.ownGapMs) + 1;
  }

  /** Fragments in flight for one of so many holders. */
  window(holderCount: number): number {
    const distance = (this.delayMs ?? 0) / this.ownGapMs;
    const needed = BUSY_COUNT / Math.max(1, holderCount) + DISTANCE_FACTOR * distance;
    // Among several holders a gap of one is filled by the others.
    const whole = holderCount > 1 ? Math.round(needed) : Math.ceil(needed);
    const most = Math.floor(FLIGHT_MAX_MS / this.meanMs / Math.max(1, holderCount));
    // One alone would leave the line idle for a way there and back after each fragment.
    const least = holderCount > 1 ? 1 : Math.min(whole, 2);
    return Math.max(Math.min(whole, most, WINDOW_MAX), least);
  }

  /** What others fetch arrives here too: whoever sees little but its own fragments fetches alone. */
  get isAlone(): boolean {
    const isMeasured = this.originCount >= MEASURED_MIN_COUNT;
    return isMeasured && this.meanMs > ALONE_SHARE * this.originMs;
  }

  private get ownGapMs(): number {
    return this.originCount < MEASURED_MIN_COUNT ? FAST_GAP_MS : Math.max(this.originMs, 1);
  }
}
