import { hash } from "node:crypto";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { assemble } from "../../../node/content/assemble.ts";
import { bytesLeft, extentsLeft, fragmentsLeft } from "../../../node/content/assembly-point.ts";
import { readContentIndex, type ContentIndex } from "../../../node/content/content-index.ts";
import { HalfMade } from "../../../node/content/half-made.ts";
import type { Digest } from "../../../protocol/ids.ts";
import { canonicalBytes } from "../../../protocol/json.ts";
import { noise } from "../../support/noise.ts";
import { builtTree, UpdateEndpoint } from "../../support/update-endpoint.ts";
import { rebuilt } from "../../support/rebuilt-content.ts";
import { digestOf, MemoryFragmentStore, memoryPackage } from "../../support/memory-content.ts";

const signal = new AbortController().signal;
let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "branchline-half-"));
});
afterEach(async () => {
  await rm(dataDir, { recursive: true, force: true });
});

const text = (seed: string): string => hash("sha256", seed, "hex").repeat(40).slice(0, 2500);
/** Five fragments of 1000: the second file begins in the third of them. */
const PACK = memoryPackage(
  { kind: "store", path: "x" },
  [
    { path: "one", text: text("one") },
    { path: "two", text: text("two") },
  ],
  1000,
);
const MANIFEST: Digest = digestOf(canonicalBytes(PACK.manifest));

async function filled(): Promise<{ store: MemoryFragmentStore; index: ContentIndex }> {
  const store = new MemoryFragmentStore();
  for (const [digest, bytes] of PACK.fragments) await store.write(digest, bytes);
  const index = await readContentIndex(PACK.manifest, PACK.manifest.content!, store);
  return { store, index };
}

describe("what is left of files", () => {
  it.each([
    [{ place: 0, bytes: 0 }, [0, 1, 2, 3, 4], 5000],
    // A byte of the second fragment is still to come.
    [{ place: 0, bytes: 1999 }, [1, 2, 3, 4], 3001],
    [{ place: 0, bytes: 2000 }, [2, 3, 4], 3000],
    [{ place: 1, bytes: 0 }, [2, 3, 4], 2500],
    [{ place: 1, bytes: 500 }, [3, 4], 2000],
    [{ place: 2, bytes: 0 }, [], 0],
  ])("needs behind %j the fragments %j", async (point, fragments, fileBytes) => {
    const { index } = await filled();

    expect([...fragmentsLeft(index, point)]).toEqual(fragments);
    expect(bytesLeft(index, point).fileBytes).toBe(fileBytes);
  });

  it("cuts the extents of the file that was begun, and no other", () => {
    const file = { kind: "file", path: "a", isExecutable: false, sizeBytes: 9 } as const;
    const entry = {
      ...file,
      sha256: MANIFEST,
      extents: [
        [100, 4],
        [50, 5],
      ] as [number, number][],
    };

    expect(extentsLeft(entry, 3, { place: 3, bytes: 6 })).toEqual([[52, 3]]);
    expect(extentsLeft(entry, 3, { place: 3, bytes: 4 })).toEqual([[50, 5]]);
    expect(extentsLeft(entry, 4, { place: 3, bytes: 6 })).toEqual(entry.extents);
    expect(extentsLeft(entry, 2, { place: 3, bytes: 6 })).toEqual([]);
  });
});

describe("a fetch beside half-made files", () => {
  const program = noise(600_000, "program");
  const tree = { "a.bin": { data: program }, "b.bin": { data: noise(600_000, "library") } };

  it.each([
    ["without an older version", false],
    ["with an older version here", true],
  ])("leaves out what they hold, %s", async (_what, hasOlder) => {
    const endpoint = await UpdateEndpoint.open(dataDir);
    if (hasOlder) {
      await endpoint.install(await builtTree(dataDir, { "c.txt": { data: "older" } }));
      endpoint.store.held.clear();
    }
    const built = await builtTree(dataDir, tree);
    const { entries } = await rebuilt(built);
    const [first] = entries;
    const place = 1;
    endpoint.point = { place, bytes: 0 };

    const { fetchedBytes, bytes } = await endpoint.fetched(built);

    const { wireBytes } = built.manifest.content!;
    expect(first).toMatchObject({ kind: "file", sizeBytes: 600_000 });
    expect(fetchedBytes).toBeLessThan(wireBytes - 500_000);
    expect(fetchedBytes).toBeGreaterThan(550_000);
    expect(bytes.local).toBe(wireBytes - fetchedBytes);
  });

  it("leaves nothing out for a replica, which is fragments", async () => {
    const endpoint = await UpdateEndpoint.open(dataDir);
    const built = await builtTree(dataDir, tree);
    endpoint.point = { place: 2, bytes: 0 };

    const { fetchedBytes } = await endpoint.fetched(built, { isReplica: true });

    expect(fetchedBytes).toBe(built.manifest.content!.wireBytes);
  });
});

function incoming(): string {
  return join(dataDir, ".x.incoming");
}

/** Puts the first file together, loses the second one's last fragment, and leaves the rest. */
async function begun(halfMade: HalfMade): Promise<ContentIndex> {
  const { store, index } = await filled();
  await store.delete(index.fragments.at(-1)!.digest);
  const place = { manifest: MANIFEST, folder: incoming() };
  expect(await halfMade.resumed(place, index)).toEqual({ kind: "none" });
  const batches = { isDurable: true, isConsuming: true, batchBytes: 1000 };
  const marks = halfMade.marks(place);
  const settings = { folder: incoming(), store, signal, marks, ...batches };
  await expect(assemble(index, settings)).rejects.toMatchObject({ code: "FRAGMENT_MISSING" });
  return index;
}

describe("half-made files", () => {
  it("are known to the next process, and to nobody who asks for another package", async () => {
    await using first = await HalfMade.open(join(dataDir, "assemblies"));
    const index = await begun(first);

    await using second = await HalfMade.open(join(dataDir, "assemblies"));

    expect(second.has(MANIFEST)).toBe(true);
    expect(await second.reached(MANIFEST, index)).toEqual({ place: 1, bytes: 1500 });
    expect(await second.reached(digestOf(Buffer.from("other")), index)).toBeUndefined();
  });

  it("go when nobody wants the package any more, and not while they are written", async () => {
    await using halfMade = await HalfMade.open(join(dataDir, "assemblies"));
    await begun(halfMade);

    await halfMade.keepOnly(() => false);
    expect(await readdir(incoming())).toContain("one");
    halfMade.ended(MANIFEST);
    await halfMade.keepOnly((manifest) => manifest === MANIFEST);
    expect(await readdir(incoming())).toContain("one");
    await halfMade.keepOnly(() => false);

    expect(halfMade.has(MANIFEST)).toBe(false);
    expect(await readdir(dataDir)).toEqual(["assemblies"]);
    expect(await readdir(join(dataDir, "assemblies"))).toEqual([]);
  });

  it("never names a folder that no assembly makes", async () => {
    await using first = await HalfMade.open(join(dataDir, "assemblies"));
    const { index, store } = await filled();
    const precious = join(dataDir, "precious");
    const place = { manifest: MANIFEST, folder: precious };
    const settings = { folder: precious, store, signal, isDurable: true };
    await assemble(index, { ...settings, marks: first.marks(place) });
    await mkdir(join(dataDir, "assemblies", "a folder"));
    await writeFile(join(dataDir, "assemblies", "a folder", "file"), "");

    await using second = await HalfMade.open(join(dataDir, "assemblies"));
    await second.keepOnly(() => false);

    expect(await readdir(precious)).toEqual(["one", "two"]);
    expect(await readdir(join(dataDir, "assemblies"))).toEqual([]);
  });
});
