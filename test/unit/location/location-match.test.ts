import { describe, expect, it } from "vitest";
import {
  checkCriterion,
  isInCidr,
  matchesCriterion,
  matchesSite,
  parseCidr,
} from "../../../protocol/location-match.ts";

const facts = {
  hostName: "PC-17.berlin.acme.example",
  addresses: ["10.1.2.3", "2001:db8:1::7"],
  gateways: ["10.1.0.1"],
};

describe("location criteria", () => {
  it.each([
    ["10.1.0.0/16", "10.1.255.255", true],
    ["10.1.0.0/16", "10.2.0.0", false],
    ["10.1.2.3", "10.1.2.3", true],
    ["10.1.2.3", "10.1.2.4", false],
    ["10.1.2.3/32", "::ffff:10.1.2.3", true],
    ["0.0.0.0/0", "2001:db8::1", false],
    ["::/0", "10.1.2.3", false],
    ["2001:db8::/32", "2001:db8:ffff::1", true],
    ["2001:db8::", "2001:db8::1", false],
  ])("D6 keeps address families apart: %s holds %s is %s", (cidr, address, isInside) => {
    expect(isInCidr(address, parseCidr(cidr))).toBe(isInside);
  });

  it.each([
    "10.1.0.0/33",
    "10.1/16",
    "10.1.0.0/",
    "10.1.0.0/-1",
    "2001:db8::/129",
    "berlin",
    "",
    "1.2.3.4/8/8",
  ])("refuses the subnet %j with a sentence", (text) => {
    expect(() => parseCidr(text)).toThrow(/expected an address and a length/u);
  });

  it.each([
    ["PC-17.berlin.acme.example", true],
    ["pc-*", true],
    ["*.BERLIN.*", true],
    ["*.hamburg.*", false],
    ["pc-17", false],
    ["*", true],
    ["pc-*17.berlin.acme.example", true],
    ["pc-17*17.berlin.acme.example", false],
  ])("matches the host name against %s: %s", (pattern, isMatch) => {
    expect(matchesCriterion({ kind: "hostName", pattern }, facts, "192.0.2.1")).toBe(isMatch);
  });

  it("answers with the first criterion of the ordered list that matches", () => {
    const gateway = { kind: "gateway", address: "10.1.0.1" } as const;
    const criteria = [
      { kind: "publicAddress", cidr: "198.51.100.0/24" } as const,
      gateway,
      { kind: "subnet", cidr: "10.1.0.0/16" } as const,
    ];

    expect(matchesSite(criteria, facts, "192.0.2.1")).toEqual(gateway);
    expect(matchesSite(criteria, facts, "198.51.100.9")).toEqual(criteria[0]);
    expect(matchesSite([], facts, "192.0.2.1")).toBeUndefined();
  });

  it("refuses a criterion that could never be evaluated", () => {
    expect(() => checkCriterion({ kind: "gateway", address: "10.1" })).toThrow(/gateway "10.1"/u);
    expect(() => checkCriterion({ kind: "subnet", cidr: "x" })).toThrow(/subnet "x"/u);
  });
});
