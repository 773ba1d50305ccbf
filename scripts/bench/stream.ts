/**
 * One stream of fragments from one process to another on loopback: the exchange's own bulk path over TLS
 * and over noise, beside one HTTPS connection of undici and raw TCP, in the same run.
 *
 *   npm run bench -- stream [--mb 500] [--runs 5] [--only raw-tcp,https,branchline,branchline-noise] [--json]
 *
 * No contestant hashes: SHA-256 costs each the same on top. CPU is user and system time of that process.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Type } from "typebox";
import { parserOf } from "../../protocol/json.ts";
import type { BenchOptions } from "../bench-options.ts";
import { middleOf } from "./swarm/median.ts";

const PEER = join(import.meta.dirname, "stream/peer.ts");
const KINDS = ["raw-tcp", "https", "branchline-noise", "branchline"];

const parseFetched = parserOf(
  "what a stream cost",
  Type.Object({ seconds: Type.Number(), cpuSeconds: Type.Number() }),
);

interface Figures {
  readonly megabytesPerSecond: number;
  readonly sendCpuSecondsPerGb: number;
  readonly receiveCpuSecondsPerGb: number;
}

export async function run({ isJson, args }: BenchOptions): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      mb: { type: "string", default: "500" },
      runs: { type: "string", default: "5" },
      only: { type: "string", default: KINDS.join(",") },
    },
  });
  const sizeBytes = Number(values.mb) * 1_000_000;
  const runs = new Map<string, Figures[]>();
  for (let round = 0; round < Number(values.runs); round++) {
    for (const kind of values.only.split(",")) {
      runs.set(kind, [...(runs.get(kind) ?? []), await measured(kind, sizeBytes)]);
    }
  }
  const results = [...runs].map(([name, all]) => ({ name, runs: all, median: medianOf(all) }));
  if (isJson) {
    console.log(JSON.stringify({ sizeBytes, results }));
    return;
  }
  console.log(`${values.mb} MB in one stream on loopback; medians of ${values.runs}`);
  console.log("                    MB/s   CPU s/GB sender  receiver");
  for (const { name, median } of results) {
    const speed = median.megabytesPerSecond.toFixed(0).padStart(6);
    const sender = median.sendCpuSecondsPerGb.toFixed(2).padStart(12);
    console.log(
      `${name.padEnd(17)} ${speed} ${sender} ${median.receiveCpuSecondsPerGb.toFixed(2).padStart(14)}`,
    );
  }
}

async function measured(kind: string, sizeBytes: number): Promise<Figures> {
  const server = spawn(process.execPath, [PEER, "serve", kind], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  try {
    const lines = createInterface(server.stdout)[Symbol.asyncIterator]();
    const address = String((await lines.next()).value);
    const cpuOfServer = async (): Promise<number> => {
      server.stdin.write("cost\n");
      return Number((await lines.next()).value);
    };
    const cpuBefore = await cpuOfServer();
    const words = [PEER, "fetch", kind, address, String(sizeBytes)];
    const client = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(client, "exit").then(() => [""]);
    const [text]: unknown[] = await Promise.race([once(client.stdout, "data"), ended]);
    const fetched = parseFetched(JSON.parse(String(text)));
    const gigabytes = sizeBytes / 1e9;
    return {
      megabytesPerSecond: sizeBytes / 1e6 / fetched.seconds,
      sendCpuSecondsPerGb: ((await cpuOfServer()) - cpuBefore) / gigabytes,
      receiveCpuSecondsPerGb: fetched.cpuSeconds / gigabytes,
    };
  } finally {
    server.kill();
  }
}

function medianOf(runs: readonly Figures[]): Figures {
  return {
    megabytesPerSecond: middleOf(runs.map((one) => one.megabytesPerSecond)),
    sendCpuSecondsPerGb: middleOf(runs.map((one) => one.sendCpuSecondsPerGb)),
    receiveCpuSecondsPerGb: middleOf(runs.map((one) => one.receiveCpuSecondsPerGb)),
  };
}
