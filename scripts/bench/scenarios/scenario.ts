/** What a scenario is, and what it is judged by. */
import { CORE_SHARE_MAX } from "../../../test/support/core-load.ts";

/** The conditions of a run. */
export interface Conditions {
  /** Agents of the office. */
  readonly peers: number;
  readonly sizeBytes: number;
  readonly wan: string;
  readonly lan: string;
  /** Whether packages give way to other traffic; the times of distribution 6 are those of a line that is theirs. */
  readonly isBackground: boolean;
  /** One raw TCP stream on the same line: what time and bytes are compared with. */
  readonly raw: { readonly time: number; readonly wan: number };
}

export interface Check {
  readonly what: string;
  readonly expected: string;
  readonly seen: number;
  readonly isMet: boolean;
  /** Of a time: the busiest core's share of busy time while it was taken. */
  readonly coreShare?: number;
}

export interface Scenario {
  /** Number in distribution 6. */
  readonly id: number;
  readonly title: string;
  readonly run: (conditions: Conditions) => Promise<readonly Check[]>;
}

/** How often nodes of a scenario check in by themselves: what they say then hardly shows on a slow line. */
export const QUIET_CHECK_IN = "20s";

export function atMost(what: string, bound: number, seen: number): Check {
  return { what, expected: `<= ${bound}`, seen, isMet: seen <= bound };
}

export function atLeast(what: string, bound: number, seen: number): Check {
  return { what, expected: `>= ${bound}`, seen, isMet: seen >= bound };
}

/** For contrast: nothing is expected of it. */
export function shown(what: string, seen: number): Check {
  return { what, expected: "-", seen, isMet: true };
}

/** A time counts only while every core had time to spare (distribution 6). */
export function timed(check: Check, { coreShare }: { readonly coreShare: number }): Check {
  return { ...check, coreShare };
}

export function verdictOf({ isMet, coreShare = 0 }: Check): "met" | "missed" | "bound by CPU" {
  if (coreShare > CORE_SHARE_MAX) return "bound by CPU";
  return isMet ? "met" : "missed";
}
