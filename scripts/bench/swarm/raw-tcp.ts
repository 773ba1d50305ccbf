/** The limit: one TCP stream from the head office to one host of each site, nothing on top. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { Type } from "typebox";
import { parserOf } from "../../../protocol/json.ts";
import { withCoreShare } from "../../../test/support/core-load.ts";
import { COORDINATOR_HOST } from "../../../test/support/lab.ts";
import { buildLab, cpuSecondsOf, figuresOf, wanDown, type Course, type Figures } from "./course.ts";

const PORT = 9000;
const parseCost = parserOf("a receiver's cost", Type.Tuple([Type.Number(), Type.Number()]));
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
  const [begin, used] = [performance.now(), process.cpuUsage()];
  require("net").connect(${PORT}, "${COORDINATOR_HOST}").on("data", () => {}).on("end", () => {
    const { user, system } = process.cpuUsage(used);
    console.log(JSON.stringify([(performance.now() - begin) / 1000, (user + system) / 1e6]));
  });
`;

export async function runRawTcp(course: Course): Promise<Figures> {
  await using lab = await buildLab({ ...course, hosts: 1 });
  const sender = start(lab.headOffice, SENDER, String(course.sizeBytes));
  try {
    await once(sender.stdout ?? sender, "data");
    const pids = [sender.pid ?? -1];
    const [before, cpuBefore] = [await wanDown(lab), await cpuSecondsOf(pids)];
    const sites = Array.from({ length: course.sites }, (_none, site) => site);
    const receive = async () =>
      Promise.all(sites.map(async (site) => costOf(start(lab.host(site, 0), RECEIVER))));
    const { value: received, coreShare } = await withCoreShare(receive);
    const after = await wanDown(lab);
    return figuresOf(
      { ...course, hosts: 1 },
      {
        coreShare,
        seconds: Math.max(...received.map(([seconds]) => seconds)),
        wanBytes: after.map((bytes, site) => bytes - (before[site] ?? 0)),
        cpuSeconds: received.reduce(
          (sum, [, cpuSeconds]) => sum + cpuSeconds,
          (await cpuSecondsOf(pids)) - cpuBefore,
        ),
      },
    );
  } finally {
    sender.kill("SIGKILL");
  }
}

/** Seconds, and CPU seconds of the receiver. */
async function costOf(child: ChildProcess): Promise<readonly [number, number]> {
  const text: unknown = (await once(child.stdout ?? child, "data")).at(0);
  return parseCost(JSON.parse(String(text)));
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
