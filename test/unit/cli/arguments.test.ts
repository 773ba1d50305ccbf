import { describe, expect, it } from "vitest";
import {
  criterionOf,
  parseBaseUrl,
  parseDurationMs,
  parseDurationWithin,
  parseExitCodes,
  parseHostPort,
  parsePin,
  parseWhole,
} from "../../../coordinator/cli/arguments.ts";
import { parseDeployTarget } from "../../../coordinator/cli/deploy-target.ts";

describe("durations", () => {
  const parse = parseDurationMs("--ttl");

  it.each([
    ["500ms", 500],
    ["1s", 1000],
    ["90s", 90_000],
    ["30m", 1_800_000],
    ["24h", 86_400_000],
    ["7d", 604_800_000],
    [" 2h ", 7_200_000],
  ])("reads %s", (text, durationMs) => {
    expect(parse(text)).toBe(durationMs);
  });

  it.each([
    "",
    "24",
    "h",
    "1.5h",
    "-1h",
    "0s",
    "1H",
    "1h30m",
    "9999999999s",
    "1 h",
    "1constructor",
  ])("refuses %j and says what it expected", (text) => {
    expect(() => parse(text)).toThrow(/^--ttl ".*" is not valid: expected a duration such as/u);
  });

  it("keeps within its bounds, ends included", () => {
    const within = parseDurationWithin("--ttl", "1m", "30d");

    expect(within("1m")).toBe(60_000);
    expect(within("30d")).toBe(2_592_000_000);
    expect(() => within("59s")).toThrow("expected a duration from 1m to 30d");
    expect(() => within("31d")).toThrow("expected a duration from 1m to 30d");
  });
});

describe("HOST:PORT", () => {
  const parse = parseHostPort("--listen");

  it.each([
    ["127.0.0.1:8443", "127.0.0.1", 8443],
    ["0.0.0.0:0", "0.0.0.0", 0],
    ["deploy.example:65535", "deploy.example", 65_535],
    ["localhost:80", "localhost", 80],
    ["[::1]:8443", "::1", 8443],
    ["[2001:db8::7]:1", "2001:db8::7", 1],
  ])("reads %s", (text, host, port) => {
    expect(parse(text)).toEqual({ host, port });
  });

  it.each([
    "8443",
    ":8443",
    "host",
    "host:",
    "host:65536",
    "host:-1",
    "::1:8443",
    "[::1]",
    "[host]:80",
    "300.1.1.1:80",
    "1.2.3:80",
    "a b:80",
    "http://host:80",
  ])("refuses %s", (text) => {
    expect(() => parse(text)).toThrow("expected HOST:PORT");
  });
});

describe("deploy targets", () => {
  it("reads an endpoint by name, an endpoint by id, a site and all", () => {
    const id = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

    expect(parseDeployTarget("endpoint:berlin-07")).toEqual({
      kind: "endpoint",
      name: "berlin-07",
    });
    expect(parseDeployTarget(`endpoint:${id}`)).toEqual({ kind: "endpoint", name: id });
    expect(parseDeployTarget("site:berlin")).toEqual({ kind: "site", name: "berlin" });
    expect(parseDeployTarget("all")).toEqual({ kind: "all" });
  });

  it.each(["", "berlin", "everything", "all:", "site", "site:a:b", "host:x"])(
    "refuses %j",
    (text) => {
      expect(() => parseDeployTarget(text)).toThrow("expected endpoint:NAME, site:NAME or all");
    },
  );

  it("refuses a name that no endpoint and no site can have", () => {
    expect(() => parseDeployTarget("site:../x")).toThrow("site name");
    expect(() => parseDeployTarget("endpoint:")).toThrow("endpoint name");
    expect(() => parseDeployTarget("endpoint:12D3KooWshort")).toThrow("endpoint id");
  });
});

describe("criteria", () => {
  it("reads every kind; a lone address is the network of that address", () => {
    expect(criterionOf("subnet", "10.1.0.0/24")).toEqual({ kind: "subnet", cidr: "10.1.0.0/24" });
    expect(criterionOf("subnet", "2001:db8::/48")).toEqual({
      kind: "subnet",
      cidr: "2001:db8::/48",
    });
    expect(criterionOf("publicAddress", "203.0.113.7")).toEqual({
      kind: "publicAddress",
      cidr: "203.0.113.7/32",
    });
    expect(criterionOf("publicAddress", "::1")).toEqual({ kind: "publicAddress", cidr: "::1/128" });
    expect(criterionOf("hostName", "berlin-*")).toEqual({ kind: "hostName", pattern: "berlin-*" });
    expect(criterionOf("gateway", "10.1.0.1")).toEqual({ kind: "gateway", address: "10.1.0.1" });
  });

  it.each([
    "10.1.0.0/33",
    "10.1.0/24",
    "10.1.0.0/",
    "::/129",
    "fe80::1%eth0/64",
    "10.0.0.0/8/8",
    "x",
  ])("refuses the network %s", (text) => {
    expect(() => criterionOf("subnet", text)).toThrow("--subnet");
  });

  it("refuses a gateway that is a network and a host name with a space", () => {
    expect(() => criterionOf("gateway", "10.1.0.1/24")).toThrow("--gateway");
    expect(() => criterionOf("hostName", "a b")).toThrow("--host-name");
  });
});

describe("other values", () => {
  it("OCS-22 reads levels 0 to 10 and nothing else", () => {
    const parse = parseWhole("--level", 0, 10);

    expect(parse("0")).toBe(0);
    expect(parse("10")).toBe(10);
    for (const text of ["11", "-1", "5.0", "", " 5", "1e1", "five"]) {
      expect(() => parse(text)).toThrow("expected a whole number from 0 to 10");
    }
  });

  it("OCO-50 reads success codes; an empty text means every code", () => {
    expect(parseExitCodes("0,3010")).toEqual([0, 3010]);
    expect(parseExitCodes("0, -1 ,4294967295")).toEqual([0, -1, 4_294_967_295]);
    expect(parseExitCodes("")).toEqual([]);
    for (const text of ["0,", ",", "a", "0;1", "1.5", "4294967296", "-2147483649"]) {
      expect(() => parseExitCodes(text)).toThrow("expected exit codes between commas");
    }
  });

  it("reads a base address and refuses paths, users and other schemes", () => {
    const parse = parseBaseUrl("--url");

    expect(parse("https://deploy.example:8443/")).toBe("https://deploy.example:8443");
    expect(parse("http://[::1]:8080")).toBe("http://[::1]:8080");
    const bad = ["deploy.example", "ftp://x", "https://x/y", "https://u:p@x", "https://x?y", ""];
    for (const text of bad) expect(() => parse(text)).toThrow("expected an address such as");
  });

  it("reads a pin of 32 hexadecimal digits", () => {
    expect(parsePin("0123456789abcdef0123456789abcdef")).toBe("0123456789abcdef0123456789abcdef");
    expect(() => parsePin("0123")).toThrow("--pin");
  });
});
