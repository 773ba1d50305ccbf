/**
 * Publish speed: the project's Node folder built into a package at levels 12 and 3, beside `tar | zstd`
 * with two threads on the same input in the same run. Build only; nothing is uploaded.
 */
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createZstdCompress } from "node:zlib";
import { buildPackage } from "../../coordinator/publish/build-package.ts";
import { makeStaging } from "../../coordinator/publish/staging.ts";
import { parsePackageName, parsePackageVersion } from "../../protocol/ids.ts";
import type { BenchOptions } from "../bench-options.ts";

interface Measurement {
  readonly what: string;
  readonly level: number;
  readonly inputBytes: number;
  readonly outputBytes: number;
  readonly durationMs: number;
}

const LEVELS = [12, 3];
const INPUT = join(import.meta.dirname, "../../node_modules/node");

export async function run(options: BenchOptions): Promise<void> {
  const measurements: Measurement[] = [];
  const hasZstd = spawnSync("zstd", ["--version"]).status === 0;
  // The first build reads the input from the disk and is not counted.
  await builtAt(1);
  for (const level of LEVELS) {
    const ours = await builtAt(level);
    const theirs = hasZstd ? await packedByZstd(level) : await packedByNode(level);
    measurements.push(ours, { ...theirs, inputBytes: ours.inputBytes });
  }
  if (options.isJson) console.log(JSON.stringify({ publish: measurements.map(withRates) }));
  else printTable(measurements, hasZstd);
}

async function builtAt(level: number): Promise<Measurement> {
  await using staging = await makeStaging();
  const spec = {
    source: INPUT,
    name: parsePackageName("bench/node"),
    version: parsePackageVersion("1"),
    level: 5,
    epoch: 1,
    action: { kind: "store", path: "node" } as const,
    compressionLevel: level,
  };
  const startedMs = performance.now();
  const built = await buildPackage(
    spec,
    staging.folder,
    new AbortController().signal,
    () => undefined,
  );
  return {
    what: "branchline publish (build)",
    level,
    inputBytes: built.manifest.content?.fileBytes ?? 0,
    outputBytes: built.manifest.content?.wireBytes ?? 0,
    durationMs: performance.now() - startedMs,
  };
}

async function packedByZstd(level: number): Promise<Measurement> {
  const startedMs = performance.now();
  const tar = spawn("tar", ["-cf", "-", INPUT], { stdio: ["ignore", "pipe", "ignore"] });
  const zstd = spawn("zstd", [`-${level}`, "-T2", "-c", "-q"], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  const [, outputBytes] = await Promise.all([
    pipeline(tar.stdout, zstd.stdin),
    countedBytes(zstd.stdout),
  ]);
  const durationMs = performance.now() - startedMs;
  return { what: "tar | zstd -T2", level, inputBytes: 0, outputBytes, durationMs };
}

// Where the machine has no zstd: one stream of Node's own, one thread.
async function packedByNode(level: number): Promise<Measurement> {
  const startedMs = performance.now();
  const tar = spawn("tar", ["-cf", "-", INPUT], { stdio: ["ignore", "pipe", "ignore"] });
  const zstd = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: level } });
  const [, outputBytes] = await Promise.all([pipeline(tar.stdout, zstd), countedBytes(zstd)]);
  const durationMs = performance.now() - startedMs;
  return { what: "tar | zstd of node:zlib", level, inputBytes: 0, outputBytes, durationMs };
}

async function countedBytes(source: NodeJS.ReadableStream): Promise<number> {
  let total = 0;
  const counter = new Writable({
    write(bytes: Buffer, _encoding, done) {
      total += bytes.length;
      done();
    },
  });
  await pipeline(source, counter);
  return total;
}

function withRates(one: Measurement): Measurement & { mbPerSec: number; ratio: number } {
  return {
    ...one,
    mbPerSec: Number((one.inputBytes / 1000 / one.durationMs).toFixed(1)),
    ratio: Number((one.outputBytes / one.inputBytes).toFixed(4)),
  };
}

function printTable(measurements: readonly Measurement[], hasZstd: boolean): void {
  if (!hasZstd)
    console.log("zstd is not installed: a zstd stream of node:zlib stands in, one thread");
  for (const one of measurements.map(withRates)) {
    const speed = `${one.mbPerSec.toFixed(1).padStart(7)} MB/s`;
    const size = `${(one.outputBytes / 1e6).toFixed(1)} of ${(one.inputBytes / 1e6).toFixed(1)} MB`;
    const share = `${(one.ratio * 100).toFixed(1)} %`;
    console.log(
      `${one.what.padEnd(28)} level ${String(one.level).padStart(2)} ${speed}  ${size} (${share})`,
    );
  }
}
