import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it } from "vitest";
import { FolderFragmentStore } from "../../../node/content/fragment-store.ts";
import { parseDigest } from "../../../protocol/ids.ts";

const PROGRAM = fileURLToPath(new URL("./fragment-writer-program.ts", import.meta.url));
/** Beyond one batch, so that kills fall before, in and behind a sync of the journal. */
const WRITES = [3, 160, 240, 333, 410];
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "branchline-kill-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Lines of a writer up to its kill behind so many writes. */
async function killedAfter(writeCount: number, seed: number): Promise<readonly string[]> {
  const writer = spawn(process.execPath, [PROGRAM, folder, String(seed)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(writer, "exit");
  const lines: string[] = [];
  for await (const line of createInterface({ input: writer.stdout })) {
    lines.push(line);
    if (lines.length > writeCount) writer.kill("SIGKILL");
  }
  await ended;
  return lines;
}

it("S11 loses nothing that was written to kills at any moment, also with a torn journal", async () => {
  const written = new Set<string>();
  const lines: string[] = [];
  for (const [seed, writeCount] of WRITES.entries()) {
    lines.push(...(await killedAfter(writeCount, seed)));
    await appendFile(join(folder, "held.journal"), `0badcafe + torn ${seed}`);
  }
  for (const line of lines) if (line.startsWith("wrote ")) written.add(line.slice(6));
  const corrupt: string[] = [];

  await using store = await FolderFragmentStore.open(folder, {
    onCorrupt: (digest) => corrupt.push(digest),
  });
  const held = [...store.cache.entries.keys()];
  const read = await Promise.all(held.map(async (digest) => store.read(digest)));

  expect(lines.filter((line) => line.startsWith("corrupt"))).toEqual([]);
  expect(corrupt).toEqual([]);
  expect(read.every((bytes) => bytes?.length === 100_000)).toBe(true);
  expect(store.cache.usedBytes).toBe(held.length * 100_000);
  // One in seven was deleted again; what was under way at a kill may be there or not.
  const kept = [...written].filter((digest) => store.has(parseDigest(digest)));
  expect(kept.length).toBeGreaterThanOrEqual(Math.floor((written.size * 6) / 7) - WRITES.length);
  expect(held.length - kept.length).toBeLessThanOrEqual(2 * WRITES.length);
});
