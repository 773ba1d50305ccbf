import { describe, expect, it } from "vitest";
import {
  admitsTime,
  checkTimeZone,
  nextTimeChangeMs,
  parseTimeFrames,
} from "../../../protocol/time-frame.ts";

/** Monday, 16 November 2026; a day of the week and a time in UTC. */
const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
function at(text: string): number {
  const [day = "", clock = ""] = text.split(" ");
  const [hour = 0, minute = 0] = clock.split(":").map(Number);
  return Date.UTC(2026, 10, 16 + DAYS.indexOf(day), hour, minute);
}
const admits = (frames: string, text: string, zone = "UTC") =>
  admitsTime(parseTimeFrames(frames), zone, at(text));

describe("time frames", () => {
  it.each([
    ["Mon 6:30", true],
    ["Mon 12:00", false],
    ["Fri 19:00", true],
    ["Thu 19:00", false],
    ["Sat 12:00", false],
    ["Sat 10:00", true],
    ["Sat 6:30", true],
    ["Sun 10:00", false],
  ])("OCO-21 OCO-24 evaluates the example at %s", (text, isInside) => {
    const example = "6:00-7:00,FRI 18:00-23:00,!SAT 11:00-13:00,SAT 0:00-23:59";

    expect(admits(example, text)).toBe(isInside);
  });

  it("OCO-22 decides by the first frame that holds, from left to right", () => {
    expect(admits("MON 9:00-17:00,!MON 12:00-13:00", "Mon 12:30")).toBe(true);
    expect(admits("!MON 12:00-13:00,MON 9:00-17:00", "Mon 12:30")).toBe(false);
    expect(admits("!MON 12:00-13:00", "Mon 14:00")).toBe(true);
  });

  it("OCO-23 reads both forms in any case, with blanks", () => {
    expect(admits(" fri 18:00 - 23:00 , 1:00-2:00", "Fri 18:30")).toBe(true);
    expect(admits("6:05-6:10", "Wed 6:07")).toBe(true);
  });

  it.each([
    ["", 1],
    ["6:00", 1],
    ["6:00-7:00,DDD 1:00-2:00", 11],
    ["6:00-7:00,25:00-26:00", 11],
    ["6:00-7:61", 1],
    ["6:00-7:00,,", 11],
  ])("OCO-23 refuses %j and names the place %i", (text, place) => {
    expect(() => parseTimeFrames(text)).toThrow(`at character ${place}`);
  });

  it("D5 includes the start, excludes the end, and takes 23:59 as the end of the day", () => {
    expect(admits("6:00-7:00", "Mon 6:00")).toBe(true);
    expect(admits("6:00-7:00", "Mon 7:00")).toBe(false);
    expect(admits("0:00-23:59", "Mon 0:00")).toBe(true);
    expect(admits("0:00-23:59", "Mon 23:59")).toBe(true);
    expect(admits("SAT 0:00-23:59", "Sun 0:00")).toBe(false);
  });

  it("D5 crosses midnight, also over the end of the week", () => {
    expect(admits("FRI 22:00-4:00", "Sat 3:59")).toBe(true);
    expect(admits("FRI 22:00-4:00", "Fri 3:00")).toBe(false);
    expect(admits("SUN 22:00-4:00", "Mon 1:00")).toBe(true);
  });

  it("D5 reckons in the chosen zone", () => {
    expect(admits("6:00-7:00", "Mon 5:30", "Europe/Berlin")).toBe(true);
    expect(admits("6:00-7:00", "Mon 5:30", "UTC")).toBe(false);
    expect(() => checkTimeZone("Europe/Nowhere")).toThrow("time zone");
  });

  it("knows when the answer changes next, and that it never does", () => {
    const next = (frames: string, text: string) =>
      nextTimeChangeMs(parseTimeFrames(frames), "UTC", at(text) + 30_000);

    expect(next("6:00-7:00", "Mon 5:00")).toBe(at("Mon 6:00"));
    expect(next("6:00-7:00", "Mon 6:00")).toBe(at("Mon 7:00"));
    expect(next("6:00-7:00,7:00-8:00", "Mon 6:00")).toBe(at("Mon 8:00"));
    expect(next("FRI 18:00-23:00", "Sat 1:00")).toBe(at("Fri 18:00") + 7 * 86_400_000);
    expect(next("0:00-23:59", "Mon 5:00")).toBeUndefined();
  });
});
