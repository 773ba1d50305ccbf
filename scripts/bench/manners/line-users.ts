/** Who else uses an office line: a TCP flow that takes what it gets, and somebody who measures the delay. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { COORDINATOR_HOST } from "../../../test/support/lab.ts";

type Prefix = readonly string[];

const FLOW_PORT = 9000;
const ECHO_PORT = 9001;
const ECHO_EVERY_MS = 50;

const SENDER = `
  const block = require("crypto").randomBytes(1 << 18);
  require("net").createServer((socket) => {
    const send = () => { while (!socket.destroyed && socket.write(block)); };
    socket.on("drain", send).on("error", () => {});
    send();
  }).listen(${FLOW_PORT}, "${COORDINATOR_HOST}", () => console.log("ready"));
`;
const RECEIVER = `
  let bytes = 0;
  require("net").connect(${FLOW_PORT}, "${COORDINATOR_HOST}").on("data", (part) => (bytes += part.length));
  setInterval(() => console.log(bytes), 100);
`;
const REFLECTOR = `
  require("net").createServer({ noDelay: true }, (socket) => socket.pipe(socket).on("error", () => {}))
    .listen(${ECHO_PORT}, "${COORDINATOR_HOST}", () => console.log("ready"));
`;
// One at a time: a late answer is one long delay, not many.
const ASKER = `
  const socket = require("net").connect({ port: ${ECHO_PORT}, host: "${COORDINATOR_HOST}", noDelay: true });
  let sentMs = 0;
  const ask = () => { sentMs = performance.now(); socket.write("x"); };
  socket.on("connect", ask).on("data", () => {
    console.log(performance.now() - sentMs);
    setTimeout(ask, ${ECHO_EVERY_MS});
  });
`;

/** Round trips between the user and the head office. */
export interface Echo extends AsyncDisposable {
  readonly nowMs: () => number;
  /** Those that ended since an instant of `nowMs`. */
  readonly since: (atMs: number) => readonly number[];
}

export interface Flow extends AsyncDisposable {
  readonly bytes: () => number;
}

export async function startFlow(sender: Prefix, receiver: Prefix): Promise<Flow> {
  const source = start(sender, SENDER);
  await once(source.stdout ?? source, "data");
  const sink = start(receiver, RECEIVER);
  let received = 0;
  eachLine(sink, (line) => {
    received = Number(line);
  });
  return {
    bytes: () => received,
    [Symbol.asyncDispose]: async () => ended(sink, source),
  };
}

export async function startEcho(reflector: Prefix, asker: Prefix): Promise<Echo> {
  const mirror = start(reflector, REFLECTOR);
  await once(mirror.stdout ?? mirror, "data");
  const user = start(asker, ASKER);
  const seen: { readonly atMs: number; readonly delayMs: number }[] = [];
  eachLine(user, (line) => {
    seen.push({ atMs: performance.now(), delayMs: Number(line) });
  });
  return {
    nowMs: () => performance.now(),
    since: (fromMs) => seen.filter(({ atMs }) => atMs >= fromMs).map(({ delayMs }) => delayMs),
    [Symbol.asyncDispose]: async () => ended(user, mirror),
  };
}

/** NaN for no values. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? NaN;
}

function eachLine(child: ChildProcess, take: (line: string) => void): void {
  if (child.stdout === null) throw new Error("a child without output");
  createInterface({ input: child.stdout }).on("line", take);
}

async function ended(...children: readonly ChildProcess[]): Promise<void> {
  for (const child of children) {
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
  }
}

function start(prefix: Prefix, program: string): ChildProcess {
  const [file = "", ...rest] = prefix;
  return spawn(file, [...rest, process.execPath, "--eval", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}
