import { describe, expect, it } from "vitest";
import { FetchBudget } from "../../../node/core/fetch-budget.ts";
import { judgeSharing, WIRED_SLOTS, type HostFacts } from "../../../node/core/peer-eligibility.ts";
import { RateLimit } from "../../../node/core/rate-limit.ts";
import { closedForMs } from "../../../node/core/transfer-hours.ts";
import type { HostReading } from "../../../node/uplink/host-facts.ts";
import { Manners, type MannersSettings } from "../../../node/uplink/manners.ts";
import { parseTimeFrames } from "../../../protocol/time-frame.ts";

const GB = 1024 ** 3;
const HOUR_MS = 3_600_000;
/** A Monday, 12:00 UTC. */
const NOON_MS = Date.UTC(2026, 10, 16, 12);

const office: HostFacts = {
  link: "wired",
  isOnBattery: false,
  batteryPercent: undefined,
  freeDiskBytes: 100 * GB,
  availableMemoryBytes: 8 * GB,
  loadPerCore: 0.3,
};

function sharing(facts: Partial<HostFacts>, more: { isDp?: boolean; isOff?: boolean } = {}) {
  return judgeSharing({ facts: { ...office, ...facts }, isDp: false, isOff: false, ...more });
}

describe("eligibility", () => {
  it.each<[string, Partial<HostFacts>, number, string | undefined]>([
    ["a wired computer", {}, 8, undefined],
    ["a computer that says nothing of itself", { link: undefined }, 8, undefined],
    ["a computer on Wi-Fi", { link: "wifi" }, 1, "wifi"],
    ["a VPN client", { link: "vpn" }, 0, "vpn"],
    ["a computer behind a modem", { link: "metered" }, 0, "metered"],
    ["a plugged-in notebook", { batteryPercent: 12 }, 8, undefined],
    ["a full battery", { isOnBattery: true, batteryPercent: 80 }, 8, undefined],
    ["a low battery", { isOnBattery: true, batteryPercent: 39 }, 0, "batteryLow"],
    ["a battery of unknown charge", { isOnBattery: true }, 0, "batteryLow"],
    ["a full disk", { freeDiskBytes: 0.1 * GB }, 1, "diskFull"],
    ["no memory left", { availableMemoryBytes: 0.05 * GB }, 1, "memoryLow"],
    ["an overloaded processor", { loadPerCore: 12 }, 1, "busy"],
  ])("gives %s its slots and says why", (_name, facts, uploadSlots, reason) => {
    expect(sharing(facts)).toEqual({ uploadSlots, ...(reason === undefined ? {} : { reason }) });
  });

  it("lets a DP serve on whatever link it has, unless it was switched off", () => {
    expect(sharing({ link: "vpn" }, { isDp: true })).toEqual({ uploadSlots: WIRED_SLOTS });
    expect(sharing({}, { isDp: true, isOff: true })).toEqual({ uploadSlots: 0, reason: "off" });
  });
});

describe("rate limit", () => {
  it("spaces takers by their bytes, in the order of asking", () => {
    const limit = new RateLimit(1000);

    const delays = [500, 500, 1000].map((sizeBytes) => limit.delayMs(sizeBytes, 10_000));

    expect(delays).toEqual([0, 450, 950]);
  });

  it("saves up no more than a moment of idle time", () => {
    const limit = new RateLimit(1000);
    limit.delayMs(100, 0);

    expect(limit.delayMs(1000, 3_600_000)).toBe(0);
    expect(limit.delayMs(1000, 3_600_000)).toBe(950);
  });

  it("lets everything through once it is lifted", () => {
    const limit = new RateLimit(10);
    limit.delayMs(1000, 0);

    limit.set(undefined);

    expect(limit.delayMs(1_000_000, 1)).toBe(0);
  });
});

describe("transfer hours", () => {
  const night = { frames: parseTimeFrames("MON 18:00-23:59"), zone: "UTC" };

  it("waits for the later of two openings, but never longer than asked", () => {
    const late = { frames: parseTimeFrames("20:00-21:00"), zone: "UTC" };

    expect(closedForMs([night, late], NOON_MS, 24 * HOUR_MS)).toBe(8 * HOUR_MS);
    expect(closedForMs([night, late], NOON_MS, 60_000)).toBe(60_000);
  });

  it("does not wait inside the hours, nor without any", () => {
    expect(closedForMs([night], NOON_MS + 7 * HOUR_MS, HOUR_MS)).toBe(0);
    expect(closedForMs([], NOON_MS, HOUR_MS)).toBe(0);
  });
});

describe("fetch budget", () => {
  it("ends a fetch that moves more than three copies and some slack", () => {
    const budget = new FetchBudget(100_000_000);

    const isOver = [100, 100, 100, 16, 1].map((mb) => budget.spend(mb * 1_000_000));

    expect(isOver).toEqual([false, false, false, false, true]);
  });
});

describe("manners of a node", () => {
  const reading: HostReading = { ...office, linkBytesPerSec: 125_000_000 };
  const settings: MannersSettings = {
    uploadBytesPerSec: undefined,
    downloadBytesPerSec: undefined,
    hours: undefined,
    isSharingOff: false,
    readHost: async () => reading,
    isDp: () => false,
    now: () => NOON_MS,
  };

  it("judges the host anew before every check-in", async () => {
    let facts: HostReading = reading;
    const manners = new Manners({ ...settings, readHost: async () => facts });

    const before = await manners.refresh();
    facts = { ...reading, isOnBattery: true, batteryPercent: 20 };
    const after = await manners.refresh();

    expect(before).toEqual({ uploadSlots: 8 });
    expect(after).toEqual({ uploadSlots: 0, reason: "batteryLow" });
    expect(manners.uploadSlots).toBe(0);
  });

  it("closes the line outside its own hours, and outside those of its site", () => {
    const own = new Manners({ ...settings, hours: "12:00-13:00" });
    const site = new Manners(settings);
    const isOpenBefore = site.lineClosedForMs() === 0;

    site.obey({ hours: "18:00-19:00", zone: "UTC" });
    own.obey({ hours: "18:00-19:00", zone: "UTC" });

    expect(isOpenBefore).toBe(true);
    expect(site.lineClosedForMs()).toBeGreaterThan(0);
    expect(own.lineClosedForMs()).toBeGreaterThan(0);
    site.obey(undefined);
    expect(site.lineClosedForMs()).toBe(0);
  });

  it("counts what was of no use", () => {
    const manners = new Manners(settings);

    manners.wasted("corrupt", 10);
    manners.wasted("duplicate", 3);
    manners.wasted("corrupt", 1);

    expect(manners.wastedBytes).toEqual({ corrupt: 11, duplicate: 3 });
  });
});
