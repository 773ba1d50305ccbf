/**
 * What this host can spare for its neighbours: power, link, disk, memory, load. Linux tells through /sys and
 * /proc; elsewhere nothing is known and the node counts as a wired computer.
 */
import { readdir, readFile, statfs } from "node:fs/promises";
import { availableParallelism, loadavg, networkInterfaces } from "node:os";
import { join } from "node:path";
import type { HostFacts, LinkKind } from "../core/peer-eligibility.ts";

export interface HostReading extends HostFacts {
  /** Of the link in use, where its driver says. */
  readonly linkBytesPerSec: number | undefined;
}

export interface HostPlaces {
  /** `/sys` and `/proc`; tests bring their own. */
  readonly sysDir: string;
  readonly procDir: string;
  readonly dataDir: string;
  /** The one address of this node, where it was told to use one. */
  readonly ownAddress: string | undefined;
}

/** Kinds of hardware address that the kernel gives to tunnels, point-to-point lines and modems. */
const ARPHRD_PPP = 512;
const ARPHRD_RAWIP = 519;
const ARPHRD_TUNNELS = [768, 769, 776, 778, 823, 65_534];
const MBIT_BYTES_PER_SEC = 125_000;

export async function readHost(places: HostPlaces): Promise<HostReading> {
  const device = await deviceInUse(places);
  const net = join(places.sysDir, "class/net", device ?? "none");
  const speed = Number(await textOf(join(net, "speed")));
  return {
    link: device === undefined ? undefined : await linkKindOf(net, device),
    linkBytesPerSec: speed > 0 ? speed * MBIT_BYTES_PER_SEC : undefined,
    ...(await powerOf(places)),
    freeDiskBytes: await freeDiskBytes(places.dataDir),
    availableMemoryBytes: await availableMemoryBytes(places),
    loadPerCore: (loadavg()[0] ?? 0) / availableParallelism(),
  };
}

/** By the name that every driver of the kind uses, by the kernel's own words, by the kind of address. */
async function linkKindOf(net: string, device: string): Promise<LinkKind> {
  const { DEVTYPE: kind = "" } = keysOf(await textOf(join(net, "uevent")), "=");
  const type = Number(await textOf(join(net, "type")));
  const entries = await namesIn(net);
  if (kind === "wwan" || kind === "bluetooth" || type === ARPHRD_RAWIP) return "metered";
  if (/^(?:wwan|ppp|rmnet|bnep)/u.test(device) || type === ARPHRD_PPP) return "metered";
  const isTunnel = entries.includes("tun_flags") || ARPHRD_TUNNELS.includes(type);
  if (isTunnel || kind === "wireguard" || /^(?:tun|tap|wg|utun|ipsec|zt)/u.test(device)) {
    return "vpn";
  }
  const isWireless =
    kind === "wlan" || entries.includes("wireless") || entries.includes("phy80211");
  return isWireless ? "wifi" : "wired";
}

async function deviceInUse({ procDir, ownAddress }: HostPlaces): Promise<string | undefined> {
  if (ownAddress !== undefined) {
    const known = Object.entries(networkInterfaces());
    return known.find(([, infos]) => infos?.some(({ address }) => address === ownAddress))?.[0];
  }
  // The device of the default route: destination 0, the first row as the kernel lists them by metric.
  const rows = (await textOf(join(procDir, "net/route"))).split("\n").map((row) => row.split("\t"));
  return rows.find(([, destination]) => destination === "00000000")?.[0];
}

async function powerOf({
  sysDir,
}: HostPlaces): Promise<Pick<HostFacts, "isOnBattery" | "batteryPercent">> {
  const folder = join(sysDir, "class/power_supply");
  const supplies = await Promise.all(
    (await namesIn(folder)).map(async (name) => supplyOf(join(folder, name))),
  );
  // Batteries of mice and headsets have the scope Device.
  const batteries = supplies.filter(({ type, scope }) => type === "Battery" && scope !== "Device");
  const isDraining = batteries.some(({ status }) => status === "Discharging");
  const isPlugged = supplies.some(({ type, online }) => type !== "Battery" && online === "1");
  const percents = batteries.map(({ capacity }) => Number(capacity)).filter(Number.isFinite);
  return {
    isOnBattery: isDraining && !isPlugged,
    batteryPercent: percents.length === 0 ? undefined : Math.max(...percents),
  };
}

async function supplyOf(path: string) {
  const [type, scope, status, online, capacity] = await Promise.all(
    ["type", "scope", "status", "online", "capacity"].map(async (name) => textOf(join(path, name))),
  );
  return { type, scope, status, online, capacity };
}

async function freeDiskBytes(dataDir: string): Promise<number | undefined> {
  try {
    const { bavail, bsize } = await statfs(dataDir);
    return bavail * bsize;
  } catch {
    // A file system that does not tell is not a reason to share less.
    return undefined;
  }
}

async function availableMemoryBytes({ procDir }: HostPlaces): Promise<number | undefined> {
  const { MemAvailable: text } = keysOf(await textOf(join(procDir, "meminfo")), ":");
  const kilobytes = Number.parseInt(text ?? "", 10);
  return Number.isNaN(kilobytes) ? undefined : kilobytes * 1024;
}

function keysOf(text: string, separator: string): Readonly<Record<string, string | undefined>> {
  const pairs = text.split("\n").map((line) => {
    const at = line.indexOf(separator);
    return [line.slice(0, at).trim(), line.slice(at + 1).trim()] as const;
  });
  return Object.fromEntries(pairs);
}

async function textOf(path: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch {
    // Not Linux, no such device, or a driver that answers with an error: not known.
    return "";
  }
}

async function namesIn(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path);
  } catch {
    return [];
  }
}
