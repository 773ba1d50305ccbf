/**
 * Updates of six public packages (distribution 6, scenario 9): bytes over the line where the old version is
 * there, predicted and real, without and with patches, beside casync and zsync. Shares of the new .tgz.
 *
 *   npm run bench -- update [--only typescript,monaco,node,aws-cdk,next-swc,biome] [--json]
 *
 * A real coordinator and real nodes on loopback; bytes are those that the coordinator sends of pages and
 * fragments. Archives come from the npm registry once and stay in the system's temporary folder.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { outputOf } from "../../test/support/processes.ts";
import type { BenchOptions } from "../bench-options.ts";
import { runBranchline, type BranchlineFigures, type Trees } from "./update/branchline.ts";
import { download, PAIRS, type Pair } from "./update/pairs.ts";
import { runRivals, type RivalFigures } from "./update/rivals.ts";

interface Result extends BranchlineFigures, RivalFigures {
  readonly name: string;
  readonly tgzBytes: number;
}

/** The promise: half of all updates cost at most this share of the archive. */
const MEDIAN_TARGET = 0.35;
const PREDICTION_TOLERANCE = 0.01;

export async function run({ isJson, args }: BenchOptions): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: { only: { type: "string" } } });
  const names = values.only?.split(",") ?? PAIRS.map(({ name }) => name);
  const results: Result[] = [];
  for (const name of names) {
    const pair = PAIRS.find((known) => known.name === name);
    if (pair === undefined) throw new Error(`no pair "${name}"`);
    results.push(await measured(pair));
    if (!isJson) printRow(results.at(-1), results.length === 1);
  }
  const summary = {
    medianPlain: median(results.map(({ plain, tgzBytes }) => plain.fetchedBytes / tgzBytes)),
    medianDelta: median(results.map(({ delta, tgzBytes }) => delta.fetchedBytes / tgzBytes)),
    worstDeviation: Math.max(...results.flatMap(({ plain, delta }) => [plain, delta].map(off))),
  };
  if (isJson) console.log(JSON.stringify({ update: { results, ...summary } }));
  else printSummary(summary);
}

async function measured(pair: Pair): Promise<Result> {
  const versions = await download(pair);
  const folder = await mkdtemp(join(tmpdir(), "branchline-update-"));
  try {
    const trees = {
      oldFolder: await extracted(versions.oldTgz, join(folder, "old")),
      newFolder: await extracted(versions.newTgz, join(folder, "new")),
    };
    const rivals = await runRivals(versions, trees, folder);
    const figures = await runBranchline(versions, trees);
    return { name: pair.name, tgzBytes: versions.tgzBytes, ...figures, ...rivals };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function extracted(tgz: string, folder: string): Promise<Trees["oldFolder"]> {
  await mkdir(folder);
  const { exitCode, stderr } = await outputOf("tar", [
    "-xzf",
    tgz,
    "-C",
    folder,
    "--no-same-owner",
  ]);
  if (exitCode !== 0) throw new Error(`tar failed on ${tgz}: ${stderr.slice(-500)}`);
  return folder;
}

function off({ fetchedBytes, predictedBytes }: BranchlineFigures["plain"]): number {
  return Math.abs(fetchedBytes / predictedBytes - 1);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length / 2;
  const [low = 0, high = 0] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return (low + high) / 2;
}

function printRow(result: Result | undefined, isFirst: boolean): void {
  if (result === undefined) return;
  if (isFirst) {
    console.log("bytes to fetch in % of the new .tgz, with the old version at hand");
    console.log(
      "               .tgz  whole  casync  zsync  plain (predicted)  patches (predicted)",
    );
  }
  const { name, tgzBytes, plain, delta, wholeBytes, casyncBytes, zsyncBytes } = result;
  const share = (bytes: number | undefined): string =>
    bytes === undefined ? "-" : ((100 * bytes) / tgzBytes).toFixed(1);
  const cells = [
    `${(tgzBytes / 1e6).toFixed(1)} MB`.padStart(8),
    share(wholeBytes).padStart(6),
    share(casyncBytes).padStart(7),
    share(zsyncBytes).padStart(6),
    `${share(plain.fetchedBytes)} (${share(plain.predictedBytes)})`.padStart(18),
    `${share(delta.fetchedBytes)} (${share(delta.predictedBytes)})`.padStart(20),
  ];
  console.log(`${name.padEnd(11)}${cells.join(" ")}`);
}

function printSummary(summary: {
  readonly medianPlain: number;
  readonly medianDelta: number;
  readonly worstDeviation: number;
}): void {
  const { medianPlain, medianDelta, worstDeviation } = summary;
  console.log(`median plain    ${percent(medianPlain)}`);
  console.log(
    `median patches  ${percent(medianDelta)}, at most ${percent(MEDIAN_TARGET)}: ${verdict(medianDelta <= MEDIAN_TARGET)}`,
  );
  console.log(
    `predicted       within ${percent(worstDeviation)}, at most ${percent(PREDICTION_TOLERANCE)}: ${verdict(worstDeviation <= PREDICTION_TOLERANCE)}`,
  );
}

function verdict(isMet: boolean): string {
  return isMet ? "met" : "MISSED";
}

function percent(value: number): string {
  return `${(100 * value).toFixed(1)} %`;
}
