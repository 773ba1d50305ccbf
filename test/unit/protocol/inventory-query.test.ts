import { describe, expect, it } from "vitest";
import { parsePackageRef } from "../../../protocol/ids.ts";
import {
  matchesInventory,
  parseInventoryQuery,
  type InventoryFacts,
} from "../../../protocol/inventory-query.ts";

const facts: InventoryFacts = {
  name: "pc-17",
  site: "berlin",
  role: "agent",
  os: "linux",
  osName: "Debian GNU/Linux",
  osVersion: "12.5",
  arch: "x64",
  address: "10.1.2.3",
  memoryMb: 8192,
  freeDiskGb: 40,
  isServer: false,
  hasUser: true,
  software: [{ name: "openssl", version: "3.0.11" }],
  installed: [
    parsePackageRef("acme/app@1.9"),
    { ...parsePackageRef("acme/pre@1.0.0-rc.1"), scheme: "semver" },
  ],
};
const matches = (text: string, more: Partial<InventoryFacts> = {}) =>
  matchesInventory(parseInventoryQuery(text), { ...facts, ...more });

describe("inventory queries", () => {
  it.each([
    "os = linux and site in (berlin, bonn) and installed acme/app < 2.0 and not memoryMb < 4096",
    "os = LINUX",
    "name = pc-*",
    "name != pc-18",
    'osName = "debian gnu/linux"',
    "osVersion >= 12 and osVersion < 13",
    "address in (10.1.0.0/16, 2001:db8::/32)",
    "address != 10.2.0.0/16",
    "memoryMb >= 8192 and freeDiskGb > 39",
    "hasUser and not isServer",
    "installed acme/app",
    "installed acme/pre < 1.0.0",
    "software openssl >= 3.0.9",
    "software open*",
    "isServer or (os = win32 or os = linux)",
    "not (isServer and hasUser)",
    "os = win32 or os = linux and hasUser",
  ])("matches %s", (text) => {
    expect(matches(text)).toBe(true);
  });

  it.each([
    "os = win32",
    "site in (bonn)",
    "name = pc",
    "installed acme/app >= 2",
    "installed acme/other",
    "software openssl < 3",
    "address = 10.1.2.4",
    "(os = win32 or os = linux) and isServer",
  ])("does not match %s", (text) => {
    expect(matches(text)).toBe(false);
  });

  it("lets nothing match what is not known, in either sense", () => {
    const unknown = {
      memoryMb: undefined,
      site: undefined,
      osVersion: undefined,
      address: undefined,
    };

    for (const text of [
      "memoryMb < 1",
      "memoryMb >= 0",
      "site = berlin",
      "site != berlin",
      "osVersion > 1",
      "address != 10.0.0.1",
    ]) {
      expect(matches(text, unknown), text).toBe(false);
    }
    expect(matches("not memoryMb < 1", unknown)).toBe(true);
  });

  it.each([
    ["", 1],
    ["os", 3],
    ["os = ", 6],
    ["oss = linux", 1],
    ["os = linux and", 15],
    ["os < linux", 4],
    ["memoryMb > many", 12],
    ["site in (berlin", 16],
    ["(os = linux", 12],
    ["os = linux )", 12],
    ["address = 10.0.0.0/99", 11],
    ["installed acme/app != 1", 20],
    ['name = "open', 8],
  ])("refuses %j and names the place %i", (text, place) => {
    expect(() => parseInventoryQuery(text)).toThrow(`at character ${place}`);
  });

  it("bounds the depth", () => {
    const deep = `${"(".repeat(40)}os = linux${")".repeat(40)}`;

    expect(() => parseInventoryQuery(deep)).toThrow("at most 16 levels");
  });
});
