/**
 * Whether an instruction may act now: its start and end, its time frames and maintenance windows, and
 * the address that the coordinator sees. Checked again right before each action, because a directive can
 * be hours old (design 6). Content may come earlier; only execution waits.
 */
import { createHash } from "node:crypto";
import { admitsAddress, parseAddressRanges } from "../../protocol/address-range.ts";
import type { Conditions } from "../../protocol/directive.ts";
import { admitsTime, nextTimeChangeMs, parseTimeFrames } from "../../protocol/time-frame.ts";

/** What conditions are checked against. */
export interface Surroundings {
  readonly endpoint: string;
  /** As the roster tells it; undefined before the first one. */
  readonly publicAddress: string | undefined;
}

export interface ConditionQuestion {
  readonly conditions: Conditions | undefined;
  readonly job: string;
  /** Longest time that the command may take, for `mustFit`. */
  readonly runMs: number;
}

export type ClosedReason = "beforeStart" | "outsideAddresses" | "outsideTimeFrame" | "doesNotFit";

export type Gate =
  | { readonly kind: "open" }
  | {
      readonly kind: "closed";
      readonly reason: ClosedReason;
      /** The next instant at which the answer may differ; undefined: time alone changes nothing. */
      readonly untilMs: number | undefined;
    }
  | { readonly kind: "expired" };

const OPEN: Gate = { kind: "open" };

export function gateOf(
  { conditions, job, runMs }: ConditionQuestion,
  surroundings: Surroundings,
  nowMs: number,
): Gate {
  if (conditions === undefined) return OPEN;
  // OCO-6: never at or after the end.
  if (conditions.endMs !== undefined && nowMs >= conditions.endMs) return { kind: "expired" };
  const startMs = startOf(conditions, `${surroundings.endpoint}/${job}`);
  if (nowMs < startMs) return { kind: "closed", reason: "beforeStart", untilMs: startMs };
  if (!isAddressAdmitted(conditions.addressRanges, surroundings.publicAddress)) {
    return { kind: "closed", reason: "outsideAddresses", untilMs: conditions.endMs };
  }
  return timeGate(conditions, runMs, nowMs);
}

/** The instant at which a job expires by itself, for the alarm clock. */
export function expiryOf(conditions: Conditions | undefined): number {
  return conditions?.endMs ?? Number.POSITIVE_INFINITY;
}

// The same endpoint and job always get the same offset: a restart must not draw again.
function startOf({ startMs, jitterSec }: Conditions, key: string): number {
  if (startMs === undefined) return Number.NEGATIVE_INFINITY;
  if (jitterSec === undefined || jitterSec === 0) return startMs;
  const share = createHash("sha256").update(key).digest().readUInt32BE() / 2 ** 32;
  return startMs + Math.floor(share * jitterSec * 1000);
}

function isAddressAdmitted(ranges: string | undefined, address: string | undefined): boolean {
  if (ranges === undefined) return true;
  return address !== undefined && admitsAddress(parseAddressRanges(ranges), address);
}

function timeGate({ timeFrames = [], mustFit, endMs }: Conditions, runMs: number, nowMs: number) {
  const lists = timeFrames.map(({ frames, zone }) => {
    const parsed = parseTimeFrames(frames);
    const changeMs = nextTimeChangeMs(parsed, zone, nowMs);
    return { isOpen: admitsTime(parsed, zone, nowMs), changeMs };
  });
  const shut = lists.filter(({ isOpen }) => !isOpen);
  if (shut.length > 0) {
    const untilMs = earliest([...shut.map(({ changeMs }) => changeMs), endMs]);
    return { kind: "closed", reason: "outsideTimeFrame", untilMs } satisfies Gate;
  }
  const closesMs = earliest(lists.map(({ changeMs }) => changeMs));
  const isTooLong = mustFit === true && closesMs !== undefined && nowMs + runMs > closesMs;
  if (!isTooLong) return OPEN;
  return { kind: "closed", reason: "doesNotFit", untilMs: closesMs } satisfies Gate;
}

function earliest(instants: readonly (number | undefined)[]): number | undefined {
  const known = instants.filter((instant) => instant !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
