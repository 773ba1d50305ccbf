/** Wake-on-LAN seen on the wire: a node's waker in one namespace, a sleeping card's neighbour in another. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { labRefusal } from "../support/lab.ts";
import { outputOf, PROJECT_FOLDER } from "../support/processes.ts";

const refusal = await labRefusal();
if (refusal !== undefined) process.stdout.write(`wake lab: skipped, ${refusal}\n`);

const SENDER = `blw${process.pid}a`;
const SLEEPER = `blw${process.pid}b`;
const SLEEPER_ADDRESS = "10.92.1.2";
const MACS = ["02:00:5e:00:53:01", "02:00:5e:00:53:02"];

/** Prints every datagram for port 9 as one line of hexadecimal. */
const LISTENER = `
  const socket = require("node:dgram").createSocket({ type: "udp4", reuseAddr: true });
  socket.on("message", (bytes) => console.log(bytes.toString("hex")));
  socket.bind(9, "0.0.0.0", () => console.log("listening"));
`;

function from(path: string): string {
  return JSON.stringify(join(PROJECT_FOLDER, path));
}

function inNamespace(namespace: string, ...args: readonly string[]): readonly string[] {
  return ["ip", "netns", "exec", namespace, process.execPath, ...args];
}

async function runLine(line: string) {
  const [file = "", ...words] = line.split(" ");
  return outputOf(file, words);
}

async function ip(line: string): Promise<void> {
  const { exitCode, stderr } = await runLine(`ip ${line}`);
  if (exitCode !== 0) throw new Error(`ip ${line}: ${stderr}`);
}

// The lab needs root and network namespaces; the reason is printed when it is skipped.
describe.skipIf(refusal !== undefined)("wake-on-LAN on the wire", () => {
  let folder: string;
  let listener: ChildProcess;
  let lines: Interface;
  let wakeCount = 0;
  const seen: string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "branchline-wake-"));
    await ip(`netns add ${SENDER}`);
    await ip(`netns add ${SLEEPER}`);
    await ip(`link add wa netns ${SENDER} type veth peer name wb netns ${SLEEPER}`);
    for (const [namespace, device, address] of [
      [SENDER, "wa", "10.92.1.1/24"],
      [SLEEPER, "wb", `${SLEEPER_ADDRESS}/24`],
    ] as const) {
      await ip(`-n ${namespace} addr add ${address} brd + dev ${device}`);
      await ip(`-n ${namespace} link set ${device} up`);
    }
    const [file = "", ...words] = inNamespace(SLEEPER, "--eval", LISTENER);
    listener = spawn(file, words, { stdio: ["ignore", "pipe", "inherit"] });
    lines = createInterface({ input: listener.stdout! });
    await once(lines, "line");
    lines.on("line", (line) => {
      if (line.startsWith("ff")) seen.push(line);
    });
  });

  afterAll(async () => {
    listener.kill();
    await ip(`netns del ${SENDER}`);
    await ip(`netns del ${SLEEPER}`);
    await rm(folder, { recursive: true, force: true });
  });

  /** One start of a node's waker with these requests, on the same data folder; until its last packet is seen. */
  async function wake(requests: readonly { id: string; macs: readonly string[] }[]): Promise<void> {
    const file = join(folder, "waker.ts");
    // A datagram of the test's own follows the packets on the same wire: when it is there, so are they.
    const last = Buffer.from(`end ${wakeCount++}`);
    const isOver = new Promise<void>((resolve) => {
      lines.on("line", (line) => line === last.toString("hex") && resolve());
    });
    await writeFile(
      file,
      `import { createSocket } from "node:dgram";
       import { pino } from ${from("node_modules/pino/pino.js")};
       import { Journal } from ${from("node/content/journal.ts")};
       import { openJournalFile } from ${from("node/content/journal-file.ts")};
       import { Waker } from ${from("node/dp/wake.ts")};
       const log = pino({ level: "silent" });
       const path = ${JSON.stringify(join(folder, "journal.jsonl"))};
       await using journal = await Journal.open(await openJournalFile(path), log);
       await new Waker({ journal, log }).wake(${JSON.stringify(requests)});
       const socket = createSocket("udp4");
       socket.send(${JSON.stringify(last.toString())}, 9, ${JSON.stringify(SLEEPER_ADDRESS)}, () => socket.close());`,
    );
    const [program = "", ...words] = inNamespace(SENDER, file);
    const { exitCode, stderr } = await outputOf(program, words);
    expect(stderr).toBe("");
    expect(exitCode).toBe(0);
    await isOver;
  }

  it("OCO-7 OCO-12 sends magic packets to port 9 three times, once per request, also over a restart", async () => {
    await wake([{ id: "w1", macs: MACS }]);
    const first = [...seen];
    await wake([{ id: "w1", macs: MACS }]);
    const repeated = seen.length - first.length;
    await wake([
      { id: "w1", macs: MACS },
      { id: "w2", macs: MACS.slice(0, 1) },
    ]);

    for (const mac of MACS) {
      const packet = `ffffffffffff${mac.replaceAll(":", "").repeat(16)}`;
      expect(first.filter((line) => line === packet).length).toBeGreaterThanOrEqual(3);
    }
    expect(repeated).toBe(0);
    expect(seen.length - first.length).toBeGreaterThanOrEqual(3);
    process.stdout.write(`lab: ${first.length} wake-up packets seen for ${MACS.length} cards\n`);
  });
});
