import {
  appendFile,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { isSettled } from "../../../node/content/fragment-files.ts";
import { FolderFragmentStore } from "../../../node/content/fragment-store.ts";
import type { Digest } from "../../../protocol/ids.ts";
import { digestOf } from "../../support/memory-content.ts";

const BYTES = Buffer.from("fragment");
const DIGEST = digestOf(BYTES);
const LATER_MS = 60_000;
let folder: string;
let corrupt: Digest[];
let gone: Digest[];
let clockMs: number;
let stores: FolderFragmentStore[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "branchline-fragments-"));
  corrupt = [];
  gone = [];
  stores = [];
  clockMs = Date.now();
});
afterEach(async () => {
  for (const store of stores) await store[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function opened(root = folder): Promise<FolderFragmentStore> {
  const store = await FolderFragmentStore.open(root, {
    onCorrupt: (digest) => corrupt.push(digest),
    onGone: (digests) => gone.push(...digests),
    now: () => clockMs,
  });
  stores.push(store);
  return store;
}

/** What a store leaves that ends in order. */
async function closed(store: FolderFragmentStore): Promise<void> {
  stores.splice(stores.indexOf(store), 1);
  await store[Symbol.asyncDispose]();
}

function pathOf(digest: Digest): string {
  return join(folder, digest.slice(0, 2), digest);
}

/** Alters bytes and sets the time of the file back; at a later tick of the kernel's clock. */
async function flip(path: string): Promise<void> {
  const { atime, mtime, ctimeMs } = await stat(path);
  do {
    await flipNow(path);
    await utimes(path, atime, mtime);
  } while ((await stat(path)).ctimeMs === ctimeMs);
}

async function flipNow(path: string): Promise<void> {
  await using file = await open(path, "r+");
  await file.write("F", 0);
}

it("holds what was written over a restart and removes unfinished writes", async () => {
  const store = await opened();
  await store.write(DIGEST, BYTES);
  await writeFile(`${pathOf(DIGEST)}.0123`, "half");
  await closed(store);

  const again = await opened();

  expect(again.has(DIGEST)).toBe(true);
  expect(await again.read(DIGEST)).toEqual(BYTES);
  expect(await readdir(join(folder, DIGEST.slice(0, 2)))).toEqual([DIGEST]);
});

it("holds what was written before a kill, although its journal does not know of it", async () => {
  const store = await opened();
  await store.write(DIGEST, BYTES);

  const again = await opened();

  expect(await readFile(join(folder, "held.journal"), "utf8")).toContain(DIGEST);
  expect(await again.read(DIGEST)).toEqual(BYTES);
});

it.each([
  ["empty", Buffer.alloc(0)],
  ["other bytes", Buffer.from("zeroooos")],
])("S11 a power cut that leaves a name with %s leaves nothing held", async (_what, left) => {
  const store = await opened();
  await store.write(DIGEST, BYTES);
  await writeFile(pathOf(DIGEST), left);

  const again = await opened();

  expect(again.has(DIGEST)).toBe(false);
  expect(await readdir(join(folder, DIGEST.slice(0, 2)))).toEqual([]);
  expect(corrupt).toEqual([]);
});

it("opens by its journal alone: no file is read or hashed at a start", async () => {
  const store = await opened();
  await store.write(DIGEST, BYTES);
  await closed(store);
  await truncate(pathOf(DIGEST), 3);

  const again = await opened();

  expect(again.has(DIGEST)).toBe(true);
  expect(again.cache.usedBytes).toBe(BYTES.length);
  expect(await again.read(DIGEST)).toBeUndefined();
  expect(corrupt).toEqual([DIGEST]);
});

it("opens with a torn and with a rotten journal, and loses no fragment by it", async () => {
  const others = ["a", "b", "c"].map((text) => Buffer.from(text));
  const store = await opened();
  for (const bytes of [BYTES, ...others]) await store.write(digestOf(bytes), bytes);
  await closed(store);
  const journal = join(folder, "held.journal");
  const text = await readFile(journal, "utf8");
  await writeFile(journal, text.replace(DIGEST.slice(0, 8), "00000000"));
  await appendFile(journal, "0badcafe + torn");

  const again = await opened();

  for (const bytes of [BYTES, ...others]) expect(await again.read(digestOf(bytes))).toEqual(bytes);
  const lines = (await readFile(journal, "utf8")).trimEnd().split("\n");
  expect(lines.at(-1)).toContain(DIGEST);
  expect(lines.join()).not.toContain("torn");
});

it("forgets what is in the journal and not on the disk", async () => {
  const store = await opened();
  await store.write(DIGEST, BYTES);
  await closed(store);
  await rm(pathOf(DIGEST));

  const again = await opened();

  expect(again.has(DIGEST)).toBe(false);
  expect(again.cache.usedBytes).toBe(0);
});

it("BR-3 (S11) gives nothing that was altered on disk after it was read and found good", async () => {
  const store = await opened();
  await store.write(DIGEST, BYTES);
  clockMs += LATER_MS;
  expect(await store.read(DIGEST)).toEqual(BYTES);

  await rm(pathOf(DIGEST));
  await writeFile(pathOf(DIGEST), "fragmenT");

  expect(await store.read(DIGEST)).toBeUndefined();
  expect(corrupt).toEqual([DIGEST]);
});

it("BR-3 (S11) finds an alteration in the same moment as the write, whatever the file's times say", async () => {
  const store = await opened();
  await store.write(DIGEST, BYTES);
  expect(await store.read(DIGEST)).toEqual(BYTES);

  await flipNow(pathOf(DIGEST));

  expect(await store.read(DIGEST)).toBeUndefined();
});

it("trusts no file that was changed a moment ago: another change might leave the same times", () => {
  const look = { sizeBytes: 1, inode: 1, modifiedMs: 5000, changedMs: 7000 };

  expect([7000, 8999, 9000, 9001].map((nowMs) => isSettled(look, nowMs))).toEqual([
    false,
    false,
    false,
    true,
  ]);
  expect(isSettled({ ...look, modifiedMs: 8000 }, 9001)).toBe(false);
});

it("BR-3 (S11) finds an alteration that sets the time of the file back", async () => {
  const store = await opened();
  await store.write(DIGEST, BYTES);
  // A time that can be set back exactly.
  await utimes(pathOf(DIGEST), 1_700_000_000, 1_700_000_000);
  clockMs += LATER_MS;
  expect(await store.read(DIGEST)).toEqual(BYTES);

  await flip(pathOf(DIGEST));

  expect(await store.read(DIGEST)).toBeUndefined();
  expect(corrupt).toEqual([DIGEST]);
});

it("BR-3 (S11) drops and reports what rotted while no process ran", async () => {
  const store = await opened();
  await store.write(DIGEST, BYTES);
  await closed(store);
  await writeFile(pathOf(DIGEST), "fragmenT");

  const again = await opened();

  expect(await again.read(DIGEST)).toBeUndefined();
  expect(again.has(DIGEST)).toBe(false);
  expect(corrupt).toEqual([DIGEST]);
  expect(await readdir(join(folder, DIGEST.slice(0, 2)))).toEqual([]);
});

it("deletes for good and tells it once", async () => {
  const store = await opened();
  await store.write(DIGEST, BYTES);
  await store.delete(DIGEST);
  await store.delete(DIGEST);

  expect(store.has(DIGEST)).toBe(false);
  expect(await store.read(DIGEST)).toBeUndefined();
  await expect.poll(() => gone).toEqual([DIGEST]);
  await closed(store);
  expect((await opened()).has(DIGEST)).toBe(false);
  expect(corrupt).toEqual([]);
});

it("knows after a restart what was used last", async () => {
  const [old, young] = [Buffer.from("old"), Buffer.from("young")];
  const store = await opened();
  await store.write(digestOf(old), old);
  clockMs += LATER_MS;
  await store.write(digestOf(young), young);
  clockMs += 2 * 86_400_000;
  await store.read(digestOf(old));
  await closed(store);

  const again = await opened();

  expect([...again.cache.entries.keys()]).toEqual([digestOf(young), digestOf(old)]);
});

it("keeps its journal short, however often the same space is used", async () => {
  const store = await opened();
  const line = `+ ${DIGEST} 8 1700000000000`;
  await store.write(DIGEST, BYTES);
  await closed(store);
  const journal = join(folder, "held.journal");
  const one = (await readFile(journal, "utf8")).split("\n").at(0);
  expect(one).toContain(line.slice(0, 68));
  await writeFile(journal, `${one}\n`.repeat(25_000));

  const again = await opened();

  expect(again.has(DIGEST)).toBe(true);
  expect((await readFile(journal, "utf8")).split("\n")).toHaveLength(2);
});

it("S11 keeps what comes back while it is being deleted", async () => {
  const store = await opened();
  await store.write(DIGEST, BYTES);
  await store.flush();
  // A deletion that takes its time: many files where one was.
  await rm(pathOf(DIGEST));
  await mkdir(pathOf(DIGEST));
  const names = Array.from({ length: 200 }, (_none, at) => join(pathOf(DIGEST), `${at}`));
  await Promise.all(names.map(async (name) => writeFile(name, "")));

  const deleted = store.delete(DIGEST);
  await store.write(DIGEST, BYTES);
  await deleted;

  expect(await store.read(DIGEST)).toEqual(BYTES);
  expect(corrupt).toEqual([]);
  await closed(store);
  expect((await opened()).has(DIGEST)).toBe(true);
});
