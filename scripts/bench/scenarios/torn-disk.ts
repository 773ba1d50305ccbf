/** What a power cut leaves on a node's disk: journals that end anywhere, and files that have a name but not all of their bytes. */
import { randomBytes } from "node:crypto";
import { readdir, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";

const JOURNALS = ["journal.jsonl", "fragments/held.journal"];
const FRAGMENT = /^[0-9a-f]{64}$/u;

/** Numbers from 0 to 1, so that a run says where it cut. */
export type Dice = () => number;

export interface Torn {
  readonly journalBytes: number;
  readonly keptBytes: number;
  readonly fragment: string;
}

/** The node must not run. Throws where there was nothing to tear. */
export async function tearDisk(nodeFolder: string, dice: Dice): Promise<Torn> {
  let [journalBytes, keptBytes] = [0, 0];
  for (const name of JOURNALS) {
    const path = join(nodeFolder, name);
    const { size } = await stat(path);
    const kept = Math.floor(size * dice());
    await truncate(path, kept);
    journalBytes += size;
    keptBytes += kept;
  }
  const fragment = await newestFragment(join(nodeFolder, "fragments"));
  const { size } = await stat(fragment);
  await truncate(fragment, Math.floor(size * dice()));
  // And one that had not even got its name.
  const rest = Math.floor(size * dice());
  await writeFile(`${fragment}.${randomBytes(6).toString("hex")}`, randomBytes(rest));
  return { journalBytes, keptBytes, fragment };
}

async function newestFragment(folder: string): Promise<string> {
  let newest: { readonly path: string; readonly atMs: number } | undefined;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !FRAGMENT.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name);
    const { mtimeMs } = await stat(path);
    if (newest === undefined || mtimeMs > newest.atMs) newest = { path, atMs: mtimeMs };
  }
  if (newest === undefined) throw new Error(`no fragment to tear in ${folder}`);
  return newest.path;
}
