/** What a simulated site is made of, and what happens to it. */
import type { EndpointId } from "../../protocol/ids.ts";
import type { PackageShape } from "./package-shape.ts";
import type { Casting } from "./simulated-node.ts";

/** To one endpoint. */
export interface Strike {
  /** Happens when this share of the package has crossed the WAN line. */
  readonly atFraction: number;
  readonly kind: "kill" | "freeze" | "away";
  /** `holder`: whoever is receiving from the origin just then, no DP. */
  readonly who: EndpointId | "holder";
  /** Milliseconds until it comes back. */
  readonly awayMs: number;
}

/** All programs are killed, and start again within `awayMs` of the first. */
interface Restart {
  readonly atFraction: number;
  readonly kind: "restart";
  readonly awayMs: number;
}

/** The two halves of a split site are joined. */
interface Heal {
  readonly atFraction: number;
  readonly kind: "heal";
}

export type Incident = Strike | Restart | Heal;

export interface SiteCourse {
  readonly shape: PackageShape;
  readonly wanBytesPerMs: number;
  readonly wanLatencyMs: number;
  readonly lanLatencyMs: number;
  readonly cast: readonly Casting[];
  readonly incidents: readonly Incident[];
  /** Its two halves do not reach each other at first. */
  readonly isSplit?: boolean;
  readonly seed: number;
  readonly limitMs: number;
}
