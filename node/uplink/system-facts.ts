/**
 * System facts for the check-in: what requirements, groups and Wake-on-LAN ask about. Only what changes
 * seldom, so that equal facts stay equal bytes.
 */
import { readdir, readFile, statfs } from "node:fs/promises";
import { networkInterfaces, release, totalmem, uptime, version } from "node:os";
import { join } from "node:path";
import type { SystemFacts } from "../../protocol/check-in.ts";

const MINUTE_MS = 60_000;
const GB = 1_000_000_000;
const MACS_MAX_COUNT = 16;
/** ARPHRD_ETHER. */
const ETHERNET_TYPE = "1";

/** `dataDir` names the disk whose free space is told. */
export async function readSystemFacts(dataDir: string): Promise<SystemFacts> {
  const [system, disk, boot, isUsed, wired] = await Promise.all([
    readSystemName(),
    statfs(dataDir),
    readBootMs(),
    hasUser(),
    wiredInterfaces(),
  ]);
  const macs = wired.map(({ mac }) => mac).filter((mac) => mac !== "00:00:00:00:00:00");
  return {
    ...system,
    memoryBytes: totalmem(),
    freeDiskGb: Math.floor((disk.bavail * disk.bsize) / GB),
    bootMs: boot - (boot % MINUTE_MS),
    hasUser: isUsed,
    macs: [...new Set(macs)].slice(0, MACS_MAX_COUNT),
  };
}

/** Exact, for a requirement that is checked right before an action. */
export async function freeDiskBytes(dataDir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dataDir);
  return bavail * bsize;
}

type SystemName = Pick<SystemFacts, "osName" | "osVersion" | "isServer">;

async function readSystemName(): Promise<SystemName> {
  if (process.platform !== "linux") return systemNameOf(version(), release());
  return parseOsRelease(await textOf("/etc/os-release"));
}

/** Windows and macOS: server editions say so in their name (SE-24). */
export function systemNameOf(name: string, number: string): SystemName {
  return {
    osName: name.slice(0, 100),
    osVersion: number.slice(0, 60),
    isServer: /\bserver\b/iu.test(name),
  };
}

/** os-release(5). */
export function parseOsRelease(text: string): SystemName {
  const fields = new Map(
    text.split("\n").flatMap((line) => {
      const [, key, value] = /^([A-Z_]+)=(.*)$/u.exec(line.trim()) ?? [];
      return key === undefined || value === undefined
        ? []
        : [[key, value.replaceAll(/^["']|["']$/gu, "")] as const];
    }),
  );
  const words = [fields.get("NAME"), fields.get("VARIANT"), fields.get("VARIANT_ID")].join(" ");
  return {
    ...systemNameOf(fields.get("NAME") ?? "Linux", fields.get("VERSION_ID") ?? release()),
    isServer: /\bserver\b/iu.test(words),
  };
}

// The kernel's own instant: computed from the uptime it would wander by a minute now and then.
async function readBootMs(): Promise<number> {
  const [, seconds] = /^btime (\d+)$/mu.exec(await textOf("/proc/stat")) ?? [];
  return seconds === undefined ? Date.now() - uptime() * 1000 : Number(seconds) * 1000;
}

/**
 * Whether somebody is logged in at a screen or terminal (OCO-14). Where the system does not tell, somebody
 * is: better a restart that waits than work that is lost.
 */
export async function hasUser(sessionFolder = "/run/systemd/sessions"): Promise<boolean> {
  if (process.platform !== "linux") return true;
  try {
    const names = (await readdir(sessionFolder)).filter((name) => !name.endsWith(".ref"));
    const texts = await Promise.all(names.map(async (name) => textOf(join(sessionFolder, name))));
    return texts.some(isUserSession);
  } catch {
    return hasTerminalUser(await bytesOf("/run/utmp"));
  }
}

/** A file of systemd-logind. Sessions of services and of the login screen are nobody. */
export function isUserSession(text: string): boolean {
  const value = (key: string): string | undefined =>
    new RegExp(`^${key}=(.*)$`, "mu").exec(text)?.[1];
  return (value("CLASS") ?? "user").startsWith("user") && value("STATE") !== "closing";
}

/** utmp(5): records of 384 bytes; type 7 is a user's session. */
export function hasTerminalUser(utmp: Buffer): boolean {
  for (let at = 0; at + 384 <= utmp.length; at += 384) {
    if (utmp.readInt16LE(at) === 7) return true;
  }
  return false;
}

export interface WiredInterface {
  readonly name: string;
  readonly mac: string;
  /** IPv4 addresses with their networks, such as 10.1.2.3/16. */
  readonly cidrs: readonly string[];
}

/** Wake-on-LAN works on wires only (OCO-12). */
export async function wiredInterfaces(): Promise<readonly WiredInterface[]> {
  const all = Object.entries(networkInterfaces()).flatMap(([name, infos = []]) => {
    const own = infos.filter(({ internal }) => !internal);
    const [first] = own;
    if (first === undefined) return [];
    const cidrs = own.flatMap(({ family, cidr }) =>
      family === "IPv4" && cidr !== null ? [cidr] : [],
    );
    return [{ name, mac: first.mac, cidrs }];
  });
  const isWired = await Promise.all(all.map(async ({ name }) => isWiredDevice(name)));
  return all.filter((_one, index) => isWired[index]);
}

async function isWiredDevice(name: string): Promise<boolean> {
  // Elsewhere the system does not say in a file; a packet too many on a radio does no harm.
  if (process.platform !== "linux") return true;
  const folder = `/sys/class/net/${name}`;
  const type = await textOf(join(folder, "type"));
  const parts = await readdir(folder).catch((): string[] => []);
  return (
    type.trim() === ETHERNET_TYPE && !parts.includes("wireless") && !parts.includes("phy80211")
  );
}

async function textOf(path: string): Promise<string> {
  return (await bytesOf(path)).toString("utf8");
}

async function bytesOf(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch {
    // Another system, or a session that has just ended: nothing is known then.
    return Buffer.alloc(0);
  }
}
