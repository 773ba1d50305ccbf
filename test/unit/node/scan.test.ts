import { describe, expect, it } from "vitest";
import { broadcastsOf, magicPacket } from "../../../node/dp/wake.ts";
import {
  inReportOrder,
  parseDpkg,
  parseRpm,
  parseUninstallKeys,
} from "../../../node/scan/package-database.ts";
import { SoftwareScan } from "../../../node/scan/software-scan.ts";
import {
  hasTerminalUser,
  isUserSession,
  parseOsRelease,
  systemNameOf,
} from "../../../node/uplink/system-facts.ts";
import { mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";

describe("package databases", () => {
  it("reads dpkg's list and leaves out what was removed", () => {
    const text = "vim\t2:9.0\tinstalled\nold\t1\tconfig-files\n\nbroken line\n";
    expect(parseDpkg(text)).toEqual([{ name: "vim", version: "2:9.0", source: "dpkg" }]);
  });

  it("reads rpm's list without its keys, and without an epoch of 0", () => {
    const text = "bash\t0:5.2-3\nvim\t2:9.1-1\ngpg-pubkey\t0:1-2\n";
    expect(parseRpm(text)).toEqual([
      { name: "bash", version: "5.2-3", source: "rpm" },
      { name: "vim", version: "2:9.1-1", source: "rpm" },
    ]);
  });

  // Written by hand in the form that `reg query` prints: the product has not been run on Windows.
  it("reads the uninstall keys of Windows without updates and hidden parts", () => {
    const root = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall";
    const text = [
      "",
      `${root}\\7-Zip`,
      "    DisplayName    REG_SZ    7-Zip 24.08 (x64)",
      "    DisplayVersion    REG_SZ    24.08",
      "    EstimatedSize    REG_DWORD    0x1698",
      '    UninstallString    REG_SZ    "C:\\Program Files\\7-Zip\\Uninstall.exe"',
      "",
      `${root}\\{90160000-008C}`,
      "    DisplayName    REG_SZ    Office 16 Click-to-Run Extensibility",
      "    SystemComponent    REG_DWORD    0x1",
      "",
      `${root}\\KB5034441`,
      "    DisplayName    REG_SZ    Update",
      "    ParentKeyName    REG_SZ    OperatingSystem",
      "",
      `${root}\\Nameless`,
      "    DisplayVersion    REG_SZ    1",
      "",
      `${root}\\Unversioned`,
      "    DisplayName    REG_SZ    Some Tool",
      "",
    ].join("\r\n");

    expect(parseUninstallKeys(text)).toEqual([
      { name: "7-Zip 24.08 (x64)", version: "24.08", source: "windows" },
      { name: "Some Tool", version: "", source: "windows" },
    ]);
  });

  it("cuts what no report could carry and lists each entry once, in a fixed order", () => {
    const long = parseDpkg(`${"n".repeat(300)}\t${"1".repeat(200)}\tinstalled\n`);
    const b = { name: "b", version: "1", source: "dpkg" } as const;
    const a = { name: "a", version: "1", source: "dpkg" } as const;

    expect([long[0]?.name.length, long[0]?.version.length]).toEqual([200, 100]);
    expect(inReportOrder([b, a, b])).toEqual([a, b]);
  });

  it("asks a database again only when it has changed, and keeps what it knew when that fails", async () => {
    const folder = await mkdtemp(join(tmpdir(), "branchline-scan-"));
    const database = join(folder, "status");
    const program = join(folder, "query.sh");
    const write = async (text: string) =>
      writeFile(program, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    await writeFile(database, "1");
    await write("printf 'one\\t1\\tinstalled\\n'");
    const source = { file: program, args: [], parse: parseDpkg, databases: [database] };
    const scan = new SoftwareScan([source], { PATH: "/usr/bin:/bin" }, pino({ level: "silent" }));

    const names = async () => (await scan.read()).map(({ name }) => name);
    const first = await names();
    await write("printf 'two\\t1\\tinstalled\\n'");
    const unchanged = await names();
    await utimes(database, 1, 2);
    const changed = await names();
    await write("exit 3");
    await utimes(database, 3, 4);
    const failed = await names();
    await rm(folder, { recursive: true });

    expect([first, unchanged, changed, failed]).toEqual([["one"], ["one"], ["two"], ["two"]]);
  });

  it("finds nothing where the program is absent", async () => {
    const source = { file: "no-such-query", args: [], parse: parseDpkg, databases: [] };
    const scan = new SoftwareScan([source], {}, pino({ level: "silent" }));

    expect(await scan.read()).toEqual([]);
  });
});

const record = (type: number): Buffer => {
  const bytes = Buffer.alloc(384);
  bytes.writeInt16LE(type);
  return bytes;
};

describe("system facts", () => {
  it("reads os-release and knows a server edition by its name", () => {
    const debian = 'NAME="Debian GNU/Linux"\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n';
    const fedora = "NAME=Fedora\nVERSION_ID=41\nVARIANT_ID=server\n";

    expect(parseOsRelease(debian)).toEqual({
      osName: "Debian GNU/Linux",
      osVersion: "12",
      isServer: false,
    });
    expect(parseOsRelease(fedora).isServer).toBe(true);
    expect(systemNameOf("Windows Server 2022 Standard", "10.0.20348").isServer).toBe(true);
    expect(systemNameOf("Windows 11 Pro", "10.0.22631").isServer).toBe(false);
  });

  it("OCO-14 counts sessions of users, not of services or of the login screen", () => {
    expect(isUserSession("UID=1000\nCLASS=user\nSTATE=active\n")).toBe(true);
    expect(isUserSession("UID=1000\nCLASS=user\nSTATE=online\n")).toBe(true);
    expect(isUserSession("UID=1000\nCLASS=user\nSTATE=closing\n")).toBe(false);
    expect(isUserSession("UID=112\nCLASS=greeter\nSTATE=active\n")).toBe(false);
    expect(isUserSession("UID=0\nCLASS=background\nSTATE=active\n")).toBe(false);
  });

  it("OCO-14 finds a user in utmp", () => {
    expect(hasTerminalUser(Buffer.concat([record(2), record(6)]))).toBe(false);
    expect(hasTerminalUser(Buffer.concat([record(2), record(7)]))).toBe(true);
    expect(hasTerminalUser(Buffer.alloc(10, 7))).toBe(false);
  });
});

describe("wake-on-LAN", () => {
  it("OCO-7 builds a magic packet: six times 255, then the address sixteen times", () => {
    const packet = magicPacket("02:ab:00:00:00:01");

    expect(packet.length).toBe(102);
    expect(packet.subarray(0, 6).toString("hex")).toBe("ffffffffffff");
    expect(packet.subarray(6).toString("hex")).toBe("02ab00000001".repeat(16));
  });

  it("OCO-12 broadcasts in every wired subnet and on the link", () => {
    const found = broadcastsOf([
      { name: "eth0", mac: "", cidrs: ["10.1.2.3/16", "192.168.5.9/26"] },
      { name: "eth1", mac: "", cidrs: ["10.9.0.1/32"] },
    ]);

    expect(found).toEqual(["10.1.255.255", "192.168.5.63", "255.255.255.255"]);
  });
});
