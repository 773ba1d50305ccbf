import { describe, expect, it } from "vitest";
import { parseHours, parseRate, rateText } from "../../../coordinator/cli/rates.ts";
import { policyText } from "../../../coordinator/cli/site-limit.ts";

describe("rates", () => {
  it.each([
    ["8Mbit", 1_000_000],
    ["8 mbit/s", 1_000_000],
    ["1.5Gbit", 187_500_000],
    ["512kbit", 64_000],
    ["64000bit", 8000],
  ])("reads %s", (text, bytesPerSec) => {
    expect(parseRate("--down")(text)).toBe(bytesPerSec);
  });

  it.each(["8", "8MB", "8 Mbyte", "-1Mbit", "0Mbit", "1kbit", "9999Gbit", "1e3Mbit", ""])(
    "refuses %j and says what it wants",
    (text) => {
      expect(() => parseRate("--down")(text)).toThrow(/expected a rate from 8kbit to 1000Gbit/u);
    },
  );

  it("writes rates as lines are sold", () => {
    expect([1_000_000, 187_500_000, 64_000].map(rateText)).toEqual([
      "8 Mbit/s",
      "1.5 Gbit/s",
      "512 kbit/s",
    ]);
  });

  it("OCO-23 refuses hours with the place of the mistake", () => {
    expect(parseHours("MON 18:00-23:59,SAT 0:00-23:59")).toBe("MON 18:00-23:59,SAT 0:00-23:59");
    expect(() => parseHours("MON 18:00-23:59,XYZ 1:00-2:00")).toThrow(/at character 17/u);
  });

  it("says all limits of a site in one line", () => {
    const policy = {
      downBytesPerSec: 1_000_000,
      hours: "18:00-23:59",
      zone: "Europe/Berlin",
      class: "background" as const,
      peerUploadBytesPerSec: 12_500_000,
    };

    expect(policyText({})).toBe("no limits");
    expect(policyText(policy)).toBe(
      "at most 8 Mbit/s over the line; in the hours 18:00-23:59 (Europe/Berlin); " +
        "gives way to other traffic; each endpoint sends at most 100 Mbit/s",
    );
  });
});
