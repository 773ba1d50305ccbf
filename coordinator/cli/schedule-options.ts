/** The options that containers, rules, assignments and rollouts share: when and how their jobs run. */
import { Option, type Command } from "commander";
import { DeployError } from "../../protocol/errors.ts";
import { ScheduleSchema, type Schedule } from "../../protocol/intent.ts";
import { parserOf } from "../../protocol/json.ts";
import { parseDurationMs, parseWhole } from "./arguments.ts";

export interface ScheduleOptions {
  readonly description?: string;
  readonly start?: string;
  readonly end?: string;
  readonly priority?: number;
  readonly addressRanges?: string;
  readonly timeFrames?: string;
  readonly zone?: string;
  readonly sequenceMode?: string;
  readonly abortScope?: string;
  readonly wake?: boolean;
  readonly shutdown?: boolean;
  readonly restartTimeout?: number;
  readonly autoUninstall?: boolean;
  readonly attemptLimit?: number;
  readonly precache?: boolean;
  /** In milliseconds. */
  readonly jitter?: number;
}

const parseSchedule = parserOf("the schedule", ScheduleSchema);

export function addScheduleOptions(command: Command): Command {
  return command
    .option("--description <text>", "what it is for")
    .option("--start <instant>", "not before, such as 2026-12-24T18:00:00Z")
    .option("--end <instant>", "unfinished jobs expire then")
    .option(
      "--priority <-100..100>",
      "higher first (default: 0)",
      parseSigned("--priority", -100, 100),
    )
    .option(
      "--address-ranges <list>",
      "only from there: 10.2.0.0/16,!10.2.0.9 (first match decides)",
    )
    .option("--time-frames <list>", "only then: 6:00-7:00,FRI 18:00-23:00,!SAT 11:00-13:00")
    .option("--zone <name>", "time zone of the frames (default: the coordinator's)")
    .addOption(
      new Option("--sequence-mode <mode>", "after a failed job (default: ignoreFailed)").choices([
        "ignoreFailed",
        "abortAfterFailed",
      ]),
    )
    .addOption(
      new Option("--abort-scope <scope>", "whose jobs a failure ends (default: container)").choices(
        ["endpoint", "container"],
      ),
    )
    .option("--wake", "wake endpoints that are off at the start")
    .option("--shutdown", "shut down afterwards what was woken")
    .option(
      "--restart-timeout <minutes>",
      "time for a logged-in user before a restart, -1 for never (default: 20)",
      parseSigned("--restart-timeout", -1, 1440),
    )
    .option("--no-auto-uninstall", "leave older versions installed")
    .option(
      "--attempt-limit <count>",
      "tries per wish (default: 3)",
      parseWhole("--attempt-limit", 1, 100),
    )
    .option("--precache", "bring the content before the start")
    .option("--jitter <duration>", "spread the starts over this long", parseDurationMs("--jitter"));
}

/** Undefined where nothing was typed. */
export function scheduleFrom(options: ScheduleOptions): Schedule | undefined {
  const { restartTimeout, jitter, autoUninstall } = options;
  const fields = {
    description: options.description,
    start: options.start,
    end: options.end,
    priority: options.priority,
    addressRanges: options.addressRanges,
    timeFrames: options.timeFrames,
    zone: options.zone,
    sequenceMode: options.sequenceMode,
    abortScope: options.abortScope,
    wake: options.wake,
    shutdown: options.shutdown,
    restartTimeoutMin: restartTimeout,
    // The default of a --no- option is true, which says nothing.
    autoUninstall: autoUninstall === false ? false : undefined,
    attemptLimit: options.attemptLimit,
    precache: options.precache,
    jitterSec: jitter === undefined ? undefined : Math.ceil(jitter / 1000),
  };
  const typed = Object.entries(fields).filter(([, value]) => value !== undefined);
  return typed.length === 0 ? undefined : parseSchedule(Object.fromEntries(typed));
}

export function parseSigned(what: string, minimum: number, maximum: number) {
  return (text: string): number => {
    const value = /^-?[0-9]{1,5}$/u.test(text) ? Number(text) : Number.NaN;
    if (value >= minimum && value <= maximum) return value;
    throw new DeployError("INPUT_INVALID", {
      what: `${what} "${text.slice(0, 100)}"`,
      expected: `a whole number from ${minimum} to ${maximum}`,
    });
  };
}
