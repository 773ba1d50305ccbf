/**
 * Time frames: ordered lists such as `6:00-7:00,FRI 18:00-23:00,!SAT 11:00-13:00` (OCO-21…OCO-24).
 * Evaluated from left to right; the first frame that holds decides, a negated one against (OCO-22).
 * Start inclusive, end exclusive, `23:59` as an end means the end of the day, wrap over midnight (D5).
 */
import { DeployError } from "./errors.ts";

const DAYS = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"] as const;
const FRAME = /^(!?)\s*(?:([A-Za-z]{3})\s+)?(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})$/u;
const DAY_MIN = 24 * 60;
const WEEK_MIN = 7 * DAY_MIN;
const LAST_MINUTE = DAY_MIN - 1;
const MINUTE_MS = 60_000;

export interface TimeFrame {
  readonly isNegated: boolean;
  /** 0 = Monday; undefined: every day. */
  readonly day: number | undefined;
  /** Minutes of the day; `toMin` may lie beyond 24 h where the frame crosses midnight. */
  readonly fromMin: number;
  readonly toMin: number;
}

/** Throws INPUT_INVALID naming the place of the first bad frame. */
export function parseTimeFrames(text: string): readonly TimeFrame[] {
  let at = 1;
  return text.split(",").map((part) => {
    const place = at;
    at += part.length + 1;
    return parseFrame(part, text, place);
  });
}

/** Whether an instant is inside; a list without any plain frame admits what no negated one refuses. */
export function admitsTime(frames: readonly TimeFrame[], zone: string, nowMs: number): boolean {
  return admitsMinute(frames, minuteOfWeek(zone, nowMs));
}

/**
 * The next instant after `nowMs` at which the answer of `admitsTime` changes, undefined where it never
 * does. Whole minutes of the zone's wall clock; a change of its clock shifts it by at most that change.
 */
export function nextTimeChangeMs(
  frames: readonly TimeFrame[],
  zone: string,
  nowMs: number,
): number | undefined {
  const minute = minuteOfWeek(zone, nowMs);
  const isAdmitted = admitsMinute(frames, minute);
  const startMs = nowMs - (nowMs % MINUTE_MS);
  const changes = [...edgesOf(frames)]
    .map((edge) => (edge - minute + WEEK_MIN) % WEEK_MIN || WEEK_MIN)
    .toSorted((one, other) => one - other);
  for (const ahead of changes) {
    const isLater = admitsMinute(frames, (minute + ahead) % WEEK_MIN);
    if (isLater !== isAdmitted) return startMs + ahead * MINUTE_MS;
  }
  return undefined;
}

/** Throws INPUT_INVALID where the runtime knows no such zone. */
export function checkTimeZone(zone: string): void {
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(zone);
  } catch (cause) {
    const expected = "a name of the time zone database, such as Europe/Berlin or UTC";
    throw new DeployError(
      "INPUT_INVALID",
      { what: `the time zone "${zone}"`, expected },
      { cause },
    );
  }
}

function minuteOfWeek(zone: string, nowMs: number): number {
  const local = Temporal.Instant.fromEpochMilliseconds(nowMs).toZonedDateTimeISO(zone);
  return (local.dayOfWeek - 1) * DAY_MIN + local.hour * 60 + local.minute;
}

function admitsMinute(frames: readonly TimeFrame[], minute: number): boolean {
  const deciding = frames.find((frame) => holds(frame, minute));
  if (deciding !== undefined) return !deciding.isNegated;
  return frames.every(({ isNegated }) => isNegated);
}

function holds({ day, fromMin, toMin }: TimeFrame, minute: number): boolean {
  const days = day === undefined ? DAYS.keys() : [day];
  for (const one of days) {
    const ahead = (minute - one * DAY_MIN - fromMin + 2 * WEEK_MIN) % WEEK_MIN;
    if (ahead < toMin - fromMin) return true;
  }
  return false;
}

function* edgesOf(frames: readonly TimeFrame[]): Generator<number> {
  for (const { day, fromMin, toMin } of frames) {
    for (const one of day === undefined ? DAYS.keys() : [day]) {
      yield (one * DAY_MIN + fromMin) % WEEK_MIN;
      yield (one * DAY_MIN + toMin) % WEEK_MIN;
    }
  }
}

function parseFrame(part: string, text: string, place: number): TimeFrame {
  const match = FRAME.exec(part.trim());
  if (match === null) throw badFrame(text, place);
  const [, sign, dayText, fromHour, fromMinute, toHour, toMinute] = match;
  const day =
    dayText === undefined ? undefined : DAYS.findIndex((one) => one === dayText.toUpperCase());
  const fromMin = minuteOf(fromHour, fromMinute);
  const endMin = minuteOf(toHour, toMinute);
  if (day === -1 || fromMin === undefined || endMin === undefined) throw badFrame(text, place);
  const closedMin = endMin === LAST_MINUTE ? DAY_MIN : endMin;
  const toMin = closedMin > fromMin ? closedMin : closedMin + DAY_MIN;
  return { isNegated: sign === "!", day, fromMin, toMin };
}

function minuteOf(hourText = "", minuteText = ""): number | undefined {
  const hour = Number(hourText);
  const minute = Number(minuteText);
  return hour <= 24 && minute <= 59 && hour * 60 + minute <= DAY_MIN
    ? hour * 60 + minute
    : undefined;
}

function badFrame(text: string, place: number): DeployError {
  return new DeployError("INPUT_INVALID", {
    what: `the time frames "${text.slice(0, 200)}" at character ${place}`,
    expected: "frames such as 6:00-7:00, FRI 18:00-23:00 or !SAT 11:00-13:00, separated by commas",
  });
}
