import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Level } from "level";
import { afterAll, describe, expect, it } from "vitest";
import { openLevelStore } from "../../coordinator/store/level-store.ts";
import { describeStore } from "./store.contract.ts";

const folders: string[] = [];
async function newFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), "branchline-store-"));
  folders.push(folder);
  return path.join(folder, "store");
}
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});

describeStore("level", async () => {
  const folder = await newFolder();
  return {
    open: async () => openLevelStore(folder),
    reopen: async (store) => {
      await store.close();
      return openLevelStore(folder);
    },
  };
});

async function withRaw(
  folder: string,
  use: (raw: Level<string, Buffer>) => Promise<void>,
): Promise<void> {
  const raw = new Level<string, Buffer>(folder, { valueEncoding: "buffer" });
  await raw.open();
  await use(raw);
  await raw.close();
}

describe("level store", () => {
  it("says that another coordinator uses the folder", async () => {
    const folder = await newFolder();
    const store = await openLevelStore(folder);

    await expect(openLevelStore(folder)).rejects.toMatchObject({ code: "STORE_LOCKED" });
    await store.close();
  });

  it("detects every flipped byte of a stored value", async () => {
    const folder = await newFolder();
    const store = await openLevelStore(folder);
    await store.commit({ set: [{ key: "k", value: { name: "acme" } }] });
    await store.close();
    let original = Buffer.alloc(0);
    await withRaw(folder, async (raw) => {
      original = Buffer.from((await raw.get("d!k")) ?? Buffer.alloc(0));
    });
    expect(original.length).toBeGreaterThan(13);

    for (let at = 0; at < original.length; at += 3) {
      await withRaw(folder, async (raw) => {
        const flipped = Buffer.from(original);
        flipped[at] = flipped[at]! ^ 1;
        await raw.put("d!k", flipped);
      });
      const damaged = await openLevelStore(folder);
      await expect(damaged.get(["k"])).rejects.toMatchObject({ code: "STORE_DAMAGED" });
      await damaged.close();
    }
  });

  it("detects a value that lies under another key", async () => {
    const folder = await newFolder();
    const store = await openLevelStore(folder);
    await store.commit({ set: [{ key: "k", value: 1 }] });
    await store.close();
    await withRaw(folder, async (raw) => raw.put("d!other", await raw.get("d!k")));

    const damaged = await openLevelStore(folder);
    await expect(damaged.get(["other"])).rejects.toMatchObject({ code: "STORE_DAMAGED" });
    await damaged.close();
  });

  it("does not open when an acknowledged batch is gone", async () => {
    const folder = await newFolder();
    const store = await openLevelStore(folder);
    for (let at = 0; at < 3; at++) await store.commit({ set: [{ key: `k${at}`, value: at }] });
    await store.close();
    await withRaw(folder, async (raw) => {
      const [, second] = await raw.keys({ gte: "c!", lt: "d!" }).all();
      await raw.del(second!);
    });

    await expect(openLevelStore(folder)).rejects.toMatchObject({ code: "STORE_DAMAGED" });
  });
});
