/**
 * A container that wakes a computer of a branch office: the packets cross the office's own switch, the
 * computer comes up, does its job, and is shut down again; one that was on stays on.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { jobOf, publish } from "../support/deployments.ts";
import { Lab } from "../support/lab.ts";
import { outputOf, until, type Fleet, type Prefix } from "../support/processes.ts";
import { addOffice, hostName, officeName, refusal, startHeadOffice, WAN } from "./office-fleet.ts";

const AWAKE = 0;
const ASLEEP = 1;
/** Without contact for this long an endpoint counts as off (D11); nodes of the lab check in each second. */
const OFFLINE_AFTER = "10s";
const PACKET_LIMIT_MS = 90_000;

/** Prints every datagram for port 9 as one line of hexadecimal. */
const LISTENER = `
  const socket = require("node:dgram").createSocket({ type: "udp4", reuseAddr: true });
  socket.on("message", (bytes) => console.log(bytes.toString("hex")));
  socket.bind(9, "0.0.0.0", () => console.log("listening"));
`;

/** Words that make what follows believe that the computer has started a moment ago. */
async function freshBoot(): Promise<Prefix> {
  const seconds = Math.floor(Number((await readFile("/proc/uptime", "utf8")).split(" ")[0])) - 5;
  return ["unshare", "--time", "--fork", "--kill-child", "--boottime", `-${seconds}`];
}

async function timeRefusal(): Promise<string | undefined> {
  if (refusal !== undefined) return refusal;
  const [file = "", ...words] = await freshBoot();
  const { exitCode, stderr } = await outputOf(file, [...words, "true"]);
  return exitCode === 0 ? undefined : `no time namespaces: ${stderr.trim()}`;
}

const why = await timeRefusal();
if (why !== undefined) process.stderr.write(`the wake-up lab is skipped: ${why}\n`);

// Network and time namespaces need root; the reason is printed when it is skipped.
describe.skipIf(why !== undefined)("a container that wakes", () => {
  let lab: Lab;
  let fleet: Fleet;
  let listener: ChildProcess;
  const seen: string[] = [];

  async function startOne(host: number, before: Prefix = []): Promise<void> {
    const power = join(fleet.folder, `power-${host}.sh`);
    const text = `#!/bin/sh\necho "$1 $2" >> ${fleet.folder}/power-${host}\n`;
    await writeFile(power, text, { mode: 0o755 });
    await fleet.startNode({
      name: hostName(0, host),
      site: officeName(0),
      listen: `${lab.address(0, host)}:4001`,
      prefix: [...lab.host(0, host), ...before],
      flags: ["--power-command", power],
    });
  }

  beforeAll(async () => {
    lab = await Lab.build({ sites: 1, hosts: 2, wan: WAN });
    fleet = await startHeadOffice(lab, ["--offline-after", OFFLINE_AFTER]);
    await addOffice(fleet, lab, 0);
    await startOne(AWAKE);
    await startOne(ASLEEP);
    await fleet.joined([hostName(0, AWAKE), hostName(0, ASLEEP)]);
    await publish(fleet, "acme/night@1", undefined, ["--action", "execute", "--command", "true"]);
    await fleet.command(["package", "activate", "acme/night@1"]);
    const [file = "", ...words] = lab.host(0, ASLEEP);
    const script = [...words, process.execPath, "--eval", LISTENER];
    listener = spawn(file, script, { stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface({ input: listener.stdout! });
    await once(lines, "line");
    lines.on("line", (line) => seen.push(line));
  });

  afterAll(async () => {
    listener?.kill();
    await fleet?.[Symbol.asyncDispose]();
    await lab?.[Symbol.asyncDispose]();
  });

  async function powerOf(host: number): Promise<string> {
    return readFile(join(fleet.folder, `power-${host}`), "utf8").catch(() => "");
  }

  it("OCO-7 OCO-8 OCO-9 OCO-12 sends magic packets through a neighbour, and shuts down only what was woken", async () => {
    await fleet.nodes.get(hostName(0, ASLEEP))?.stop();
    const targets = [AWAKE, ASLEEP].flatMap((host) => ["--endpoint", hostName(0, host)]);
    const schedule = ["--wake", "--shutdown"];
    const container = ["container", "create", "night", "--package", "acme/night@1"];
    await fleet.command([...container, ...targets, ...schedule]);

    const packet = await until("a magic packet", PACKET_LIMIT_MS, async () => seen[0], 500);
    await startOne(ASLEEP, await freshBoot());
    await jobOf(fleet, hostName(0, ASLEEP), "acme/night@1");
    const order = await until("the shutdown", 30_000, async () => {
      const text = await powerOf(ASLEEP);
      return text === "" ? undefined : text;
    });
    await jobOf(fleet, hostName(0, AWAKE), "acme/night@1");

    const [file = "", ...words] = lab.host(0, ASLEEP);
    const { stdout } = await outputOf(file, [...words, "cat", "/sys/class/net/eth0/address"]);
    const mac = stdout.trim().replaceAll(":", "");
    expect(packet).toBe("ff".repeat(6) + mac.repeat(16));
    expect(order).toBe("-h now\n");
    expect(await powerOf(AWAKE)).toBe("");
    process.stdout.write(`lab: ${seen.length} wake-up packets seen by the sleeping host\n`);
  });
});
