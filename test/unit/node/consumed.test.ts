import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { assemble } from "../../../node/content/assemble.ts";
import { readContentIndex } from "../../../node/content/content-index.ts";
import type { Digest } from "../../../protocol/ids.ts";
import {
  MemoryFragmentStore,
  memoryPackage,
  type MemoryFile,
} from "../../support/memory-content.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "branchline-consumed-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const signal = new AbortController().signal;

/** Text that no two fragments share. */
function text(length: number, seed: string): string {
  let made = "";
  for (let at = 0; made.length < length; at++) {
    made += createHash("sha256").update(`${seed} ${at}`).digest("hex");
  }
  return made.slice(0, length);
}

class WatchedStore extends MemoryFragmentStore {
  onDelete: (digest: Digest) => Promise<void> = async () => undefined;

  override async delete(digest: Digest): Promise<void> {
    await this.onDelete(digest);
    await super.delete(digest);
  }
}

async function filled(files: readonly MemoryFile[], fragmentBytes: number) {
  const pack = memoryPackage({ kind: "store", path: "x" }, files, fragmentBytes);
  const store = new WatchedStore();
  for (const [digest, bytes] of pack.fragments) await store.write(digest, bytes);
  const index = await readContentIndex(pack.manifest, pack.manifest.content!, store);
  return { store, index };
}

/** Two files over one stream: the second begins in the fragment in which the first ends. */
const FILES = [
  { path: "one", text: text(2500, "one") },
  { path: "two", text: text(2500, "two") },
];

describe("assembly that consumes fragments", () => {
  it("leaves the pages and nothing else", async () => {
    const { store, index } = await filled(FILES, 1000);
    const target = join(folder, "target");

    await assemble(index, { folder: target, store, signal, isDurable: true, isConsuming: true });

    for (const file of FILES)
      expect(await readFile(join(target, file.path), "utf8")).toBe(file.text);
    const { fragmentPages, filePages } = index.content;
    const pages = [...fragmentPages, ...filePages].map(({ digest }) => digest);
    expect([...store.held.keys()].toSorted()).toEqual(pages.toSorted());
  });

  it("keeps a fragment until every file that needs it is written", async () => {
    const { store, index } = await filled(FILES, 1000);
    const target = join(folder, "target");
    const written: [number, string][] = [];
    store.onDelete = async (digest) => {
      const place = index.fragments.findIndex((entry) => entry.digest === digest);
      const isTwoThere = await stat(join(target, "two")).then(
        ({ size }) => size === 2500,
        () => false,
      );
      written.push([place, isTwoThere ? "both" : "one"]);
    };
    const batches = { isDurable: true, isConsuming: true, batchBytes: 2000 };

    await assemble(index, { folder: target, store, signal, ...batches });

    expect(written).toEqual([
      [0, "one"],
      [1, "one"],
      [2, "both"],
      [3, "both"],
      [4, "both"],
    ]);
  });

  it("does not wait for the end of a file that is larger than a batch", async () => {
    // 80 fragments of 1 MiB: more than the 64 MiB between two syncs. One block comes twice.
    const size = 1024 * 1024;
    const blocks = Array.from({ length: 80 }, (_none, at) =>
      `block ${String(at === 2 ? 0 : at).padStart(10)}`.repeat(size / 16),
    );
    const { store, index } = await filled([{ path: "large", text: blocks.join("") }], size);
    const target = join(folder, "target");
    const sizes: number[] = [];
    store.onDelete = async () => {
      sizes.push((await stat(join(target, "large"))).size);
    };

    await assemble(index, { folder: target, store, signal, isDurable: true, isConsuming: true });

    expect(Math.min(...sizes)).toBeLessThan(70 * size);
    expect(sizes).toHaveLength(79);
  });

  it("asks for less free space than files and fragments take together", async () => {
    const { store, index } = await filled(FILES, 1000);
    const huge = { ...index.content, fileBytes: 2 ** 62, wireBytes: 2 ** 62 };
    const settings = { folder: join(folder, "target"), store, signal, isDurable: true };

    await assemble({ ...index, content: huge }, { ...settings, isConsuming: true });

    const plain = assemble({ ...index, content: huge }, { ...settings, folder: join(folder, "b") });
    await expect(plain).rejects.toMatchObject({ code: "DISK_FULL" });
  });
});
