import { describe, expect, it } from "vitest";
import type { Roster } from "../../../protocol/check-in.ts";
import { endpointIdOf, parseSiteName } from "../../../protocol/ids.ts";
import type { LocationFacts } from "../../../protocol/location.ts";
import { backoffMs, jitteredMs, newsSpreadMs, retryAfterMs } from "../../../node/core/backoff.ts";
import { chooseDp } from "../../../node/core/choose-dp.ts";
import { endStateOf, isSuccess, outcomeOf } from "../../../node/core/outcome.ts";
import { factsOf, parseIpv4Routes, parseIpv6Routes } from "../../../node/uplink/facts.ts";
import { RefusalDesk } from "../../../node/uplink/refusal-desk.ts";

const id = (seed: number) => endpointIdOf(Buffer.alloc(32, seed));
const branch = parseSiteName("branch");
const facts: LocationFacts = { hostName: "pc1", addresses: ["10.1.0.5"], gateways: [] };

function roster(change: Partial<Roster> = {}): Roster {
  const dp = (seed: number, rank: number) => ({
    endpoint: id(seed),
    site: branch,
    rank,
    addresses: [],
  });
  return {
    v: 1,
    endpoint: id(1),
    version: 1,
    site: branch,
    epoch: 1,
    criteria: [{ kind: "subnet", cidr: "10.1.0.0/16" }],
    publicAddress: "203.0.113.9",
    dps: [dp(3, 2), dp(2, 1), dp(1, 0)],
    peers: [],
    ...change,
  };
}

describe("the choice of a DP", () => {
  it("MYP-8 takes the lowest rank of the site whose criteria match, and never itself", () => {
    expect(chooseDp(facts, roster())?.endpoint).toBe(id(2));
  });

  it("MYP-26 takes none where the own facts do not match, or the node is at no site", () => {
    expect(chooseDp({ ...facts, addresses: ["10.2.0.5"] }, roster())).toBeUndefined();
    const { site: _site, ...nowhere } = roster();
    expect(chooseDp(facts, nowhere)).toBeUndefined();
  });

  it("BR-6 takes no DP of another site", () => {
    const far = { endpoint: id(9), site: parseSiteName("far"), rank: 0, addresses: [] };
    expect(chooseDp(facts, roster({ dps: [far] }))).toBeUndefined();
  });

  it("BR-7 goes without a DP where the site has none", () => {
    expect(chooseDp(facts, roster({ dps: [] }))).toBeUndefined();
  });
});

describe("outcomes", () => {
  it.each([
    [0, [0], "success"],
    [1, [0], "failed"],
    [1, [], "success"],
    [3010, [0, 3010], "successRebootRequired"],
    [3010, [0], "failed"],
    [1641, [0, 1641], "rebootInitiated"],
    [1618, [0], "retryable"],
  ] as const)("OCO-50 exit code %i with success list %j is %s", (code, list, outcome) => {
    expect(outcomeOf(code, list)).toBe(outcome);
  });

  it("SE-20 SE-21 leaves a failed job waiting while it has attempts left", () => {
    expect(endStateOf("failed", 1, 3)).toBe("waiting");
    expect(endStateOf("interrupted", 3, 3)).toBe("failed");
    expect(endStateOf("rebootInitiated", 3, 3)).toBe("succeeded");
    expect(isSuccess("blocked")).toBe(false);
  });
});

describe("waiting times", () => {
  it("doubles the ceiling up to five minutes and honours Retry-After", () => {
    expect([1, 2, 3, 30].map((count) => backoffMs(count, 1))).toEqual([1000, 2000, 4000, 300_000]);
    expect(backoffMs(5, 0)).toBe(0);
    expect(backoffMs(1, 0.5, 7000)).toBe(7500);
    expect(backoffMs(1, 0, 1e12)).toBe(3_600_000);
  });

  it("keeps the interval within a fifth", () => {
    expect([0, 0.5, 1].map((random) => jitteredMs(1000, random))).toEqual([800, 1000, 1200]);
  });

  it("spreads what a whole site hears at once by its size", () => {
    expect([0, 6, 30, 200, 500].map(newsSpreadMs)).toEqual([300, 300, 1500, 5000, 5000]);
  });

  it("reads Retry-After as seconds or as a date", () => {
    expect(retryAfterMs("30", 0)).toBe(30_000);
    expect(retryAfterMs("Thu, 01 Jan 1970 00:01:00 GMT", 20_000)).toBe(40_000);
    expect(retryAfterMs("soon", 0)).toBe(0);
    expect(retryAfterMs(undefined, 0)).toBe(0);
  });
});

function info(address: string, cidr: string, internal = false) {
  return { address, cidr, internal, netmask: "", mac: "", family: "IPv4" } as const;
}

describe("location facts", () => {
  const routes4 =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\n" +
    "eth0\t00000000\t0100A8C0\t0003\t0\n" +
    "eth0\t0000A8C0\t00000000\t0001\t0\n" +
    "lo\t00000000\tzz\t0003\t0\n";
  const routes6 =
    `${"0".repeat(32)} 00 ${"0".repeat(32)} 00 fe800000000000000000000000000001 00000400 0 0 00000003 eth1\n` +
    `${"0".repeat(32)} 00 ${"0".repeat(32)} 00 ${"0".repeat(32)} ffffffff 1 0 00200200 lo\n`;
  const interfaces = {
    lo: [info("127.0.0.1", "127.0.0.1/8", true)],
    eth0: [info("192.168.0.7", "192.168.0.7/24"), info("169.254.1.1", "169.254.1.1/16")],
  };

  it("finds default gateways in Linux's route tables and survives noise", () => {
    expect(parseIpv4Routes(routes4)).toEqual([{ device: "eth0", address: "192.168.0.1" }]);
    expect(parseIpv6Routes(routes6)).toEqual([{ device: "eth1", address: "fe80::1" }]);
    expect(parseIpv4Routes("\n\0\n x")).toEqual([]);
    expect(parseIpv6Routes("")).toEqual([]);
  });

  it("reports what places a host, not what every host has", () => {
    const found = factsOf("pc", interfaces, parseIpv4Routes(routes4), undefined);
    expect(found).toEqual({
      hostName: "pc",
      addresses: ["192.168.0.7"],
      gateways: ["192.168.0.1"],
    });
  });

  it("reports the one address it listens on and no gateway of another interface", () => {
    const found = factsOf("pc", interfaces, parseIpv4Routes(routes4), "127.1.0.5");
    expect(found).toMatchObject({ addresses: ["127.1.0.5"], gateways: [] });
  });
});

describe("refusals", () => {
  it("tells the same refusal once in ten minutes", () => {
    let nowMs = 0;
    const desk = new RefusalDesk(id(1), () => nowMs);
    const refusal = { code: "TRUST_SIGNATURE", detail: "bin-01" };

    const first = desk.reportOf(refusal);
    nowMs = 599_999;
    const second = desk.reportOf(refusal);
    const other = desk.reportOf({ ...refusal, detail: "bin-02" });
    nowMs = 600_000;

    expect(first).toMatchObject({ kind: "refusal", ...refusal, endpoint: id(1) });
    expect(second).toBeUndefined();
    expect(other).toBeDefined();
    expect(desk.reportOf(refusal)).toBeDefined();
  });
});
