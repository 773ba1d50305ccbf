import { describe, expect, it } from "vitest";
import { admitsAddress, parseAddressRanges } from "../../../protocol/address-range.ts";

const admits = (ranges: string, address: string) =>
  admitsAddress(parseAddressRanges(ranges), address);

describe("address ranges", () => {
  it.each([
    ["10.2.0.1", true],
    ["10.2.255.254", true],
    ["10.3.0.1", false],
    ["192.168.2.1", true],
    ["192.168.2.3", false],
    ["192.168.2.4", true],
    ["192.168.3.3", false],
    ["caff:eeca:ffee::1", true],
    ["caff:eeca:ffef::1", false],
  ])("OCO-20 evaluates the example for %s", (address, isInside) => {
    const example = "10.2.0.0/16,!192.168.2.3/32,192.168.2.0/24,CAFF:EECA:FFEE:0000::/64";

    expect(admits(example, address)).toBe(isInside);
  });

  it("OCO-19 decides by the first range that holds, from left to right", () => {
    expect(admits("192.168.2.0/24,!192.168.2.3/32", "192.168.2.3")).toBe(true);
    expect(admits("!192.168.2.3/32,192.168.2.0/24", "192.168.2.3")).toBe(false);
  });

  it("OCO-17 OCO-18 takes several ranges of both families, blanks and negation", () => {
    expect(admits(" 10.0.0.0/8 , ! 192.168.0.0/16 , ::/0 ", "10.1.1.1")).toBe(true);
    expect(admits("!192.168.2.3/32", "192.168.2.4")).toBe(true);
    expect(admits("!192.168.2.3/32", "192.168.2.3")).toBe(false);
  });

  it("D6 takes an address alone as that one address of its family, and never mixes families", () => {
    expect(admits("192.168.2.3", "192.168.2.3")).toBe(true);
    expect(admits("192.168.2.3", "192.168.2.4")).toBe(false);
    expect(admits("2001:db8::1", "2001:db8::2")).toBe(false);
    expect(admits("0.0.0.0/0", "2001:db8::1")).toBe(false);
  });

  it.each([
    ["", 1],
    ["10.0.0.0/8,10.0.0.0/33", 12],
    ["10.0.0.0/8,,", 12],
    ["10.1", 1],
  ])("refuses %j and names the place %i", (text, place) => {
    expect(() => parseAddressRanges(text)).toThrow(`at character ${place}`);
  });
});
