import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { performAttempt } from "../../../node/actions/attempt.ts";
import { FolderFragmentStore } from "../../../node/content/fragment-store.ts";
import { HalfMade } from "../../../node/content/half-made.ts";
import type { Digest } from "../../../protocol/ids.ts";
import { canonicalBytes } from "../../../protocol/json.ts";
import { swarmSections } from "../../../protocol/swarm-order.ts";
import { digestOf, memoryPackage } from "../../support/memory-content.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "branchline-rot-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Text that no two fragments share. */
function text(seed: string): string {
  return Array.from({ length: 100 }, (_none, at) =>
    createHash("sha256").update(`${seed} ${at}`).digest("hex"),
  ).join("");
}

const FILES = [
  { path: "one", text: text("one") },
  { path: "two", text: text("two") },
];

/** A store action whose fragments are all on the disk; `rotten` of them with one flipped byte. */
async function performed(isConsuming: boolean, rotten: (all: readonly Digest[]) => Digest) {
  const pack = memoryPackage({ kind: "store", path: "x" }, FILES, 1000);
  const content = pack.manifest.content!;
  const [section] = swarmSections(content);
  const corrupt: Digest[] = [];
  const onCorrupt = (digest: Digest): void => void corrupt.push(digest);
  await using store = await FolderFragmentStore.open(join(folder, "fragments"), { onCorrupt });
  const digests = [...pack.fragments.keys()];
  for (const [digest, bytes] of pack.fragments) await store.write(digest, bytes);
  const pages = [...section.fragmentPages, ...section.listPages].map(({ digest }) => digest);
  const order = [...pages, ...digests.filter((digest) => !pages.includes(digest))];
  const flipped = rotten(order);
  await flipByte(join(folder, "fragments", flipped.slice(0, 2), flipped));
  const fetched: Digest[] = [];
  await using halfMade = await HalfMade.open(join(folder, "assemblies"));
  const result = await performAttempt({
    manifest: pack.manifest,
    manifestDigest: digestOf(canonicalBytes(pack.manifest)),
    halfMade,
    work: { action: { kind: "store", path: "x" }, needsContent: true },
    run: "run",
    dataDir: folder,
    store,
    environment: {},
    trace: () => [],
    onStep: () => undefined,
    refetch: async (_signal, _isPlain, wanted) => {
      for (const [index, digest] of order.entries()) {
        if (wanted?.has(index) === false || store.has(digest)) continue;
        fetched.push(digest);
        await store.write(digest, pack.fragments.get(digest)!);
      }
    },
    roomFor: async () => ({ isConsuming, store }),
    local: () => undefined,
    remember: async () => undefined,
    onAgentError: () => undefined,
    signal: new AbortController().signal,
  });
  const paths = FILES.map(({ path }) => join(folder, "store", "x", path));
  const stored = await Promise.all(paths.map(async (path) => readFile(path, "utf8")));
  return { result, stored, corrupt, fetched, flipped };
}

async function flipByte(path: string): Promise<void> {
  const bytes = await readFile(path);
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(path, bytes);
}

describe("a fragment that rots between its fetch and its use", () => {
  it.each([
    ["an index page", false, 0],
    ["a page of the file list", false, 1],
    ["the first fragment", false, 2],
    ["the last fragment", false, -1],
    ["the last fragment, when those of the first file are consumed", true, -1],
  ] as const)("trust S11 brings back %s in the same attempt, and nothing else", async (...row) => {
    const [, isConsuming, place] = row;
    const { result, stored, corrupt, fetched, flipped } = await performed(isConsuming, (order) =>
      order.at(place)!,
    );

    expect(result.outcome).toBe("success");
    expect(stored).toEqual(FILES.map((file) => file.text));
    expect(corrupt).toEqual([flipped]);
    expect(fetched).toEqual([flipped]);
  });
});
