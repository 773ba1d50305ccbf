/** How long each document lives (trust 2.3). */
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Operators are told this long before the offline-signed files expire. */
export const EXPIRY_NOTICE_MS = 30 * DAY_MS;

export const EXPIRY_MS = {
  root: 365 * DAY_MS,
  /** Offline-signed: the catalog's targets and its bins. */
  targets: 180 * DAY_MS,
  catalogSnapshot: 7 * DAY_MS,
  /** Bounds how long a frozen catalog is believed (trust M8). */
  catalogTimestamp: 24 * HOUR_MS,
  director: 7 * DAY_MS,
} as const;
