import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { crcLine } from "../../../node/content/crc-lines.ts";
import { FolderFragmentStore } from "../../../node/content/fragment-store.ts";
import { digestOf } from "../../support/memory-content.ts";

const FRAGMENTS = ["one", "two", "three", "four"].map((text) => Buffer.from(text.repeat(50)));

/** What a power cut may leave of one fragment: of its file, and of its line in the journal. */
const leftover = fc.record({
  file: fc.constantFrom("whole", "empty", "zeroes", "cut", "absent", "halfWritten"),
  line: fc.constantFrom("held", "gone", "none"),
});

type Leftover = typeof leftover extends fc.Arbitrary<infer T> ? T : never;

function bytesOf(whole: Buffer, file: Leftover["file"]): Buffer | undefined {
  if (file === "whole") return whole;
  if (file === "empty") return Buffer.alloc(0);
  if (file === "zeroes") return Buffer.alloc(whole.length);
  return file === "absent" ? undefined : whole.subarray(0, 7);
}

async function lay(folder: string, whole: Buffer, { file }: Leftover): Promise<void> {
  const digest = digestOf(whole);
  const bytes = bytesOf(whole, file);
  await mkdir(join(folder, digest.slice(0, 2)), { recursive: true });
  const name = file === "halfWritten" ? `${digest}.0a1b2c` : digest;
  if (bytes !== undefined) await writeFile(join(folder, digest.slice(0, 2), name), bytes);
}

function lineOf(whole: Buffer, { line }: Leftover): string {
  if (line === "none") return "";
  if (line === "gone") return crcLine(`- ${digestOf(whole)}`);
  return crcLine(`+ ${digestOf(whole)} ${whole.length} 1700000000000`);
}

it("S11 gives only true bytes after any power cut, and holds every fragment that is whole", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(leftover, leftover, leftover, leftover),
      fc.integer({ min: 0, max: 400 }),
      async (leftovers, tornBytes) => {
        const folder = await mkdtemp(join(tmpdir(), "branchline-cut-"));
        try {
          const journal = FRAGMENTS.map((whole, at) => lineOf(whole, leftovers[at]!)).join("");
          for (const [at, whole] of FRAGMENTS.entries()) await lay(folder, whole, leftovers[at]!);
          const keptBytes = Math.max(0, journal.length - tornBytes);
          await writeFile(join(folder, "held.journal"), journal.slice(0, keptBytes));

          for (let start = 1; start <= 2; start++) {
            await using store = await FolderFragmentStore.open(folder, {
              onCorrupt: () => undefined,
            });
            for (const [at, whole] of FRAGMENTS.entries()) {
              const isWhole = leftovers[at]!.file === "whole";
              expect(await store.read(digestOf(whole))).toEqual(isWhole ? whole : undefined);
              expect(store.has(digestOf(whole))).toBe(isWhole);
            }
          }
        } finally {
          await rm(folder, { recursive: true });
        }
      },
    ),
    { numRuns: 60 },
  );
});
