import { describe, expect, it } from "vitest";
import { placeEndpoint } from "../../../coordinator/core/placement.ts";
import { parseSiteName } from "../../../protocol/ids.ts";

const subnet = (cidr: string) => ({ kind: "subnet" as const, cidr });
const site = (name: string, ...cidrs: string[]) => ({
  name: parseSiteName(name),
  criteria: cidrs.map(subnet),
});
const place = (address: string, homeSite: string, sites: ReturnType<typeof site>[]) =>
  placeEndpoint({
    facts: { hostName: "pc", addresses: [address], gateways: [] },
    publicAddress: "192.0.2.1",
    homeSite: parseSiteName(homeSite),
    sites,
  });

describe("placement", () => {
  it("MYP-8 moves an endpoint to the site of its new subnet", () => {
    const sites = [site("berlin", "10.1.0.0/16"), site("hamburg", "10.2.0.0/16")];

    expect(place("10.1.0.5", "berlin", sites)).toBe("berlin");
    expect(place("10.2.0.5", "berlin", sites)).toBe("hamburg");
  });

  it("MYP-26 knows no site where no criterion matches", () => {
    expect(place("172.16.0.1", "berlin", [site("berlin", "10.1.0.0/16")])).toBeUndefined();
  });

  it("prefers the home site, then the longest subnet, then the order of the sites", () => {
    const sites = [
      site("wide", "10.0.0.0/8"),
      site("narrow", "10.1.0.0/16"),
      site("same", "10.1.0.0/16"),
    ];

    expect(place("10.1.0.5", "wide", sites)).toBe("wide");
    expect(place("10.1.0.5", "elsewhere", sites)).toBe("narrow");
  });
});
