/**
 * What a scenario is, and what it is judged by: time and bytes in units of the package on a line without any
 * headers. Beside them, for information, the stricter figures of distribution 6, in units of raw TCP.
 */
import { CORE_SHARE_MAX } from "../../../test/support/core-load.ts";
import { bestSeconds } from "../swarm/course.ts";

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
  /** The same against raw TCP. */
  readonly strict?: { readonly bound: number; readonly seen: number };
}

/** `most` in units of the package, `strict` in units of raw TCP; `extraSeconds` come on top of both. */
export interface Bounds {
  readonly most: number;
  readonly strict: number;
  readonly extraSeconds?: number;
}

/** What a line carries when nothing goes wrong, and the figure of distribution 6. */
export const LINE: Bounds = { most: 1.06, strict: 1.01 };

export interface Scenario {
  /** Number in distribution 6. */
  readonly id: number;
  readonly title: string;
  readonly run: (conditions: Conditions) => Promise<readonly Check[]>;
}

export function atMost(what: string, bound: number, seen: number): Check {
  return { what, expected: `<= ${bound}`, seen, isMet: seen <= bound };
}

export function atLeast(what: string, bound: number, seen: number): Check {
  return { what, expected: `>= ${bound}`, seen, isMet: seen >= bound };
}

export function lineCheck(
  what: string,
  { sizeBytes, raw }: Pick<Conditions, "sizeBytes" | "raw">,
  { most, strict }: Bounds,
  { wanBytes }: { readonly wanBytes: readonly number[] },
): Check {
  const seen = (wanBytes[0] ?? Number.NaN) / sizeBytes;
  const check = atMost(`${what}: line ÷ package`, rounded(most), seen);
  return { ...check, strict: { bound: rounded(strict), seen: seen / raw.wan } };
}

/** `seconds` of a transfer; its core share says whether they count. */
export function timeCheck(
  what: string,
  { sizeBytes, wan, raw }: Pick<Conditions, "sizeBytes" | "wan" | "raw">,
  { most, strict, extraSeconds = 0 }: Bounds,
  transfer: { readonly seconds: number; readonly coreShare: number },
): Check {
  const best = bestSeconds(sizeBytes, wan);
  const extra = extraSeconds / best;
  const seen = transfer.seconds / best;
  const check = atMost(`${what}: time × rate ÷ package`, rounded(most + extra), seen);
  const bound = rounded(strict + extra / raw.time);
  return timed({ ...check, strict: { bound, seen: seen / raw.time } }, transfer);
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

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
