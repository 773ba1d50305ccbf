/**
 * One very large package from its publisher to the files on one endpoint, over loopback, with a cache far
 * smaller than it: `npm run bench -- large [--size 20GB] [--cache-quota 1GB] [--json]`. Prints the peak
 * memory of every program, rates, and how much disk the endpoint took beside the package's own size. With
 * `--kill-at fetch:60` or `--kill-at assemble:50` the endpoint is killed there, in percent, and started again.
 */
import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { readFile, rm, stat, statfs } from "node:fs/promises";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseSize } from "../../coordinator/cli/sizes.ts";
import type { StatusJob } from "../../protocol/operator-api.ts";
import {
  Fleet,
  outputOf,
  RUN,
  until,
  writeNoise,
  type Program,
} from "../../test/support/processes.ts";
import type { BenchOptions } from "../bench-options.ts";
import { killed, parseKillAt, refetchedShare, type KillAt } from "./large/kill-at.ts";

const REF = "bench/large@1";
const FOLDER = "large";
const FILE = "large.bin";
const SIZE_BYTES = 20_000_000_000;
/** Source, staging and coordinator hold it at the same time; the endpoint comes after two of them went. */
const COPIES = 3.2;
const QUOTA = "1GB";
/** Noise compresses at no level; a low one leaves the publisher's own work to be seen. */
const COMPRESSION = "1";
const JOB_LIMIT_MS = 3_600_000;
const LOOK_MS = 2000;
const MEMORY_LOOK_MS = 200;
const FIRST_REQUEST_MAX_SECONDS = 5;
const REFETCHED_MAX_SHARE = 0.01;
const HELP = `npm run bench -- large [options]
  --size 20GB          of the package; less where the disk is too small
  --cache-quota 1GB    of the endpoint
  --kill-at PHASE:PERCENT
                       kill -9 of the endpoint when it has fetched (fetch:60) or put together
                       (assemble:50) so much, and a start right after it. Exit code 1 where its first
                       request takes more than ${FIRST_REQUEST_MAX_SECONDS} s or more than ${REFETCHED_MAX_SHARE} of the package crosses the line again.
                       What was on its way does not grow with the package: some 4 MB, too much for 300MB
  --json`;

interface Figures {
  readonly sizeBytes: number;
  readonly isSmallerThanAsked: boolean;
  readonly fragmentCount: number;
  readonly publishSeconds: number;
  readonly fetchSeconds: number;
  readonly assembleSeconds: number;
  readonly publisherPeakMb: number;
  readonly coordinatorPeakMb: number;
  readonly agentPeakMb: number;
  /** Most that the endpoint's data folder took, over the package's size. */
  readonly diskRatio: number;
  readonly agentCpuSeconds: number;
  readonly kill?: KillFigures;
}

interface KillFigures {
  readonly at: KillAt;
  readonly firstRequestSeconds: number;
  readonly refetchedShare: number;
  /** Of the process that was killed. */
  readonly peakMb: number;
}

interface Order {
  readonly sizeBytes: number;
  readonly isSmallerThanAsked: boolean;
  readonly quota: string;
  readonly killAt: KillAt | undefined;
}

export async function run(options: BenchOptions): Promise<void> {
  if (options.args.includes("--help")) {
    console.log(HELP);
    return;
  }
  const asked = parseSize("--size")(valueOf(options.args, "--size") ?? "20GB");
  const kill = valueOf(options.args, "--kill-at");
  const killAt = kill === undefined ? undefined : parseKillAt(kill);
  const sizeBytes = await fitting(asked);
  const quota = valueOf(options.args, "--cache-quota") ?? QUOTA;
  const isSmallerThanAsked = sizeBytes < asked;
  const figures = await measured({ sizeBytes, isSmallerThanAsked, quota, killAt });
  if (options.isJson) console.log(JSON.stringify({ large: figures }));
  else print(figures);
  const { firstRequestSeconds = 0, refetchedShare: again = 0 } = figures.kill ?? {};
  const isMissed = firstRequestSeconds > FIRST_REQUEST_MAX_SECONDS || again > REFETCHED_MAX_SHARE;
  if (isMissed) process.exitCode = 1;
}

/** The size asked for, or the largest that the disk takes. */
async function fitting(askedBytes: number): Promise<number> {
  const disk = await statfs(tmpdir());
  const mostBytes = (disk.bavail * disk.bsize) / COPIES;
  return Math.floor(Math.min(askedBytes, SIZE_BYTES * 4, mostBytes));
}

async function measured(order: Order): Promise<Figures> {
  const { sizeBytes, isSmallerThanAsked, quota, killAt } = order;
  await using fleet = await Fleet.start();
  await fleet.command(["site", "create", "office", "--subnet", "127.10.9.0/24"]);
  const flags = ["--cache-quota", quota, "--cache-min-free", "1MB"];
  const node = { name: "one", site: "office", listen: "127.10.9.11:0", flags };
  let agent = await fleet.startNode(node);
  await fleet.joined(["one"]);
  const source = join(fleet.folder, FILE);
  await writeNoise(source, sizeBytes, 1);
  const digest = await fileDigest(source);
  const publishing = await published(fleet, source);
  await rm(source);
  const [known] = (await fleet.status()).packages;
  const disk = peakOf(async () => diskBytes(fleet.nodeFolder("one")), LOOK_MS);
  await fleet.command(["deploy", REF, "--to", "all"]);
  let kill: Omit<KillFigures, "refetchedShare"> | undefined;
  if (killAt !== undefined) {
    const start = async (): Promise<Program> => fleet.startNode(node);
    const { pid } = agent;
    const memory = peakOf(async () => peakMegabytes(pid), MEMORY_LOOK_MS);
    const end = await killed(fleet, {
      killAt,
      name: "one",
      file: [FOLDER, FILE],
      sizeBytes,
      start,
    });
    const { firstRequestSeconds } = end;
    kill = { at: killAt, firstRequestSeconds, peakMb: await memory.ended() };
    agent = end.agent;
  }
  const job = await finishedJob(fleet);
  const peakDiskBytes = await disk.ended();
  const stored = join(fleet.nodeFolder("one"), "store", FOLDER, FILE);
  const isSame = job.state === "succeeded" && (await fileDigest(stored)) === digest;
  if (!isSame)
    throw new Error(`the endpoint ended with ${job.state}: ${job.reason ?? "no reason"}`);
  const killFigures =
    kill === undefined ? {} : { kill: { ...kill, refetchedShare: await refetchedShare(fleet) } };
  return {
    sizeBytes,
    isSmallerThanAsked,
    fragmentCount: known?.fragmentCount ?? 0,
    publishSeconds: publishing.seconds,
    fetchSeconds: secondsBetween(job, "manifestVerified", "contentFetched"),
    assembleSeconds: secondsBetween(job, "contentFetched", "contentVerified"),
    publisherPeakMb: publishing.peakMb,
    coordinatorPeakMb: await peakMegabytes(fleet.coordinator?.pid ?? -1),
    agentPeakMb: await peakMegabytes(agent.pid),
    diskRatio: peakDiskBytes / sizeBytes,
    agentCpuSeconds: await cpuSeconds(agent.pid),
    ...killFigures,
  };
}

async function finishedJob(fleet: Fleet): Promise<StatusJob> {
  const find = async (): Promise<StatusJob | undefined> => {
    const { endpoints } = await fleet.status();
    const job = endpoints.flatMap(({ jobs }) => jobs).at(0);
    return job?.state === "succeeded" || job?.state === "failed" ? job : undefined;
  };
  return until("the package is on the endpoint", JOB_LIMIT_MS, find, LOOK_MS);
}

async function published(
  fleet: Fleet,
  source: string,
): Promise<{ readonly seconds: number; readonly peakMb: number }> {
  const [name = "", version = ""] = REF.split("@");
  const words = ["branchline", "package", "publish", source, "--name", name, "--version", version];
  const action = ["--action", "store", "--path", FOLDER, "--compression", COMPRESSION];
  const startedMs = performance.now();
  const child = spawn(RUN, [...words, ...action], {
    env: { ...fleet.environment(), BRANCHLINE_DATA: fleet.dataFolder },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const ended = new Promise<number>((resolve) => {
    child.once("error", () => resolve(-1));
    child.once("exit", (code) => resolve(code ?? -1));
  });
  const memory = peakOf(async () => peakMegabytes(child.pid ?? -1), MEMORY_LOOK_MS);
  const code = await ended;
  const peakMb = await memory.ended();
  if (code !== 0) throw new Error("the package could not be published");
  const seconds = (performance.now() - startedMs) / 1000;
  await fleet.command(["package", "activate", REF]);
  return { seconds, peakMb };
}

/** Looks every so often until it is ended; the most that it saw. */
function peakOf(look: () => Promise<number>, everyMs: number): { ended(): Promise<number> } {
  const stop = new AbortController();
  const looking = (async () => {
    let peak = 0;
    while (!stop.signal.aborted) {
      peak = Math.max(peak, await look());
      await sleep(everyMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
    return peak;
  })();
  return {
    ended: async () => {
      stop.abort();
      return looking;
    },
  };
}

/** What a folder takes on the disk. */
async function diskBytes(folder: string): Promise<number> {
  const { stdout } = await outputOf("du", ["-s", "--block-size=1", folder]);
  return Number(stdout.split("\t")[0]);
}

/** Highest resident memory of a running program so far; 0 where it has ended. */
async function peakMegabytes(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const kibibytes = Number(/^VmHWM:\s+(\d+) kB$/mu.exec(text)?.[1] ?? 0);
  return (kibibytes * 1024) / 1e6;
}

async function cpuSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function fileDigest(path: string): Promise<string> {
  await stat(path);
  const digest = createHash("sha256");
  for await (const bytes of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    digest.update(Buffer.from(bytes));
  }
  return digest.digest("hex");
}

function secondsBetween({ trace }: StatusJob, from: string, to: string): number {
  const at = (wanted: string): number =>
    Date.parse(trace.findLast(({ step }) => step === wanted)?.at ?? "");
  return (at(to) - at(from)) / 1000;
}

function valueOf(args: readonly string[], flag: string): string | undefined {
  const at = args.indexOf(flag);
  return at < 0 ? undefined : args[at + 1];
}

function print(figures: Figures): void {
  const { sizeBytes, isSmallerThanAsked, fragmentCount } = figures;
  const rate = (seconds: number): string => `${(sizeBytes / 1e6 / seconds).toFixed(1)} MB/s`;
  if (isSmallerThanAsked) console.log("the disk is too small for the size asked for");
  console.log(`package     ${(sizeBytes / 1e9).toFixed(2)} GB in ${fragmentCount} fragments`);
  console.log(`publish     ${rate(figures.publishSeconds)}, compression level ${COMPRESSION}`);
  console.log(`fetch       ${rate(figures.fetchSeconds)} from the origin`);
  console.log(`assemble    ${rate(figures.assembleSeconds)}, fragments given up on the way`);
  console.log(`publisher   ${figures.publisherPeakMb.toFixed(0)} MB peak resident memory`);
  console.log(`coordinator ${figures.coordinatorPeakMb.toFixed(0)} MB`);
  console.log(`agent       ${figures.agentPeakMb.toFixed(0)} MB (bound 250)`);
  console.log(`agent disk  ${figures.diskRatio.toFixed(3)} of the package's size (bound 1.05)`);
  if (figures.kill !== undefined) printKill(figures.kill);
  console.log(`agent CPU   ${(figures.agentCpuSeconds / (sizeBytes / 1e9)).toFixed(1)} s/GB`);
}

function printKill({ at, firstRequestSeconds, refetchedShare: again, peakMb }: KillFigures): void {
  console.log(
    `killed      at ${at.share * 100} % of ${at.phase}; figures below "publish" are of the second start`,
  );
  console.log(
    `  request   ${firstRequestSeconds.toFixed(1)} s after it (bound ${FIRST_REQUEST_MAX_SECONDS})`,
  );
  console.log(`  again     ${again.toFixed(4)} of the package (bound ${REFETCHED_MAX_SHARE})`);
  console.log(`  agent     ${peakMb.toFixed(0)} MB peak before the kill (bound 250)`);
}
