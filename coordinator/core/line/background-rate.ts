/**
 * The rate of a site's background traffic: yields the line to whatever else uses it, in the spirit of
 * LEDBAT++ and RFC 9840 (distribution 5.6). Nodes of the site measure round trips to the coordinator while
 * it sends; what a round trip takes beyond the shortest one of late is the line's queue. One state per
 * site: its transfers share one rate, so none is unfair to another. No IO, no clock, no chance.
 */

import { glanceAt, newRoundTrips, queueOf, type RoundTrips } from "./round-trips.ts";

export interface RateSettings {
  /** Queue that background traffic may leave on the line: what LEDBAT++ aims at. */
  readonly targetMs: number;
  /** Never less: a line that is busy for days must not end a deployment. */
  readonly minBytesPerSec: number;
  /** First guess for a line that nobody knows: seconds from the rate of any line in use. */
  readonly startBytesPerSec: number;
  /** The shortest round trip is forgotten after this long: routes change. */
  readonly baseWindowMs: number;
  /** Pause between two slowdowns that let the own queue drain and show the base. */
  readonly slowdownEveryMs: number;
}

export const RATE_DEFAULTS: RateSettings = {
  targetMs: 60,
  minBytesPerSec: 16_000,
  startBytesPerSec: 128_000,
  baseWindowMs: 600_000,
  slowdownEveryMs: 30_000,
};

/** Most that any line is given credit for. */
const RATE_MAX_BYTES_PER_SEC = 1.25e9;
/** Growth of a ramp per 200 ms: from the first guess to 20 Mbit/s in two seconds. */
const RAMP_FACTOR = 1.5;
/** A ramp on a known line begins with this share of what filled it. */
const RAMP_START_SHARE = 0.25;
/** The same close to where the line was full before: an overshoot stays below the target. */
const RAMP_NEAR_FACTOR = 1.1;
const RAMP_NEAR_SHARE = 0.85;
const PERIOD_MS = 200;
/** Relative change per second and target missed: slow, because the queue answers a whole period late. */
const GAIN_PER_SEC = 0.15;
/** The same upwards where the line was full before: what goes beyond its rate is queue within a second. */
const GAIN_NEAR_PER_SEC = 0.05;
const KNEE_NEAR_SHARE = 0.97;
/** Share of the measured overload that is taken back at once: damps the swing of rate and queue. */
const DAMPING = 0.5;
const STEP_MIN = 0.7;
const STEP_MAX = 1.15;
/** A queue below this share of the target is not worth yielding to: clocks and schedulers make as much. */
const QUIET_SHARE = 0.25;
/** A line is free below this share: some senders keep their own queue that short. */
const FREE_SHARE = 0.07;
/** A line without a queue for this long has room again: the rate grows as at the start. */
const QUIET_MS = 1500;
const HALVE_PAUSE_MS = 400;
const SLOWDOWN_SHARE = 0.25;
const SLOWDOWN_MAX_MS = 800;
/** Without a round trip for this long the line counts as full. */
const SILENCE_MS = 2000;
/** A sender that uses less than this of its rate learns nothing about the line; a ramp runs ahead of it. */
const HOLD_USED_SHARE = 0.85;
const RAMP_USED_SHARE = 0.55;
/** A queue while the rate is below this share of what filled the line before is somebody else's. */
const FOREIGN_SHARE = 0.75;
/** A queue that stays above this many targets while no more is sent than the line carries, too. */
const FOREIGN_QUEUE = 1.25;
/** So much more was sent than the queue has grown by: no jitter of two looks is as much. */
const GIVEN_WAY_MS = 25;
/** What is left of the rate per period while somebody else fills the line. */
const YIELD_FACTOR = 0.7;
/** What background traffic keeps of a line on which it cannot tell jitter from a short queue. */
const CREEP_SHARE = 0.05;
const CREEP_UP = 1.02;
const CREEP_DOWN = 0.9;
/** A queue that shrinks this fast (ms per ms) is on its way out and needs no more than time. */
const DRAINING = -0.15;
/** How fast a held rate becomes the rate at which the line is known to be full, per period. */
const KNEE_WEIGHT = 0.02;
/** A ramp overshoots a little, and ends early where somebody else has come: neither is believed at once. */
const KNEE_OF_RAMP = 0.9;
const KNEE_LOSS_MAX = 0.9;
/** What is kept of the measured rate when a ramp has filled the line: the queue it made drains. */
const AFTER_RAMP_SHARE = 0.85;

export interface RateState {
  rateBytesPerSec: number;
  mode: "ramp" | "steady" | "slowdown";
  readonly trips: RoundTrips;
  /** Queue at the last step. */
  queueMs: number;
  /** By the last round trip alone. */
  newestMs: number;
  /** Rate at the lowest queue since the line was free, and what was sent more since, in time on the line. */
  grown:
    | { readonly rateBytesPerSec: number; readonly queueMs: number; readonly moreMs: number }
    | undefined;
  stepMs: number;
  heardMs: number;
  /** Somebody else was seen on the line, and it has not been free since. */
  isYielding: boolean;
  /** Rate at which the line was full. */
  kneeBytesPerSec: number | undefined;
  quietSinceMs: number | undefined;
  halvedMs: number;
  /** Until then a queue may still be this traffic's own. */
  ownUntilMs: number;
  /** When the slowdown under way ends at the latest, or the next one begins. */
  slowdownMs: number;
  resumeBytesPerSec: number;
}

export type RateEvent =
  | {
      readonly type: "sample";
      readonly prober: string;
      readonly rttMs: number;
      /** What the site was really sent since the last sample. */
      readonly usedBytesPerSec: number;
    }
  /** A round trip of another node of the site, which may have to measure later. */
  | { readonly type: "glance"; readonly prober: string; readonly rttMs: number }
  /** Traffic is on its way; called at least once a second meanwhile. */
  | { readonly type: "tick" }
  /** First transfer after a pause. */
  | { readonly type: "begin" };

export function newRate(settings: RateSettings = RATE_DEFAULTS): RateState {
  return {
    rateBytesPerSec: settings.startBytesPerSec,
    mode: "ramp",
    trips: newRoundTrips(),
    queueMs: 0,
    newestMs: 0,
    grown: undefined,
    stepMs: 0,
    heardMs: 0,
    isYielding: false,
    kneeBytesPerSec: undefined,
    quietSinceMs: undefined,
    halvedMs: 0,
    ownUntilMs: 0,
    slowdownMs: 0,
    resumeBytesPerSec: settings.startBytesPerSec,
  };
}

/** Takes one event into `state`; its `rateBytesPerSec` is in force from then on. */
export function stepRate(
  state: RateState,
  event: RateEvent,
  nowMs: number,
  settings: RateSettings = RATE_DEFAULTS,
): void {
  switch (event.type) {
    case "begin":
      begin(state, nowMs, settings);
      break;
    case "tick":
      if (nowMs - state.heardMs < SILENCE_MS) return;
      state.heardMs = nowMs;
      setRate(state, state.rateBytesPerSec / 2, settings);
      break;
    case "glance":
      glanceAt(state.trips, event, nowMs, settings.baseWindowMs);
      break;
    case "sample": {
      const { queueMs, newestMs } = queueOf(state.trips, event, nowMs, settings.baseWindowMs);
      state.newestMs = newestMs;
      state.heardMs = nowMs;
      const periodMs = Math.min(nowMs - state.stepMs, 2 * PERIOD_MS);
      const usedShare = event.usedBytesPerSec / state.rateBytesPerSec;
      const overload = overloadOf(state, queueMs, periodMs);
      judge(state, { queueMs, overload, periodMs, usedShare, nowMs }, settings);
      state.queueMs = queueMs;
      state.stepMs = nowMs;
      break;
    }
    default:
      event satisfies never;
  }
}

/** Whether the controller is still looking for the line's rate: samples are worth more then. */
export function isSearching({ mode }: RateState): boolean {
  return mode === "ramp";
}

function begin(state: RateState, nowMs: number, settings: RateSettings): void {
  const { kneeBytesPerSec } = state;
  state.heardMs = nowMs;
  state.stepMs = nowMs;
  state.mode = "ramp";
  state.quietSinceMs = undefined;
  state.isYielding = false;
  state.queueMs = 0;
  const known = kneeBytesPerSec === undefined ? settings.startBytesPerSec : kneeBytesPerSec / 2;
  setRate(state, known, settings);
}

interface Look {
  readonly queueMs: number;
  /** By how much more came in than the line carries. */
  readonly overload: number;
  readonly periodMs: number;
  /** What was sent ÷ what could have been. */
  readonly usedShare: number;
  readonly nowMs: number;
}

function judge(state: RateState, look: Look, settings: RateSettings): void {
  const { queueMs, nowMs } = look;
  if (queueMs > 2 * settings.targetMs) {
    halve(state, look, settings);
    return;
  }
  switch (state.mode) {
    case "ramp":
      ramp(state, look, settings);
      break;
    case "steady":
      hold(state, look, settings);
      break;
    case "slowdown":
      if (queueMs < settings.targetMs * QUIET_SHARE || nowMs >= state.slowdownMs) {
        state.mode = "steady";
        state.slowdownMs = nowMs + settings.slowdownEveryMs;
        setRate(state, state.resumeBytesPerSec, settings);
      }
      break;
    default:
      state.mode satisfies never;
  }
}

function halve(state: RateState, look: Look, settings: RateSettings): void {
  const { nowMs } = look;
  state.quietSinceMs = undefined;
  if (state.mode === "ramp") {
    endRamp(state, look, settings);
    return;
  }
  steady(state, nowMs, settings);
  if (look.overload < DRAINING || nowMs - state.halvedMs < HALVE_PAUSE_MS) return;
  state.halvedMs = nowMs;
  setRate(state, state.rateBytesPerSec / 2, settings);
  giveTime(state, look);
}

function ramp(state: RateState, look: Look, settings: RateSettings): void {
  const { queueMs, periodMs, usedShare } = look;
  if (queueMs > settings.targetMs / 2) {
    endRamp(state, look, settings);
    return;
  }
  // A first sign is waited out without growing: it may be the queue, or only a process that was late.
  if (usedShare < RAMP_USED_SHARE || state.newestMs > settings.targetMs / 2) return;
  const { kneeBytesPerSec = Number.POSITIVE_INFINITY } = state;
  const isNear = state.rateBytesPerSec > RAMP_NEAR_SHARE * kneeBytesPerSec;
  const factor = isNear ? RAMP_NEAR_FACTOR : RAMP_FACTOR;
  setRate(state, state.rateBytesPerSec * factor ** (periodMs / PERIOD_MS), settings);
}

function endRamp(state: RateState, look: Look, settings: RateSettings): void {
  const fullBytesPerSec = state.rateBytesPerSec / (1 + Math.max(0, look.overload));
  const lastBytesPerSec = state.kneeBytesPerSec ?? 0;
  state.kneeBytesPerSec = Math.max(KNEE_OF_RAMP * fullBytesPerSec, KNEE_LOSS_MAX * lastBytesPerSec);
  steady(state, look.nowMs, settings);
  setRate(state, AFTER_RAMP_SHARE * fullBytesPerSec, settings);
  giveTime(state, look);
}

/** The queue made so far takes this long to drain at the new rate. */
function giveTime(state: RateState, { queueMs, nowMs }: Look): void {
  const { kneeBytesPerSec = state.rateBytesPerSec } = state;
  const spare = Math.max(0.1, 1 - state.rateBytesPerSec / kneeBytesPerSec);
  state.ownUntilMs = nowMs + queueMs / spare + 2 * PERIOD_MS;
}

function hold(state: RateState, look: Look, settings: RateSettings): void {
  const { queueMs, nowMs } = look;
  const { rateBytesPerSec } = state;
  const isQuiet = queueMs < settings.targetMs * QUIET_SHARE;
  // One look may be a late process: of two the shorter counts.
  const isFree = isQuiet && Math.min(queueMs, state.queueMs) < settings.targetMs * FREE_SHARE;
  state.quietSinceMs = isFree ? (state.quietSinceMs ?? nowMs) : undefined;
  if (state.quietSinceMs !== undefined && nowMs - state.quietSinceMs >= QUIET_MS) {
    state.mode = "ramp";
    state.quietSinceMs = undefined;
    state.isYielding = false;
    const known = (state.kneeBytesPerSec ?? 0) * RAMP_START_SHARE;
    setRate(state, Math.max(rateBytesPerSec, known), settings);
    return;
  }
  if (isForeign(state, look, settings) || isGivenWay(state, look, isFree)) {
    state.isYielding = true;
    setRate(state, rateBytesPerSec * YIELD_FACTOR, settings);
    return;
  }
  if (nowMs >= state.slowdownMs && !isQuiet) slowDown(state, nowMs, settings);
  else if (state.isYielding || (!isFree && shareOf(state) < FOREIGN_SHARE)) creep(state, settings);
  else steer(state, look, isQuiet, settings);
}

/** The queue may be somebody's who keeps it short, or jitter: a small share of the line is safe. */
function creep(state: RateState, settings: RateSettings): void {
  const factor = shareOf(state) > CREEP_SHARE ? CREEP_DOWN : CREEP_UP;
  setRate(state, state.rateBytesPerSec * factor, settings);
}

/** Of what filled the line before; above 1 while nobody knows. */
function shareOf({ rateBytesPerSec, kneeBytesPerSec }: RateState): number {
  return kneeBytesPerSec === undefined ? Infinity : rateBytesPerSec / kneeBytesPerSec;
}

/** A queue that this traffic cannot have made: it sends less than the line carried before. */
function isForeign(state: RateState, look: Look, settings: RateSettings): boolean {
  if (look.nowMs < state.ownUntilMs) return false;
  const share = shareOf(state);
  if (share < FOREIGN_SHARE) return look.queueMs > settings.targetMs * QUIET_SHARE;
  const isLasting = Math.min(look.queueMs, state.queueMs) > FOREIGN_QUEUE * settings.targetMs;
  return share <= 1 && isLasting && look.overload > DRAINING / 2;
}

/**
 * From its lowest point on a queue grows by all that is sent more than then. Where it does not, somebody who
 * keeps the own queue short makes room.
 */
function isGivenWay(state: RateState, { queueMs, periodMs }: Look, isFree: boolean): boolean {
  const { rateBytesPerSec, grown } = state;
  const isOwn = isFree || shareOf(state) < FOREIGN_SHARE;
  const isLowest = grown === undefined || queueMs <= grown.queueMs;
  if (isOwn || isLowest || rateBytesPerSec < grown.rateBytesPerSec) {
    state.grown = isOwn ? undefined : { rateBytesPerSec, queueMs, moreMs: 0 };
    return false;
  }
  const moreMs = grown.moreMs + periodMs * (rateBytesPerSec / grown.rateBytesPerSec - 1);
  const isForeignQueue = moreMs - (queueMs - grown.queueMs) > GIVEN_WAY_MS;
  state.grown = isForeignQueue ? undefined : { ...grown, moreMs };
  return isForeignQueue;
}

function steer(state: RateState, look: Look, isQuiet: boolean, settings: RateSettings): void {
  const missed = 1 - look.queueMs / settings.targetMs;
  const overload = isQuiet ? 0 : look.overload;
  const isNear = missed > 0 && shareOf(state) > KNEE_NEAR_SHARE;
  const gain = isNear ? GAIN_NEAR_PER_SEC : GAIN_PER_SEC;
  const wish = 1 + (look.periodMs / 1000) * gain * missed - DAMPING * overload;
  const factor = Math.min(
    Math.max(wish, STEP_MIN),
    look.usedShare > HOLD_USED_SHARE ? STEP_MAX : 1,
  );
  setRate(state, state.rateBytesPerSec * factor, settings);
  const { kneeBytesPerSec = 0, rateBytesPerSec } = state;
  const isFull =
    !isQuiet &&
    look.usedShare > HOLD_USED_SHARE &&
    rateBytesPerSec > FOREIGN_SHARE * kneeBytesPerSec;
  if (isFull)
    state.kneeBytesPerSec = kneeBytesPerSec + KNEE_WEIGHT * (rateBytesPerSec - kneeBytesPerSec);
}

/** By how much more came in than the line carries: what the queue grew per time. */
function overloadOf(state: RateState, queueMs: number, periodMs: number): number {
  return Math.min(Math.max((queueMs - state.queueMs) / periodMs, -0.5), 1);
}

function steady(state: RateState, nowMs: number, settings: RateSettings): void {
  if (state.mode !== "steady") state.slowdownMs = nowMs + settings.slowdownEveryMs;
  state.mode = "steady";
}

function slowDown(state: RateState, nowMs: number, settings: RateSettings): void {
  state.mode = "slowdown";
  state.slowdownMs = nowMs + SLOWDOWN_MAX_MS;
  state.resumeBytesPerSec = state.rateBytesPerSec;
  setRate(state, state.rateBytesPerSec * SLOWDOWN_SHARE, settings);
}

function setRate(state: RateState, bytesPerSec: number, settings: RateSettings): void {
  state.rateBytesPerSec = Math.min(
    Math.max(bytesPerSec, settings.minBytesPerSec),
    RATE_MAX_BYTES_PER_SEC,
  );
}
