/**
 * From when on an endpoint that says nothing counts as gone: by the time that it said to wait between two
 * check-ins, since half of the fleet may speak every second and the other half every five minutes.
 */

/** OCO-9, D11. */
export const SILENCE_MIN_MS = 125_000;
/** One contact may be lost on the way, and the next one comes late. */
const SILENT_PERIODS = 2.5;

/** `checkInMs`: as the endpoint told it, where it did. */
export function silenceLimitMs(
  checkInMs: number | undefined,
  atLeastMs: number = SILENCE_MIN_MS,
): number {
  return Math.max(atLeastMs, SILENT_PERIODS * (checkInMs ?? 0));
}
