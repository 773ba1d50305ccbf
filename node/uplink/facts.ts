/**
 * Location facts: what this host can say of where it is. Parsing is pure; reading is at the end.
 */
import { readFile } from "node:fs/promises";
import { hostname, networkInterfaces, type NetworkInterfaceInfo } from "node:os";
import ipaddr from "ipaddr.js";
import type { LocationFacts } from "../../protocol/location.ts";

export interface Gateway {
  readonly device: string;
  readonly address: string;
}

export type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/** RTF_UP | RTF_GATEWAY */
const ROUTE_FLAGS = 0x3;
const ADDRESS_MAX_COUNT = 64;
const GATEWAY_MAX_COUNT = 16;

/** Facts of this host; with `ownAddress` those of the one address that the node was told to use. */
export async function readFacts(ownAddress: string | undefined): Promise<LocationFacts> {
  const gateways = [
    ...parseIpv4Routes(await procText("/proc/net/route")),
    ...parseIpv6Routes(await procText("/proc/net/ipv6_route")),
  ];
  return factsOf(hostname(), networkInterfaces(), gateways, ownAddress);
}

export function factsOf(
  hostName: string,
  interfaces: Interfaces,
  gateways: readonly Gateway[],
  ownAddress: string | undefined,
): LocationFacts {
  const device = ownAddress === undefined ? undefined : deviceOf(interfaces, ownAddress);
  const seen = gateways.filter((one) => ownAddress === undefined || one.device === device);
  const addresses = ownAddress === undefined ? reportedAddresses(interfaces) : [ownAddress];
  return {
    hostName: hostName.slice(0, 255) || "unknown",
    addresses: addresses.slice(0, ADDRESS_MAX_COUNT),
    gateways: [...new Set(seen.map((one) => one.address))].slice(0, GATEWAY_MAX_COUNT),
  };
}

/** Default gateways of the table that Linux writes: little-endian hexadecimal. */
export function parseIpv4Routes(table: string): readonly Gateway[] {
  return rows(table).flatMap(([device = "", destination, gateway = "", flags = "0"]) => {
    const isDefault = destination === "00000000" && isUpGateway(flags);
    if (!isDefault || !/^[0-9A-F]{8}$/iu.test(gateway)) return [];
    const address = [...Buffer.from(gateway, "hex")].toReversed().join(".");
    return [{ device, address }];
  });
}

/** The same for IPv6: destination, prefix length, source, prefix length, next hop, …, flags, device. */
export function parseIpv6Routes(table: string): readonly Gateway[] {
  return rows(table).flatMap((fields) => {
    const [destination = "", prefix, , , hop = "", , , , flags = "0", device = ""] = fields;
    const isDefault = /^0{32}$/u.test(destination) && prefix === "00" && isUpGateway(flags);
    if (!isDefault || !/^[0-9a-f]{32}$/iu.test(hop) || /^0+$/u.test(hop)) return [];
    const address = ipaddr.fromByteArray([...Buffer.from(hop, "hex")]).toString();
    return [{ device, address }];
  });
}

// Loopback and link-local addresses are the same on every host and place nobody.
function reportedAddresses(interfaces: Interfaces): readonly string[] {
  const all = Object.values(interfaces).flatMap((infos) => infos ?? []);
  return all
    .filter((info) => !info.internal && !isLinkLocal(info.address))
    .map((info) => info.address);
}

function isLinkLocal(address: string): boolean {
  return /^fe[89ab]/iu.test(address) || address.startsWith("169.254.");
}

function deviceOf(interfaces: Interfaces, address: string): string | undefined {
  return Object.entries(interfaces).find(([, infos]) =>
    (infos ?? []).some((info) => info.cidr !== null && isInSubnet(address, info.cidr)),
  )?.[0];
}

function isInSubnet(address: string, cidr: string): boolean {
  if (!ipaddr.isValid(address) || !ipaddr.isValidCIDR(cidr)) return false;
  const one = ipaddr.parse(address);
  const [network, prefixBits] = ipaddr.parseCIDR(cidr);
  return one.kind() === network.kind() && one.match(network, prefixBits);
}

function rows(table: string): readonly (readonly string[])[] {
  return table.split("\n").map((line) => line.trim().split(/\s+/u));
}

function isUpGateway(flags: string): boolean {
  return (Number.parseInt(flags, 16) & ROUTE_FLAGS) === ROUTE_FLAGS;
}

async function procText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch {
    // Not Linux, or no IPv6: no gateways are known then, and criteria by gateway do not match.
    return "";
  }
}
