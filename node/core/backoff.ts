/**
 * Waiting times as pure functions: retries of the uplink and the interval between check-ins.
 * Chance comes in as a number in [0, 1).
 */

/** First ceiling of a retry; doubles with every failure. */
const BACKOFF_BASE_MS = 1000;
/** Longest ceiling: an outage of hours must not cost minutes after its end. */
const BACKOFF_MAX_MS = 300_000;
/** A coordinator may not send a node away for longer than this. */
const RETRY_AFTER_MAX_MS = 3_600_000;
/** Check-ins of many nodes that started together drift apart by this part of the interval. */
const INTERVAL_JITTER = 0.2;
/** The first of a site to fetch a package needs the line, and the coordinator, for a moment. */
const NEWS_SPREAD_MIN_MS = 300;
const NEWS_SPREAD_PER_PEER_MS = 50;
const NEWS_SPREAD_MAX_MS = 5000;

/** Full jitter: anywhere below the ceiling, but never before what `Retry-After` asked for. */
export function backoffMs(failureCount: number, random: number, notBeforeMs = 0): number {
  const exponent = Math.min(Math.max(failureCount - 1, 0), 20);
  const ceilingMs = Math.min(BACKOFF_BASE_MS * 2 ** exponent, BACKOFF_MAX_MS);
  const askedMs = Math.min(Math.max(notBeforeMs, 0), RETRY_AFTER_MAX_MS);
  return Math.round(askedMs + ceilingMs * random);
}

/** The interval ± 20 %. */
export function jitteredMs(intervalMs: number, random: number): number {
  return Math.round(intervalMs * (1 - INTERVAL_JITTER + 2 * INTERVAL_JITTER * random));
}

/** A site of so many peers hears the same news at once: each checks in anywhere within this time. */
export function newsSpreadMs(peerCount: number): number {
  const wholeMs = peerCount * NEWS_SPREAD_PER_PEER_MS;
  return Math.min(Math.max(NEWS_SPREAD_MIN_MS, wholeMs), NEWS_SPREAD_MAX_MS);
}

/** Value of a `Retry-After` header (seconds or an HTTP date) as a duration; 0 where it says nothing. */
export function retryAfterMs(header: string | undefined, nowMs: number): number {
  if (header === undefined) return 0;
  if (/^\d{1,9}$/u.test(header.trim())) return Number(header.trim()) * 1000;
  const atMs = Date.parse(header);
  return Number.isNaN(atMs) ? 0 : Math.max(0, atMs - nowMs);
}
