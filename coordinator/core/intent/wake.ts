/**
 * Wake-on-LAN at the start of a container: whom to wake, through which node of the target's own site, and
 * whether somebody counts as woken, so that only these are shut down afterwards (OCO-7…OCO-12, D11).
 */
import type { EndpointId } from "../../../protocol/ids.ts";
import { SILENCE_MIN_MS, silenceLimitMs } from "../silence.ts";

export interface WakeSettings {
  /** Without contact for this long, and for 2.5 of its periods, an endpoint counts as off (OCO-9). */
  readonly offlineAfterMs: number;
  /** An endpoint that comes up later was not woken by us (OCO-10, OCO-11). */
  readonly expiryMs: number;
}

/** 125 s and 5 min, as decided in D11. */
export const WAKE_DEFAULTS: WakeSettings = { offlineAfterMs: SILENCE_MIN_MS, expiryMs: 300_000 };
/** Start times are whole minutes of the endpoint's own clock. */
const BOOT_TOLERANCE_MS = 120_000;

export interface WakeNode {
  readonly endpoint: EndpointId;
  /** Where it was last seen. */
  readonly site: string | undefined;
  /** When it last spoke. */
  readonly seenMs: number | undefined;
  /** How long it waits between two check-ins; undefined: it did not say. */
  readonly checkInMs?: number | undefined;
  /** Of wired interfaces. */
  readonly macs: readonly string[];
}

export interface WakeContainer {
  readonly startMs: number;
  readonly endMs: number | undefined;
}

export interface DueWake {
  readonly endpoint: EndpointId;
  readonly macs: readonly string[];
  readonly site: string;
  /** The node that broadcasts; undefined while nobody of the site is there. */
  readonly relay: EndpointId | undefined;
}

/** Targets to be woken now: known by address, without contact lately, and not asked before. */
export function wakesDue(
  { startMs, endMs }: WakeContainer,
  targets: readonly WakeNode[],
  place: {
    readonly nodesAt: (site: string) => readonly WakeNode[];
    readonly asked: ReadonlySet<EndpointId>;
  },
  nowMs: number,
  settings: WakeSettings = WAKE_DEFAULTS,
): readonly DueWake[] {
  if (nowMs < startMs || (endMs !== undefined && nowMs >= endMs)) return [];
  return targets.flatMap((target) => {
    const { endpoint, site, macs } = target;
    const isOff = !isThere(target, nowMs, settings);
    if (!isOff || site === undefined || macs.length === 0 || place.asked.has(endpoint)) return [];
    return [
      { endpoint, macs, site, relay: relayAt(place.nodesAt(site), endpoint, nowMs, settings) },
    ];
  });
}

export type WakeOutcome = "pending" | "woken" | "wasOn" | "expired";

/** What became of a wake-up that was sent. */
export function wakeOutcome(
  { sentMs }: { readonly sentMs: number },
  contact: {
    /** The first contact after it was sent; undefined: none yet. */
    readonly seenMs: number | undefined;
    /** When the system started, by its own word. */
    readonly bootMs: number | undefined;
  },
  nowMs: number,
  { expiryMs }: WakeSettings = WAKE_DEFAULTS,
): WakeOutcome {
  const { seenMs, bootMs } = contact;
  if (seenMs === undefined || seenMs < sentMs) {
    return nowMs - sentMs < expiryMs ? "pending" : "expired";
  }
  // It ran all the time and was only out of reach: never to be shut down.
  if (bootMs !== undefined && bootMs < sentMs - BOOT_TOLERANCE_MS) return "wasOn";
  return seenMs - sentMs < expiryMs ? "woken" : "expired";
}

function isThere(
  { seenMs, checkInMs }: WakeNode,
  nowMs: number,
  { offlineAfterMs }: WakeSettings,
): boolean {
  return seenMs !== undefined && nowMs - seenMs <= silenceLimitMs(checkInMs, offlineAfterMs);
}

/** The one that spoke last, since it is the surest to be there; only a wired node reaches wired ones. */
function relayAt(
  nodes: readonly WakeNode[],
  target: EndpointId,
  nowMs: number,
  settings: WakeSettings,
): EndpointId | undefined {
  const able = nodes.filter(
    (node) => node.endpoint !== target && node.macs.length > 0 && isThere(node, nowMs, settings),
  );
  const [best] = able.toSorted(
    (one, other) =>
      (other.seenMs ?? 0) - (one.seenMs ?? 0) || (one.endpoint < other.endpoint ? -1 : 1),
  );
  return best?.endpoint;
}
