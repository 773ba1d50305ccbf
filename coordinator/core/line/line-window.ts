/**
 * What a site's policy means for its line: whether a transfer may begin now and when that changes, and
 * whether packages give way to other traffic. Transfers under way end.
 */
import { admitsTime, nextTimeChangeMs, parseTimeFrames } from "../../../protocol/time-frame.ts";
import type { SitePolicy } from "../../../protocol/traffic.ts";

export interface LineWindow {
  readonly isOpen: boolean;
  /** Undefined where it never changes. */
  readonly changesMs: number | undefined;
}

const ALWAYS: LineWindow = { isOpen: true, changesMs: undefined };

export function lineWindow(
  policy: SitePolicy | undefined,
  ownZone: string,
  nowMs: number,
): LineWindow {
  if (policy?.hours === undefined) return ALWAYS;
  const frames = parseTimeFrames(policy.hours);
  const zone = policy.zone ?? ownZone;
  return {
    isOpen: admitsTime(frames, zone, nowMs),
    changesMs: nextTimeChangeMs(frames, zone, nowMs),
  };
}

/**
 * Whether packages yield to other traffic on this line. A site that says nothing takes what it gets: a pace
 * that is found by delay leaves some 8 % of an idle line unused (`npm run bench -- manners`), and needs seconds
 * for a line that it does not know, which is more than distribution 6 allows a package.
 */
export function givesWay(policy: SitePolicy | undefined): boolean {
  return (policy?.class ?? "foreground") === "background";
}
