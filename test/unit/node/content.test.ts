import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Content } from "../../../protocol/manifest.ts";
import { assemble } from "../../../node/content/assemble.ts";
import { readContentIndex } from "../../../node/content/content-index.ts";
import { FolderFragmentStore } from "../../../node/content/fragment-store.ts";
import { ManifestSource } from "../../../node/content/manifest-source.ts";
import {
  digestOf,
  MemoryFragmentStore,
  memoryPackage,
  type MemoryFile,
} from "../../support/memory-content.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "branchline-content-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const signal = new AbortController().signal;

async function indexOf(files: readonly MemoryFile[], change: Partial<Content> = {}) {
  const pack = memoryPackage({ kind: "store", path: "x" }, files);
  const store = new MemoryFragmentStore();
  for (const [digest, bytes] of pack.fragments) await store.write(digest, bytes);
  const content = { ...pack.manifest.content!, ...change };
  return { store, index: await readContentIndex(pack.manifest, content, store) };
}

describe("content", () => {
  it("OCS-18 puts files together from fragments that span and share them", async () => {
    const files = [
      { path: "a/b/long.txt", text: "long ".repeat(900) },
      { path: "a/short.txt", text: "s" },
      { path: "empty", text: "" },
      { path: "tail.bin", text: "tail".repeat(400) },
    ];
    const { store, index } = await indexOf(files);
    const target = join(folder, "target");

    await assemble(index, { folder: target, store, signal, isDurable: false });

    for (const file of files) {
      expect(await readFile(join(target, file.path), "utf8")).toBe(file.text);
    }
  });

  it("reads fragments again that lie behind others, from the disk and from memory", async () => {
    const seeds = Array.from({ length: 150 }, (_none, at) => digestOf(Buffer.from(`${at}`)));
    const pack = memoryPackage({ kind: "store", path: "x" }, [{ path: "a", text: seeds.join("") }]);
    const settings = { onCorrupt: () => undefined };
    await using store = await FolderFragmentStore.open(join(folder, "fragments"), settings);
    for (const [digest, bytes] of pack.fragments) await store.write(digest, bytes);
    const index = await readContentIndex(pack.manifest, pack.manifest.content!, store);
    // The last ones read are still in memory, in the buffers that the next ones are read into.
    const parts = [9, 7, 1, 8, 3, 9].map((place): [number, number] => [place * 1000, 600]);
    const text = parts.map(([at, size]) => seeds.join("").slice(at, at + size)).join("");
    const again = { kind: "file", path: "b", isExecutable: false, extents: parts } as const;
    const file = { ...again, sizeBytes: text.length, sha256: digestOf(Buffer.from(text)) };
    const target = join(folder, "target");

    await assemble(
      { ...index, files: [...index.files, file] },
      { folder: target, store, signal, isDurable: false },
    );

    expect(await readFile(join(target, "a"), "utf8")).toBe(seeds.join(""));
    expect(await readFile(join(target, "b"), "utf8")).toBe(text);
  });

  it.each([
    ["../evil", "x"],
    ["/etc/passwd", "x"],
    ["a/../../b", "x"],
    ["con.txt", "x"],
  ])("refuses the path %s before anything is written", async (path, text) => {
    await expect(indexOf([{ path, text }])).rejects.toMatchObject({ code: "CONTENT_INVALID" });
  });

  it("refuses trees with paths that collide", async () => {
    const files = [
      { path: "a", text: "x" },
      { path: "A/b", text: "y" },
    ];
    await expect(indexOf(files)).rejects.toMatchObject({ code: "CONTENT_INVALID" });
  });

  it.each(["fragmentCount", "fileCount", "wireBytes", "fileBytes"] as const)(
    "refuses pages that contradict the manifest's %s",
    async (field) => {
      await expect(indexOf([{ path: "a", text: "x" }], { [field]: 7 })).rejects.toMatchObject({
        code: "CONTENT_INVALID",
      });
    },
  );

  it("BR-3 refuses a file whose bytes are not what the file list says", async () => {
    const { store, index } = await indexOf([{ path: "a", text: "x" }]);
    const sha256 = digestOf(Buffer.from("y"));
    const files = index.files.map((file) => ({ ...file, sha256 }));
    const target = join(folder, "t");

    const assembled = assemble(
      { ...index, files },
      { folder: target, store, signal, isDurable: false },
    );

    await expect(assembled).rejects.toMatchObject({ code: "CONTENT_INVALID" });
  });

  it("names a fragment that is missing", async () => {
    const { store, index } = await indexOf([{ path: "a", text: "x" }]);
    store.held.delete(index.fragments[0]!.digest);

    const assembled = assemble(index, {
      folder: join(folder, "t"),
      store,
      signal,
      isDurable: false,
    });

    await expect(assembled).rejects.toMatchObject({ code: "FRAGMENT_MISSING" });
  });

  it("says how many bytes are needed where the disk is too small", async () => {
    const { store, index } = await indexOf([{ path: "a", text: "x" }]);
    const huge = { ...index, content: { ...index.content, fileBytes: 2 ** 50 } };

    const assembled = assemble(huge, {
      folder: join(folder, "t"),
      store,
      signal,
      isDurable: false,
    });

    await expect(assembled).rejects.toMatchObject({
      code: "DISK_FULL",
      details: { neededBytes: Math.ceil(2 ** 50 * 1.2) },
    });
  });
});

describe("manifests", () => {
  it("BR-2 keeps no bytes that are not the ones asked for", async () => {
    const digest = digestOf(Buffer.from("good"));
    const answers = [Buffer.from("bad"), Buffer.from("good")];
    const source = await ManifestSource.open(
      folder,
      async () => answers.shift() ?? Buffer.alloc(0),
    );

    await expect(source.get(digest, signal)).rejects.toMatchObject({ code: "SIGNATURE_INVALID" });
    expect(await source.held(digest)).toBeUndefined();
    expect((await source.get(digest, signal)).toString()).toBe("good");
    expect((await source.get(digest, signal)).toString()).toBe("good");
  });
});
