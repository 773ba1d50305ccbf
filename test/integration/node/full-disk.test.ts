/** A fragment store on a disk that is full: a small file system in memory. Needs root, as the lab does. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FolderFragmentStore } from "../../../node/content/fragment-store.ts";
import type { Digest } from "../../../protocol/ids.ts";
import { digestOf } from "../../support/memory-content.ts";

const FRAGMENT_BYTES = 100_000;
/** Of the disk: not even half of what the tests write. */
const DISK = "size=2m";
let folder: string;

function fragment(at: number): Buffer {
  return Buffer.alloc(FRAGMENT_BYTES, createHash("sha512").update(String(at)).digest());
}

describe.skipIf(process.getuid?.() !== 0)("a full disk", () => {
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "branchline-full-"));
    execFileSync("mount", ["-t", "tmpfs", "-o", DISK, "tmpfs", folder]);
  });
  afterEach(async () => {
    execFileSync("umount", [folder]);
    await rm(folder, { recursive: true });
  });

  it("makes room for a fragment, and takes it at once", async () => {
    let askedCount = 0;
    const makeRoom = async (neededBytes: number): Promise<boolean> => {
      askedCount++;
      expect(neededBytes).toBe(FRAGMENT_BYTES);
      const oldest = [...store.cache.entries.keys()].slice(0, 3);
      for (const digest of oldest) await store.delete(digest);
      return oldest.length > 0;
    };
    await using store = await FolderFragmentStore.open(folder, {
      onCorrupt: () => undefined,
      makeRoom,
    });

    for (let at = 0; at < 50; at++) await store.write(digestOf(fragment(at)), fragment(at));

    expect(askedCount).toBeGreaterThan(5);
    expect(await store.read(digestOf(fragment(49)))).toEqual(fragment(49));
  });

  it("says DISK_FULL where nothing can go, keeps what it has, and leaves nothing half written", async () => {
    const corrupt: Digest[] = [];
    await using store = await FolderFragmentStore.open(folder, {
      onCorrupt: (digest) => corrupt.push(digest),
      makeRoom: async () => false,
    });
    const fill = async (): Promise<void> => {
      for (let at = 0; at < 50; at++) await store.write(digestOf(fragment(at)), fragment(at));
    };

    await expect(fill()).rejects.toMatchObject({
      code: "DISK_FULL",
      retryable: true,
      details: { neededBytes: FRAGMENT_BYTES },
    });

    const names = await readdir(folder, { recursive: true });
    const files = names.filter((name) => name.includes("/")).map((name) => name.slice(3));
    expect(files.toSorted()).toEqual([...store.cache.entries.keys()].toSorted());
    // A list: what is read moves to the end of the cache.
    const held = Array.from(store.cache.entries.keys());
    for (const digest of held) {
      expect((await store.read(digest))?.length).toBe(FRAGMENT_BYTES);
    }
    expect(corrupt).toEqual([]);
  });
});
