import { describe, expect, it } from "vitest";
import {
  compareVersions,
  inVersionRange,
  isSameVersion,
  parseVersionRange,
  plainVersion,
  versionRevision,
} from "../../../protocol/version-order.ts";
import type { VersionScheme } from "../../../protocol/package-rules.ts";

/** Each older than the next. */
const ASCENDING: Readonly<Record<VersionScheme, readonly string[]>> = {
  numbers: ["0.9", "1", "1.0.1", "1.2", "1.10", "2.0.0.1", "10", "99999999999999999999"],
  semver: [
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1",
    "1.1",
    "2.0.0",
  ],
  deb: [
    "1.0~~",
    "1.0~~a",
    "1.0~",
    "1.0",
    "1.0-1",
    "1.0-1.1",
    "1.0a",
    "1.0.1",
    "1.9",
    "1.10",
    "1:0.1",
  ],
  rpm: ["1.0~rc1", "1.0", "1.0-1", "1.0-2", "1.0^git1", "1.0.a", "1.0.1", "1.0.10", "2", "1:1"],
};

const isIn = (text: string, version: string) =>
  inVersionRange(parseVersionRange(text), "numbers", version);

describe("order of versions", () => {
  it.each(Object.entries(ASCENDING) as [VersionScheme, readonly string[]][])(
    "knows the newer of two by the scheme %s",
    (scheme, versions) => {
      for (const [at, older] of versions.entries()) {
        expect(compareVersions(scheme, older, older)).toBe(0);
        for (const newer of versions.slice(at + 1)) {
          expect(compareVersions(scheme, older, newer), `${older} < ${newer}`).toBeLessThan(0);
          expect(compareVersions(scheme, newer, older), `${newer} > ${older}`).toBeGreaterThan(0);
        }
      }
    },
  );

  it("takes versions that are written in different ways as equal", () => {
    expect(compareVersions("numbers", "1.2", "1.2.0")).toBe(0);
    expect(compareVersions("numbers", "01.2", "1.02")).toBe(0);
    expect(compareVersions("semver", "1.2.3+build.5", "1.2.3")).toBe(0);
    expect(compareVersions("deb", "0:1.0-0", "1.0")).toBe(0);
    expect(compareVersions("rpm", "0:1.0-3", "1.0-3")).toBe(0);
  });

  it("OCO-33 takes +N as a newer procedure of the same version", () => {
    expect(compareVersions("numbers", "1.2", "1.2+1")).toBeLessThan(0);
    expect(compareVersions("numbers", "1.2+9", "1.2+10")).toBeLessThan(0);
    expect(compareVersions("semver", "1.2.0+3", "1.2.1")).toBeLessThan(0);
    expect(isSameVersion("1.2+1", "1.2")).toBe(true);
    expect(isSameVersion("1.2+1", "1.3+1")).toBe(false);
    expect([plainVersion("1.2+7"), versionRevision("1.2+7"), versionRevision("1.2")]).toEqual([
      "1.2",
      7,
      0,
    ]);
  });
});

describe("ranges of versions", () => {
  it.each([
    [">=1.2 <2", ["1.2", "1.10", "1.99"], ["1.1", "2", "2.0"]],
    ["1.2.3", ["1.2.3", "1.2.3.0"], ["1.2.4"]],
    ["=1.2", ["1.2"], ["1.3"]],
    ["*", ["0", "7.7"], []],
    ["<1 || >=2 <3 || 5", ["0.9", "2.5", "5"], ["1", "3", "4"]],
    ["> 1.2   <= 1.4", ["1.3", "1.4"], ["1.2", "1.5"]],
  ])("%s", (text, inside, outside) => {
    for (const version of inside) expect(isIn(text, version), version).toBe(true);
    for (const version of outside) expect(isIn(text, version), version).toBe(false);
  });

  it("does not look at the revision", () => {
    expect(isIn("1.2", "1.2+5")).toBe(true);
    expect(isIn(">1.2", "1.2+5")).toBe(false);
  });

  it.each([
    ["", 1],
    [">=1 ||", 7],
    [">=", 1],
    ["^1.2", 1],
    [">=1 <x y!", 8],
    ["1 || ", 5],
  ])("refuses %j and names the place %i", (text, place) => {
    expect(() => parseVersionRange(text)).toThrow(`at character ${place}`);
  });
});
