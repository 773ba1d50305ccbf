import { describe, expect, it } from "vitest";
import { barLine, plainLine, startProgress } from "../../../coordinator/cli/progress.ts";
import {
  agoText,
  bytesText,
  countText,
  durationText,
} from "../../../coordinator/cli/quantities.ts";
import { shownText, tableText } from "../../../coordinator/cli/table.ts";
import { memorySession } from "./memory-session.ts";

describe("the table", () => {
  it("aligns columns by the width on the screen, not by the number of characters", () => {
    const text = tableText(
      ["NAME", "SITE"],
      [
        ["東京", "tokyo"],
        ["berlin-07", "berlin"],
      ],
    );

    expect(text).toBe("NAME        SITE\n東京        tokyo\nberlin-07   berlin\n");
  });

  it("ignores colours when it measures and leaves no blanks at the end of a line", () => {
    const text = tableText(["A", "B"], [["\u001B[32mok\u001B[39m", ""]]);

    expect(text).toBe("A    B\n\u001B[32mok\u001B[39m\n");
  });

  it("shows text of nodes without anything that moves the cursor or breaks the line", () => {
    expect(shownText("a\u001B[2Jb\r\nc\u202Ed\u0007")).toBe("ab c d");
  });
});

describe("quantities", () => {
  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.00 kB"],
    [12_345, "12.3 kB"],
    [999_499, "999 kB"],
    [999_500, "1.00 MB"],
    [36_000_000, "36.0 MB"],
    [5e15, "5.00 PB"],
  ])("writes %d bytes as %s", (sizeBytes, text) => {
    expect(bytesText(sizeBytes)).toBe(text);
  });

  it.each([
    [0, "0s"],
    [45_000, "45s"],
    [59_600, "1m 0s"],
    [185_000, "3m 5s"],
    [7_800_000, "2h 10m"],
    [273_600_000, "3d 4h"],
  ])("writes %d ms as %s", (durationMs, text) => {
    expect(durationText(durationMs)).toBe(text);
  });

  it("says how long ago, never, and counts nouns", () => {
    const nowMs = Date.parse("2026-01-01T00:01:00Z");

    expect(agoText("2026-01-01T00:00:00Z", nowMs)).toBe("1m 0s ago");
    expect(agoText("2026-01-01T00:05:00Z", nowMs)).toBe("now");
    expect(agoText(null, nowMs)).toBe("never");
    expect(countText(1, "fragment")).toBe("1 fragment");
    expect(countText(2, "criterion", "criteria")).toBe("2 criteria");
  });
});

describe("progress", () => {
  const state = {
    label: "uploading",
    done: 12_000_000,
    total: 36_000_000,
    elapsedMs: 3000,
    unit: "bytes",
  } as const;

  it("shows bytes, rate and remaining time", () => {
    expect(barLine(state, 120)).toBe(
      "uploading  [########----------------]  33 %  12.0 MB of 36.0 MB  4.00 MB/s  6s left",
    );
    expect(plainLine({ ...state, total: undefined })).toBe("uploading  12.0 MB  4.00 MB/s");
  });

  it("never writes a line as wide as the screen, which would wrap", () => {
    for (const columns of [10, 40, 80]) {
      expect(barLine(state, columns).length).toBeLessThan(columns);
    }
  });

  it("rewrites one line on a terminal and clears it at the end", () => {
    const session = memorySession({ isTty: true });
    const progress = startProgress(session);

    progress.update("uploading", 1, 2);
    progress.update("uploading", 2, 2);
    progress.end();

    expect(session.err()).not.toContain("\n");
    expect(session.err().endsWith("\r\u001B[K")).toBe(true);
  });

  it("prints a plain line each 10 s elsewhere, and nothing for short work", () => {
    const session = memorySession();
    const progress = startProgress(session);

    progress.update("uploading", 1, 4);
    session.advanceMs(9999);
    progress.update("uploading", 2, 4);
    expect(session.err()).toBe("");
    session.advanceMs(1);
    progress.update("uploading", 3, 4);
    progress.update("uploading", 4, 4);
    progress.end();

    expect(session.err().split("\n")).toHaveLength(2);
    expect(session.err()).toContain("75 %  3 B of 4 B");
  });
});
