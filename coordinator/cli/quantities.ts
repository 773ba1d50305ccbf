/** Bytes, rates, durations and instants as a person reads them. JSON output never goes through here. */

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Decimal units, three digits: 999 B, 1.23 kB, 12.3 MB. */
export function bytesText(sizeBytes: number): string {
  let value = sizeBytes;
  let unit = 0;
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? String(value) : value.toPrecision(3)} ${BYTE_UNITS[unit]}`;
}

/** Two units at most: 45s, 3m 5s, 2h 10m, 3d 4h. */
export function durationText(durationMs: number): string {
  const seconds = Math.max(0, Math.round(durationMs / 1000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${seconds % 60}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

/** How long ago an ISO instant was; `never` for null. */
export function agoText(instant: string | null, nowMs: number): string {
  if (instant === null) return "never";
  const atMs = Date.parse(instant);
  if (Number.isNaN(atMs)) return "unknown";
  return nowMs - atMs < 1000 ? "now" : `${durationText(nowMs - atMs)} ago`;
}

/** `1 fragment`, `2 fragments`, `2 criteria`. */
export function countText(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
