/**
 * Rollouts in rings: who is in which ring, when the next one opens, and when failures stop everything.
 * Counts look at live endpoints only; one that had its time and reported nothing counts as failed.
 */
import { createHash } from "node:crypto";
import type { EndpointId } from "../../../protocol/ids.ts";
import type { Ring, Rollout } from "../../../protocol/intent.ts";
import type { WaitReason } from "../plan/plan-model.ts";

/** What is remembered of a rollout. */
export interface RolloutProgress {
  /** When each ring was opened, in order; the rest is closed. */
  readonly openedMs: readonly number[];
  readonly stopped?: { readonly atMs: number; readonly reason: string } | undefined;
  /** Failures up to then no longer count: an operator went on in spite of them. */
  readonly resumedMs?: number | undefined;
}

export interface RolloutMember {
  readonly endpoint: EndpointId;
  /** Undefined: in none. */
  readonly ring: number | undefined;
  readonly seenMs: number | undefined;
  /** Over all packages of the rollout; failed: with no attempt left. */
  readonly state: "succeeded" | "failed" | "pending";
  readonly resultMs: number | undefined;
  /** When it was first handed out; when its ring opened, where that is not known. */
  readonly offeredMs?: number | undefined;
}

export interface RingState {
  readonly name: string;
  readonly isOpen: boolean;
  readonly memberCount: number;
  /** Members that were seen lately, or have a result; everything below counts these. */
  readonly liveCount: number;
  readonly succeededCount: number;
  readonly failedCount: number;
  /** Of the failed: those that never reported in time. */
  readonly timedOutCount: number;
  readonly reachedMs: number | undefined;
}

export interface RolloutState {
  readonly progress: RolloutProgress;
  readonly rings: readonly RingState[];
  readonly state: "running" | "stopped" | "succeeded";
  /** The next instant at which time alone changes something. */
  readonly changesMs: number | undefined;
}

export interface RolloutSettings {
  /** An endpoint not seen for this long does not count. */
  readonly liveWithinMs: number;
  /** One that was offered its packages and reports nothing for this long has failed. */
  readonly timeoutMs: number;
}

const HOUR_MS = 3_600_000;
/** A day each: what is switched on every working day is live, and has reported after one. */
export const ROLLOUT_DEFAULTS: RolloutSettings = {
  liveWithinMs: 24 * HOUR_MS,
  timeoutMs: 24 * HOUR_MS,
};
const SUCCESS_PERCENT_DEFAULT = 95;
const ERROR_PERCENT_DEFAULT = 10;

/**
 * The ring of one endpoint: the first that has its group, or whose share the endpoint's stable number
 * falls into. A ring without group and share takes the rest. Undefined: no ring takes it.
 */
export function ringOf(
  rollout: Pick<Rollout, "name" | "rings">,
  endpoint: EndpointId,
  isInGroup: (group: string) => boolean,
): number | undefined {
  const found = rollout.rings.findIndex((ring) => {
    if (ring.endpointGroup !== undefined && !isInGroup(ring.endpointGroup)) return false;
    if (ring.sharePercent === undefined) return true;
    return percentOf(`${rollout.name}/${ring.name}/${endpoint}`) < ring.sharePercent;
  });
  return found < 0 ? undefined : found;
}

/** Who joined after the start does not wait for its ring: it belongs to the last open one. */
export function currentRing(
  { openedMs }: RolloutProgress,
  ring: number | undefined,
  joinedMs: number,
): number | undefined {
  const [startedMs] = openedMs;
  const isLate = startedMs !== undefined && joinedMs > startedMs;
  return ring !== undefined && isLate ? Math.min(ring, openedMs.length - 1) : ring;
}

/** Why the packages of the rollout are not handed out to a ring's members; undefined: they are. */
export function rolloutHold(
  rollout: Pick<Rollout, "name" | "rings">,
  { openedMs, stopped }: RolloutProgress,
  ring: number | undefined,
  nowMs: number,
): WaitReason | undefined {
  if (stopped !== undefined) {
    const text = `The rollout ${rollout.name} is stopped: ${stopped.reason}.`;
    const endsWhen = "an operator resumes the rollout";
    return { code: "rolloutStopped", text, endsWhen, sinceMs: stopped.atMs };
  }
  if (ring !== undefined && ring < openedMs.length) return undefined;
  const sinceMs = openedMs[0] ?? nowMs;
  const name = ring === undefined ? undefined : rollout.rings[ring]?.name;
  if (name === undefined) {
    const text = `No ring of the rollout ${rollout.name} takes this endpoint.`;
    return { code: "ringClosed", text, endsWhen: "the rings of the rollout change", sinceMs };
  }
  const before = rollout.rings[openedMs.length - 1]?.name;
  const text = `Ring ${name} of the rollout ${rollout.name} is not open yet.`;
  const endsWhen =
    before === undefined ? "the rollout starts" : `ring ${before} and its rest are over`;
  return { code: "ringClosed", text, endsWhen, sinceMs };
}

/** Counts the rings, opens the next one or stops. `progress` of the answer is what to remember. */
export function rolloutState(
  rollout: Pick<Rollout, "rings">,
  progress: RolloutProgress,
  members: readonly RolloutMember[],
  nowMs: number,
  settings: RolloutSettings = ROLLOUT_DEFAULTS,
): RolloutState {
  const counted = rollout.rings.map((ring, at) =>
    ringState(ring, { at, progress, members, nowMs, settings }),
  );
  const rings = counted.map(({ state }) => state);
  const ofTimeouts = counted.flatMap(({ timesOutMs }) => timesOutMs);
  const isEnded = rings.every(({ isOpen, reachedMs }) => isOpen && reachedMs !== undefined);
  const stopped = progress.stopped ?? excessOf(rollout.rings, rings, nowMs);
  if (stopped !== undefined) {
    return { progress: { ...progress, stopped }, rings, state: "stopped", changesMs: undefined };
  }
  const openCount = progress.openedMs.length;
  const opensMs = openCount < rings.length ? openingMs(rollout.rings, rings, openCount) : undefined;
  if (opensMs !== undefined && opensMs <= nowMs) {
    const opened = { ...progress, openedMs: [...progress.openedMs, nowMs] };
    return rolloutState(rollout, opened, members, nowMs, settings);
  }
  const next = [...ofTimeouts, ...(opensMs === undefined ? [] : [opensMs])];
  const changesMs = next.length === 0 ? undefined : Math.min(...next);
  return { progress, rings, state: isEnded ? "succeeded" : "running", changesMs };
}

/** Nothing is handed out any more; what runs on endpoints ends. */
export function stopRollout(
  progress: RolloutProgress,
  reason: string,
  nowMs: number,
): RolloutProgress {
  return progress.stopped === undefined
    ? { ...progress, stopped: { atMs: nowMs, reason } }
    : progress;
}

/** Goes on in spite of the failures so far. */
export function resumeRollout({ openedMs }: RolloutProgress, nowMs: number): RolloutProgress {
  return { openedMs, resumedMs: nowMs };
}

interface Counting {
  readonly at: number;
  readonly progress: RolloutProgress;
  readonly members: readonly RolloutMember[];
  readonly nowMs: number;
  readonly settings: RolloutSettings;
}

function ringState(
  { name, successPercent = SUCCESS_PERCENT_DEFAULT }: Ring,
  { at, progress, members, nowMs, settings }: Counting,
): { readonly state: RingState; readonly timesOutMs: readonly number[] } {
  const openedMs = progress.openedMs[at];
  const own = members.filter(({ ring }) => ring === at);
  // Resuming forgives: those failures count neither against the rollout nor as open ends.
  const isForgiven = (atMs: number): boolean => atMs <= (progress.resumedMs ?? -1);
  const isSeen = ({ seenMs }: RolloutMember): boolean =>
    seenMs !== undefined && nowMs - seenMs < settings.liveWithinMs;
  const succeeded = own.filter(({ state }) => state === "succeeded");
  const failed = own.filter(
    ({ state, resultMs }) => state === "failed" && !isForgiven(resultMs ?? 0),
  );
  const pending = own.filter((member) => member.state === "pending" && isSeen(member));
  const liveCount = succeeded.length + failed.length + pending.length;
  const deadlines =
    openedMs === undefined
      ? []
      : pending.map(
          (member) => Math.max(member.offeredMs ?? openedMs, openedMs) + settings.timeoutMs,
        );
  const timedOut = deadlines.filter((deadline) => deadline <= nowMs && !isForgiven(deadline));
  const wanted = Math.ceil((liveCount * successPercent) / 100);
  const state: RingState = {
    name,
    isOpen: openedMs !== undefined,
    memberCount: own.length,
    liveCount,
    succeededCount: succeeded.length,
    failedCount: failed.length + timedOut.length,
    timedOutCount: timedOut.length,
    reachedMs: openedMs === undefined ? undefined : successMs(succeeded, { own, wanted, openedMs }),
  };
  return { state, timesOutMs: deadlines.filter((deadline) => deadline > nowMs) };
}

/** When so many had succeeded as are wanted; a ring without members is reached when it opens. */
function successMs(
  succeeded: readonly RolloutMember[],
  ring: {
    readonly own: readonly RolloutMember[];
    readonly wanted: number;
    readonly openedMs: number;
  },
): number | undefined {
  if (ring.own.length === 0) return ring.openedMs;
  // Nobody of the ring is there: that is no success.
  if (ring.wanted === 0 || succeeded.length < ring.wanted) return undefined;
  const times = succeeded
    .map(({ resultMs }) => Math.max(resultMs ?? ring.openedMs, ring.openedMs))
    .toSorted((one, other) => one - other);
  return times[ring.wanted - 1];
}

function openingMs(
  rings: readonly Ring[],
  states: readonly RingState[],
  next: number,
): number | undefined {
  if (next === 0) return 0;
  const reached = states[next - 1]?.reachedMs;
  return reached === undefined ? undefined : reached + (rings[next - 1]?.delayHours ?? 0) * HOUR_MS;
}

function excessOf(
  rings: readonly Ring[],
  states: readonly RingState[],
  nowMs: number,
): { readonly atMs: number; readonly reason: string } | undefined {
  const at = states.findIndex(({ failedCount, liveCount }, index) => {
    const limit = rings[index]?.errorPercent ?? ERROR_PERCENT_DEFAULT;
    return failedCount > 0 && failedCount * 100 >= limit * liveCount;
  });
  const state = states[at];
  if (state === undefined) return undefined;
  const limit = rings[at]?.errorPercent ?? ERROR_PERCENT_DEFAULT;
  const reason = `${state.failedCount} of ${state.liveCount} endpoints of ring ${state.name} failed, the limit is ${limit} %`;
  return { atMs: nowMs, reason };
}

/** A stable number from 0 to below 100. */
function percentOf(text: string): number {
  const hash = createHash("sha256").update(text).digest();
  return (hash.readUInt32BE(0) / 2 ** 32) * 100;
}
