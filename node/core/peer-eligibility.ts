/**
 * How much a node gives to its neighbours: by its power, its link and its load (distribution 5.4). A node that
 * gives nothing still hands on what it fetched over the site's line itself: nobody else has that.
 */
import type { Sharing, SharingReason } from "../../protocol/traffic.ts";

export type LinkKind = "wired" | "wifi" | "vpn" | "metered";

/** What the host says of itself; undefined where it cannot tell. */
export interface HostFacts {
  readonly link: LinkKind | undefined;
  readonly isOnBattery: boolean;
  readonly batteryPercent: number | undefined;
  readonly freeDiskBytes: number | undefined;
  readonly availableMemoryBytes: number | undefined;
  /** Runnable processes per core, averaged over the last minute. */
  readonly loadPerCore: number | undefined;
}

export interface EligibilityInput {
  readonly facts: HostFacts;
  /** An operator made it a DP: it serves whatever it costs. */
  readonly isDp: boolean;
  /** Switched off at the start of the node. */
  readonly isOff: boolean;
}

export const WIRED_SLOTS = 8;
const WIFI_SLOTS = 1;
/** What a computer in trouble still does: it keeps nobody from a fragment that only it has. */
const STRAINED_SLOTS = 1;
/** Below this a battery is its user's alone. */
const BATTERY_MIN_PERCENT = 40;
/** Below these the computer needs what is left itself. */
const DISK_MIN_BYTES = 512 * 1024 ** 2;
const MEMORY_MIN_BYTES = 128 * 1024 ** 2;
/** Far beyond what a busy computer shows in daily work. */
const LOAD_MAX_PER_CORE = 8;

/** The first rule that applies decides. */
export function judgeSharing({ facts, isDp, isOff }: EligibilityInput): Sharing {
  if (isOff) return limited(0, "off");
  if (isDp) return { uploadSlots: WIRED_SLOTS };
  const { link, isOnBattery, batteryPercent = 0 } = facts;
  if (link === "vpn") return limited(0, "vpn");
  if (link === "metered") return limited(0, "metered");
  if (isOnBattery && batteryPercent < BATTERY_MIN_PERCENT) return limited(0, "batteryLow");
  if (isBelow(facts.freeDiskBytes, DISK_MIN_BYTES)) return limited(STRAINED_SLOTS, "diskFull");
  if (isBelow(facts.availableMemoryBytes, MEMORY_MIN_BYTES)) {
    return limited(STRAINED_SLOTS, "memoryLow");
  }
  if ((facts.loadPerCore ?? 0) > LOAD_MAX_PER_CORE) return limited(STRAINED_SLOTS, "busy");
  if (link === "wifi") return limited(WIFI_SLOTS, "wifi");
  return { uploadSlots: WIRED_SLOTS };
}

function limited(uploadSlots: number, reason: SharingReason): Sharing {
  return { uploadSlots, reason };
}

function isBelow(value: number | undefined, minimum: number): boolean {
  return value !== undefined && value < minimum;
}
