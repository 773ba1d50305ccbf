import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readHost } from "../../../node/uplink/host-facts.ts";

const ROUTE_HEAD = "Iface\tDestination\tGateway\tFlags\n";

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "branchline-host-"));
});

afterEach(async () => {
  await rm(root, { recursive: true });
});

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
}

async function read() {
  const [sysDir, procDir] = [join(root, "sys"), join(root, "proc")];
  return readHost({ sysDir, procDir, dataDir: root, ownAddress: undefined });
}

async function withDevice(device: string, files: Readonly<Record<string, string>>) {
  await write({ "proc/net/route": `${ROUTE_HEAD}${device}\t00000000\t0100000A\t0003\n` });
  const net = Object.entries(files).map(([name, text]) => [
    `sys/class/net/${device}/${name}`,
    text,
  ]);
  await write(Object.fromEntries(net) as Record<string, string>);
  return read();
}

describe("host facts", () => {
  it.each([
    ["eth0", { type: "1", speed: "1000" }, "wired"],
    ["wlp3s0", { type: "1", uevent: "DEVTYPE=wlan\nINTERFACE=wlp3s0\n" }, "wifi"],
    ["wlan0", { type: "1", "wireless/x": "" }, "wifi"],
    ["wg0", { type: "65534", uevent: "DEVTYPE=wireguard\n" }, "vpn"],
    ["office", { type: "65534", tun_flags: "0x1001" }, "vpn"],
    ["tun0", { type: "65534" }, "vpn"],
    ["wwan0", { type: "519", uevent: "DEVTYPE=wwan\n" }, "metered"],
    ["ppp0", { type: "512" }, "metered"],
  ])("takes %s for what the kernel says it is", async (device, files, link) => {
    expect((await withDevice(device, files as unknown as Record<string, string>)).link).toBe(link);
  });

  it("knows the speed of a wired link, and of no other where the driver does not say", async () => {
    const wired = await withDevice("eth0", { type: "1", speed: "1000" });
    const virtual = await withDevice("eth1", { type: "1", speed: "-1" });

    expect(wired.linkBytesPerSec).toBe(125_000_000);
    expect(virtual.linkBytesPerSec).toBeUndefined();
  });

  it("is on battery while a battery empties and nothing is plugged in", async () => {
    const power = "sys/class/power_supply";
    await write({
      [`${power}/BAT0/type`]: "Battery\n",
      [`${power}/BAT0/status`]: "Discharging\n",
      [`${power}/BAT0/capacity`]: "35\n",
      [`${power}/AC/type`]: "Mains\n",
      [`${power}/AC/online`]: "0\n",
      [`${power}/mouse/type`]: "Battery\n",
      [`${power}/mouse/scope`]: "Device\n",
      [`${power}/mouse/status`]: "Discharging\n",
      [`${power}/mouse/capacity`]: "90\n",
    });
    const away = await read();
    await write({ [`${power}/AC/online`]: "1\n" });

    const docked = await read();

    expect(away).toMatchObject({ isOnBattery: true, batteryPercent: 35 });
    expect(docked.isOnBattery).toBe(false);
  });

  it("reads memory and disk, and knows nothing of a host that tells nothing", async () => {
    const silent = await read();
    await write({ "proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable:  2000 kB\n" });

    const spoken = await read();

    expect(silent).toMatchObject({ link: undefined, isOnBattery: false });
    expect(silent.availableMemoryBytes).toBeUndefined();
    expect(silent.freeDiskBytes).toBeGreaterThan(0);
    expect(spoken.availableMemoryBytes).toBe(2_048_000);
  });
});
