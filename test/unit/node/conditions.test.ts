import { describe, expect, it } from "vitest";
import type { Conditions } from "../../../protocol/directive.ts";
import { gateOf, type Surroundings } from "../../../node/core/conditions.ts";

const HOUR_MS = 3_600_000;
/** A Monday, 12:00 UTC. */
const NOON_MS = Date.UTC(2026, 10, 23, 12);
const home: Surroundings = { endpoint: "e1", publicAddress: "192.168.2.9" };

function gate(
  conditions: Conditions,
  nowMs = NOON_MS,
  more: { runMs?: number; at?: Surroundings } = {},
) {
  return gateOf({ conditions, job: "j1", runMs: more.runMs ?? 0 }, more.at ?? home, nowMs);
}

const frames = (text: string) => ({ frames: text, zone: "UTC" });

describe("conditions right before an action", () => {
  it("opens where there are none", () => {
    expect(gateOf({ conditions: undefined, job: "j1", runMs: 0 }, home, 0)).toEqual({
      kind: "open",
    });
  });

  it("OCO-5 stays closed until the start and says when that is", () => {
    const startMs = NOON_MS + 10 * 60_000;

    expect(gate({ startMs })).toEqual({ kind: "closed", reason: "beforeStart", untilMs: startMs });
    expect(gate({ startMs }, startMs)).toEqual({ kind: "open" });
  });

  it("OCO-6 expires at the end, whatever else would hold it", () => {
    const conditions = { endMs: NOON_MS, startMs: NOON_MS + HOUR_MS };

    expect(gate(conditions, NOON_MS - 1).kind).toBe("closed");
    expect(gate(conditions, NOON_MS)).toEqual({ kind: "expired" });
  });

  it("OCO-15 OCO-16 closes outside the address ranges, and opens back inside", () => {
    const conditions = { addressRanges: "192.168.2.0/24" };
    const vpn = { endpoint: "e1", publicAddress: "10.8.0.4" };
    const unknown = { endpoint: "e1", publicAddress: undefined };

    expect(gate(conditions)).toEqual({ kind: "open" });
    expect(gate(conditions, NOON_MS, { at: vpn })).toMatchObject({ reason: "outsideAddresses" });
    expect(gate(conditions, NOON_MS, { at: unknown }).kind).toBe("closed");
  });

  it.each([
    ["192.168.2.0/24,!192.168.2.3/32", "open"],
    ["!192.168.2.3/32,192.168.2.0/24", "closed"],
  ])("OCO-19 lets the first range that holds decide: %s is %s for .3", (addressRanges, kind) => {
    const at = { endpoint: "e1", publicAddress: "192.168.2.3" };
    expect(gate({ addressRanges }, NOON_MS, { at }).kind).toBe(kind);
  });

  it("OCO-21 waits for its time frame and names the instant at which it opens", () => {
    const conditions = { timeFrames: [{ frames: "18:00-23:00", zone: "UTC" }] };

    const closed = gate(conditions);

    expect(closed).toEqual({
      kind: "closed",
      reason: "outsideTimeFrame",
      untilMs: NOON_MS + 6 * HOUR_MS,
    });
    expect(gate(conditions, NOON_MS + 6 * HOUR_MS)).toEqual({ kind: "open" });
    expect(gate(conditions, NOON_MS + 11 * HOUR_MS).kind).toBe("closed");
  });

  it("acts only where the job's frames and every maintenance window admit", () => {
    const both = { timeFrames: [frames("10:00-14:00"), frames("13:00-16:00")] };

    expect(gate(both)).toMatchObject({ kind: "closed", untilMs: NOON_MS + HOUR_MS });
    expect(gate(both, NOON_MS + HOUR_MS)).toEqual({ kind: "open" });
    expect(gate(both, NOON_MS + 2 * HOUR_MS).kind).toBe("closed");
  });

  it("does not begin what cannot end inside its window", () => {
    const conditions = { mustFit: true, timeFrames: [{ frames: "11:00-13:00", zone: "UTC" }] };

    expect(gate(conditions, NOON_MS, { runMs: HOUR_MS }).kind).toBe("open");
    expect(gate(conditions, NOON_MS, { runMs: HOUR_MS + 1 })).toEqual({
      kind: "closed",
      reason: "doesNotFit",
      untilMs: NOON_MS + HOUR_MS,
    });
  });

  it("spreads the start of many endpoints evenly, and always the same way", () => {
    const conditions = { startMs: NOON_MS, jitterSec: 1000 };
    const starts = Array.from({ length: 400 }, (_none, index) => {
      const at = { endpoint: `e${index}`, publicAddress: undefined };
      const first = gate(conditions, NOON_MS - 1, { at });
      expect(gate(conditions, NOON_MS - 1, { at })).toEqual(first);
      return first.kind === "closed" ? (first.untilMs ?? 0) - NOON_MS : -1;
    });

    expect(Math.min(...starts)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...starts)).toBeLessThan(1_000_000);
    for (const quarter of [0, 1, 2, 3]) {
      const inside = starts.filter((ms) => Math.floor(ms / 250_000) === quarter).length;
      expect(inside).toBeGreaterThan(60);
    }
  });
});
