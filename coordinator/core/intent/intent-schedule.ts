/**
 * A schedule as operators write it, with its defaults filled in and its texts checked: what the planner
 * works with.
 */
import { parseAddressRanges } from "../../../protocol/address-range.ts";
import { DeployError } from "../../../protocol/errors.ts";
import type { Schedule } from "../../../protocol/intent.ts";
import { ATTEMPT_LIMIT_DEFAULT, RESTART_TIMEOUT_DEFAULT_MIN } from "../../../protocol/limits.ts";
import { checkTimeZone, parseTimeFrames } from "../../../protocol/time-frame.ts";
import type { PlanSchedule } from "../plan/plan-model.ts";

/** `zone` is the coordinator's, for frames without one (D5). */
export function planScheduleOf(schedule: Schedule = {}, zone: string): PlanSchedule {
  return {
    startMs: schedule.start === undefined ? undefined : instantMs(schedule.start),
    endMs: schedule.end === undefined ? undefined : instantMs(schedule.end),
    priority: schedule.priority ?? 0,
    addressRanges: schedule.addressRanges,
    timeFrames: schedule.timeFrames,
    zone: schedule.zone ?? zone,
    abortsAfterFailed: schedule.sequenceMode === "abortAfterFailed",
    abortScope: schedule.abortScope ?? "container",
    wantsWake: schedule.wake ?? false,
    wantsShutdown: schedule.shutdown ?? false,
    restartTimeoutMin: schedule.restartTimeoutMin ?? RESTART_TIMEOUT_DEFAULT_MIN,
    uninstallsOld: schedule.autoUninstall ?? true,
    attemptLimit: schedule.attemptLimit ?? ATTEMPT_LIMIT_DEFAULT,
    precaches: schedule.precache ?? false,
    jitterSec: schedule.jitterSec ?? 0,
    isPaused: schedule.isPaused ?? false,
  };
}

/** Throws INPUT_INVALID for a text that nothing could be planned by. */
export function checkSchedule(schedule: Schedule): void {
  const { start, end, addressRanges, timeFrames, zone, wake, shutdown } = schedule;
  const startMs = start === undefined ? undefined : instantMs(start);
  const endMs = end === undefined ? undefined : instantMs(end);
  if (startMs !== undefined && endMs !== undefined && endMs <= startMs) {
    throw invalid(`the end ${end}`, "an instant after the start");
  }
  if (addressRanges !== undefined) parseAddressRanges(addressRanges);
  if (timeFrames !== undefined) parseTimeFrames(timeFrames);
  if (zone !== undefined) checkTimeZone(zone);
  if (shutdown === true && wake !== true) {
    throw invalid(
      "shutdown without wake",
      "wake as well: only what was woken is shut down (OCO-9)",
    );
  }
}

/** Throws INPUT_INVALID. */
function instantMs(text: string): number {
  try {
    return Temporal.Instant.from(text).epochMilliseconds;
  } catch (cause) {
    const expected = "an instant such as 2026-12-24T18:00:00Z or 2026-12-24T18:00:00+01:00";
    throw new DeployError("INPUT_INVALID", { what: `the instant "${text}"`, expected }, { cause });
  }
}

function invalid(what: string, expected: string): DeployError {
  return new DeployError("INPUT_INVALID", { what, expected });
}
