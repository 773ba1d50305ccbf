/**
 * Who is barred from its site is nobody's source there and has none: whatever it fetches crosses the site's
 * line for it alone. So its turn comes when the line has nothing to carry for the others (distribution 5.5).
 */
import type { EndpointId } from "../../../protocol/ids.ts";

/** The others have fetched nothing for so long: the line is free. */
export const QUIET_MS = 30_000;
/** A line that is never free serves the barred all the same, in the end. */
export const WAIT_MAX_MS = 3_600_000;

export class LateTurns {
  /** When bytes last went to somebody who is not barred, by site. */
  private readonly usedMs = new Map<string, number>();
  private readonly waitingSinceMs = new Map<EndpointId, number>();

  /** Bytes go to an endpoint that is not barred. */
  used(site: string, nowMs: number): void {
    this.usedMs.set(site, nowMs);
  }

  /** How long a barred endpoint has to wait before it may fetch over this site's line; 0: no longer. */
  waitMs(endpoint: EndpointId, site: string, nowMs: number): number {
    const quietMs = nowMs - (this.usedMs.get(site) ?? Number.NEGATIVE_INFINITY);
    if (quietMs >= QUIET_MS) {
      this.waitingSinceMs.delete(endpoint);
      return 0;
    }
    const sinceMs = this.waitingSinceMs.get(endpoint) ?? nowMs;
    this.waitingSinceMs.set(endpoint, sinceMs);
    return nowMs - sinceMs >= WAIT_MAX_MS ? 0 : QUIET_MS - quietMs;
  }
}
