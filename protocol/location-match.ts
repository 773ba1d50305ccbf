/**
 * Whether an endpoint's facts meet a location criterion. The coordinator places by this, and the agent
 * checks a site's criteria again with the same code (MYP-8, BR-5). IPv4 and IPv6 never match each other.
 */
import ipaddr from "ipaddr.js";
import { DeployError } from "./errors.ts";
import type { Criterion, LocationFacts } from "./location.ts";

type Address = ipaddr.IPv4 | ipaddr.IPv6;

export interface Cidr {
  readonly network: Address;
  readonly prefixBits: number;
}

/** A subnet or single address (D6: then /32 or /128). Throws INPUT_INVALID. */
export function parseCidr(text: string): Cidr {
  const [addressText = "", bitsText, ...rest] = text.trim().split("/");
  const network = parsedAddress(addressText);
  if (network === undefined || rest.length > 0) throw badCidr(text);
  const widthBits = network.kind() === "ipv4" ? 32 : 128;
  if (bitsText !== undefined && !/^\d{1,3}$/u.test(bitsText)) throw badCidr(text);
  const prefixBits = bitsText === undefined ? widthBits : Number(bitsText);
  if (prefixBits > widthBits) throw badCidr(text);
  return { network, prefixBits };
}

export function isInCidr(addressText: string, { network, prefixBits }: Cidr): boolean {
  const address = parsedAddress(addressText);
  if (address === undefined) return false;
  if (address instanceof ipaddr.IPv4) {
    return network instanceof ipaddr.IPv4 && address.match(network, prefixBits);
  }
  return network instanceof ipaddr.IPv6 && address.match(network, prefixBits);
}

export function matchesCriterion(
  criterion: Criterion,
  facts: LocationFacts,
  publicAddress: string,
): boolean {
  switch (criterion.kind) {
    case "subnet": {
      const cidr = parseCidr(criterion.cidr);
      return facts.addresses.some((address) => isInCidr(address, cidr));
    }
    case "publicAddress":
      return isInCidr(publicAddress, parseCidr(criterion.cidr));
    case "hostName":
      return matchesPattern(facts.hostName, criterion.pattern);
    case "gateway":
      return facts.gateways.some((gateway) => isSameAddress(gateway, criterion.address));
    default:
      return criterion satisfies never;
  }
}

/** The first criterion of a site's ordered list that matches, undefined where none does. */
export function matchesSite(
  criteria: readonly Criterion[],
  facts: LocationFacts,
  publicAddress: string,
): Criterion | undefined {
  return criteria.find((criterion) => matchesCriterion(criterion, facts, publicAddress));
}

/** Throws INPUT_INVALID on a criterion that could never be evaluated. */
export function checkCriterion(criterion: Criterion): void {
  if (criterion.kind === "subnet" || criterion.kind === "publicAddress") parseCidr(criterion.cidr);
  if (criterion.kind === "gateway" && parsedAddress(criterion.address) === undefined) {
    throw new DeployError("INPUT_INVALID", {
      what: `the gateway "${criterion.address}"`,
      expected: "an IP address, such as 10.0.0.1",
    });
  }
}

/** An address in its plainest form: an IPv4 address inside IPv6 becomes IPv4. */
export function plainAddress(text: string): string {
  return parsedAddress(text)?.toString() ?? text;
}

// `*` stands for any run of characters; everything else is literal. Matched without a regular expression
// made from input: its cost would be the writer's choice.
function matchesPattern(hostName: string, pattern: string): boolean {
  const [head = "", ...parts] = pattern.toLowerCase().split("*");
  const name = hostName.toLowerCase();
  if (parts.length === 0) return name === head;
  if (!name.startsWith(head)) return false;
  const tail = parts.pop() ?? "";
  let at = head.length;
  for (const part of parts) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return name.length - at >= tail.length && name.endsWith(tail);
}

function isSameAddress(a: string, b: string): boolean {
  const [left, right] = [parsedAddress(a), parsedAddress(b)];
  return left !== undefined && left.toString() === right?.toString();
}

function parsedAddress(text: string): Address | undefined {
  const isStrict = ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
  return isStrict ? ipaddr.process(text) : undefined;
}

function badCidr(text: string): DeployError {
  return new DeployError("INPUT_INVALID", {
    what: `the subnet "${text}"`,
    expected: "an address and a length, such as 10.1.0.0/16 or 2001:db8::/32",
  });
}
