/**
 * Round trips of a site's nodes and the queue that they met: what one takes beyond the shortest one of late. Each
 * node is measured by its own shortest, for one may sit behind a slower radio than another. No IO, no clock.
 */

/** Nodes whose shortest round trip is remembered. */
const PROBERS_MAX_COUNT = 64;
const MINUTE_MS = 60_000;

interface Prober {
  /** Shortest round trip of each minute, oldest first. */
  readonly bases: { readonly minute: number; rttMs: number }[];
  /** Last two: the shorter one counts, so that one late process is no queue. */
  readonly last: number[];
}

export type RoundTrips = Map<string, Prober>;

/** One that came back just now. */
interface RoundTrip {
  readonly prober: string;
  readonly rttMs: number;
}

interface MetQueue {
  /** By the shorter of the last two. */
  readonly queueMs: number;
  /** By the last one alone. */
  readonly newestMs: number;
}

export function newRoundTrips(): RoundTrips {
  return new Map();
}

/** Counts only for the shortest one. */
export function glanceAt(
  trips: RoundTrips,
  { prober, rttMs }: RoundTrip,
  nowMs: number,
  baseWindowMs: number,
): void {
  noteBase(proberOf(trips, prober), rttMs, nowMs, baseWindowMs);
}

export function queueOf(
  trips: RoundTrips,
  { prober: name, rttMs }: RoundTrip,
  nowMs: number,
  baseWindowMs: number,
): MetQueue {
  const prober = proberOf(trips, name);
  noteBase(prober, rttMs, nowMs, baseWindowMs);
  prober.last.push(rttMs);
  if (prober.last.length > 2) prober.last.shift();
  const baseMs = Math.min(...prober.bases.map((base) => base.rttMs));
  return { queueMs: Math.min(...prober.last) - baseMs, newestMs: rttMs - baseMs };
}

function proberOf(trips: RoundTrips, name: string): Prober {
  const prober = trips.get(name) ?? { bases: [], last: [] };
  // Set anew, so that the map stays in the order of time.
  trips.delete(name);
  trips.set(name, prober);
  const [oldest] = trips.keys();
  if (trips.size > PROBERS_MAX_COUNT && oldest !== undefined) trips.delete(oldest);
  return prober;
}

function noteBase(prober: Prober, rttMs: number, nowMs: number, windowMs: number): void {
  const minute = Math.floor(nowMs / MINUTE_MS);
  const last = prober.bases.at(-1);
  if (last?.minute === minute) last.rttMs = Math.min(last.rttMs, rttMs);
  else prober.bases.push({ minute, rttMs });
  const oldest = minute - Math.floor(windowMs / MINUTE_MS);
  while ((prober.bases[0]?.minute ?? minute) <= oldest) prober.bases.shift();
}
