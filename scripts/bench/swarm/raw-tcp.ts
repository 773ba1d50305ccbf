/** The limit: one TCP stream from the head office to one host of each site, nothing on top. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { COORDINATOR_HOST } from "../../../test/support/lab.ts";
import { buildLab, cpuSecondsOf, figuresOf, wanDown, type Course, type Figures } from "./course.ts";

const PORT = 9000;
const SENDER = `
  const [, size] = process.argv;
  const block = require("crypto").randomBytes(1 << 20);
  require("net").createServer((socket) => {
    let left = Number(size);
    const send = () => {
      while (left > 0) {
        const part = block.subarray(0, Math.min(left, block.length));
        left -= part.length;
        if (!socket.write(part)) return socket.once("drain", send);
      }
      socket.end();
    };
    socket.on("error", () => {});
    send();
  }).listen(${PORT}, "${COORDINATOR_HOST}", () => console.log("ready"));
`;
const RECEIVER = `
  const begin = performance.now();
  require("net").connect(${PORT}, "${COORDINATOR_HOST}").on("data", () => {})
    .on("end", () => console.log((performance.now() - begin) / 1000));
`;

export async function runRawTcp(course: Course): Promise<Figures> {
  await using lab = await buildLab({ ...course, hosts: 1 });
  const sender = start(lab.headOffice, SENDER, String(course.sizeBytes));
  try {
    await once(sender.stdout ?? sender, "data");
    const before = await wanDown(lab);
    const sites = Array.from({ length: course.sites }, (_none, site) => site);
    const seconds = await Promise.all(
      sites.map(async (site) => received(start(lab.host(site, 0), RECEIVER))),
    );
    const after = await wanDown(lab);
    return figuresOf(
      { ...course, hosts: 1 },
      {
        seconds: Math.max(...seconds),
        wanBytes: after.map((bytes, site) => bytes - (before[site] ?? 0)),
        cpuSeconds: await cpuSecondsOf([sender.pid ?? -1]),
      },
    );
  } finally {
    sender.kill("SIGKILL");
  }
}

async function received(child: ChildProcess): Promise<number> {
  const text: unknown = (await once(child.stdout ?? child, "data")).at(0);
  return Number(String(text));
}

function start(
  prefix: readonly string[],
  program: string,
  ...args: readonly string[]
): ChildProcess {
  const [file = "", ...rest] = prefix;
  return spawn(file, [...rest, process.execPath, "--eval", program, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}
