/**
 * Text that a person types, turned into values: durations, addresses, bounded numbers, criteria. Each
 * parser says what it expected; nothing is guessed.
 */
import { isIP, isIPv4, isIPv6 } from "node:net";
import { DeployError } from "../../protocol/errors.ts";
import type { Criterion } from "../../protocol/location.ts";

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `1s`, `30m`, `24h`, `7d`, `500ms`: a whole number with its unit, never without. */
export function parseDurationMs(what: string): (text: string) => number {
  return (text) => {
    const found = /^(?<count>[0-9]{1,9})(?<unit>ms|s|m|h|d)$/u.exec(text.trim());
    const unit = found?.groups?.["unit"];
    const durationMs = Number(found?.groups?.["count"]) * (isUnit(unit) ? UNIT_MS[unit] : 0);
    if (!(durationMs > 0)) throw invalid(what, text, "a duration such as 30s, 90m, 24h or 7d");
    return durationMs;
  };
}

/** A duration between two others, which are written the same way. */
export function parseDurationWithin(what: string, shortest: string, longest: string) {
  const parse = parseDurationMs(what);
  return (text: string): number => {
    const durationMs = parse(text);
    if (durationMs >= parse(shortest) && durationMs <= parse(longest)) return durationMs;
    throw invalid(what, text, `a duration from ${shortest} to ${longest}`);
  };
}

/** `127.0.0.1:8443`, `host.example:8443` or `[::1]:8443`. Port 0 lets the system choose. */
export function parseHostPort(what: string): (text: string) => HostPort {
  return (text) => {
    const found = /^(?:\[(?<v6>[^\]]+)\]|(?<name>[^:[\]\s]+)):(?<port>[0-9]{1,5})$/u.exec(text);
    const { v6, name, port } = found?.groups ?? {};
    const host = v6 ?? name ?? "";
    const isHost = v6 === undefined ? isHostText(host) : isIPv6(v6);
    if (!isHost || Number(port) > 65_535) {
      throw invalid(what, text, "HOST:PORT, such as 0.0.0.0:8443 or [::]:8443");
    }
    return { host, port: Number(port) };
  };
}

/** A whole number within bounds, in decimal digits. */
export function parseWhole(what: string, minimum: number, maximum: number) {
  return (text: string): number => {
    const value = /^[0-9]{1,10}$/u.test(text) ? Number(text) : Number.NaN;
    if (!(value >= minimum && value <= maximum)) {
      throw invalid(what, text, `a whole number from ${minimum} to ${maximum}`);
    }
    return value;
  };
}

/** `0,3010`; an empty text is an empty list, which means that every code is a success (OCO-50). */
export function parseExitCodes(text: string): readonly number[] {
  const parts = text.trim() === "" ? [] : text.split(",").map((part) => part.trim());
  const codes = parts.map(Number);
  const areCodes = parts.every((part) => /^-?[0-9]{1,10}$/u.test(part));
  const areBounded = codes.every((code) => code >= -2_147_483_648 && code <= 4_294_967_295);
  if (!areCodes || !areBounded || codes.length > 64) {
    throw invalid("--success-codes", text, "exit codes between commas, such as 0,3010");
  }
  return codes;
}

/** An http or https address without path, query or user; returned without a final slash. */
export function parseBaseUrl(what: string): (text: string) => string {
  return (text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    const isBase =
      url !== undefined &&
      (url.protocol === "https:" || url.protocol === "http:") &&
      url.pathname === "/" &&
      `${url.search}${url.hash}${url.username}${url.password}` === "";
    if (!isBase) throw invalid(what, text, "an address such as https://deploy.example:8443");
    return url.origin;
  };
}

/** Pin of a fleet, as a join token and `init` show it. */
export function parsePin(text: string): string {
  if (/^[0-9a-f]{32}$/u.test(text)) return text;
  throw invalid("--pin", text, "32 hexadecimal digits, as `branchline init` prints them");
}

/** One location criterion of `site create`, by the flag it was typed with. */
export function criterionOf(kind: Criterion["kind"], text: string): Criterion {
  switch (kind) {
    case "subnet":
      return { kind, cidr: parseCidr("--subnet", text) };
    case "publicAddress":
      return { kind, cidr: parseCidr("--public-address", text) };
    case "hostName":
      if (!/^[A-Za-z0-9.*?_-]{1,100}$/u.test(text)) {
        throw invalid("--host-name", text, "a host name, with * for any text, such as berlin-*");
      }
      return { kind, pattern: text };
    case "gateway":
      if (isIP(text) === 0) throw invalid("--gateway", text, "an IP address such as 10.1.0.1");
      return { kind, address: text };
    default:
      return kind satisfies never;
  }
}

// A lone address is the network of that one address.
export function parseCidr(what: string, text: string): string {
  const [address = "", prefix, ...rest] = text.split("/");
  const widthBits = isIPv4(address) ? 32 : 128;
  const isPrefix =
    prefix === undefined || (/^[0-9]{1,3}$/u.test(prefix) && Number(prefix) <= widthBits);
  // A zone (fe80::1%eth0) names an interface of one machine, not a network.
  if (isIP(address) === 0 || address.includes("%") || !isPrefix || rest.length > 0) {
    throw invalid(what, text, "a network such as 10.1.0.0/24 or 2001:db8::/48");
  }
  return `${address}/${prefix ?? widthBits}`;
}

function isHostText(host: string): boolean {
  if (/^[0-9.]+$/u.test(host)) return isIPv4(host);
  return /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/u.test(host);
}

function isUnit(text: string | undefined): text is keyof typeof UNIT_MS {
  return text !== undefined && Object.hasOwn(UNIT_MS, text);
}

function invalid(what: string, text: string, expected: string): DeployError {
  return new DeployError("INPUT_INVALID", { what: `${what} "${text.slice(0, 100)}"`, expected });
}
