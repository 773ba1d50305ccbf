import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, rm, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, expect, it } from "vitest";
import { NO_BYTES_DIGEST } from "../../../node/content/assembly-marks.ts";
import { CacheKeeper } from "../../../node/content/cache-keeper.ts";
import { FolderFragmentStore } from "../../../node/content/fragment-store.ts";
import { HalfMade } from "../../../node/content/half-made.ts";
import { ManifestSource } from "../../../node/content/manifest-source.ts";
import type { CacheSettings } from "../../../node/core/cache.ts";
import type { CacheWant } from "../../../node/core/cache-wants.ts";
import { canonicalBytes } from "../../../protocol/json.ts";
import { FRAGMENT_WIRE_MAX_BYTES } from "../../../protocol/limits.ts";
import { digestOf, memoryPackage, type MemoryPackage } from "../../support/memory-content.ts";

const log = pino({ level: "silent" });
const signal = new AbortController().signal;
const OLD = packageOf("old ");
const NEW = packageOf("new ");
let folder: string;
let store: FolderFragmentStore;
let manifests: ManifestSource;
let halfMade: HalfMade;
let wants: CacheWant[];
let gone: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "branchline-cache-"));
  wants = [];
  gone = [];
  store = await FolderFragmentStore.open(join(folder, "fragments"), {
    onCorrupt: () => undefined,
    onGone: (digests) => gone.push(...digests),
  });
  halfMade = await HalfMade.open(join(folder, "assemblies"));
  const held = new Map([OLD, NEW].map((pack) => [digestOfManifest(pack), manifestBytes(pack)]));
  manifests = await ManifestSource.open(join(folder, "manifests"), async (digest) => {
    return held.get(digest) ?? Buffer.alloc(0);
  });
});
afterEach(async () => {
  await halfMade[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

function packageOf(text: string): MemoryPackage {
  return memoryPackage({ kind: "store", path: "x" }, [{ path: "a", text: text.repeat(2000) }]);
}

function manifestBytes({ manifest }: MemoryPackage): Buffer {
  return canonicalBytes(manifest);
}

function digestOfManifest(pack: MemoryPackage) {
  return digestOf(manifestBytes(pack));
}

async function fetched(pack: MemoryPackage): Promise<void> {
  await manifests.get(digestOfManifest(pack), signal);
  for (const [digest, bytes] of pack.fragments) await store.write(digest, bytes);
}

function isHere(pack: MemoryPackage): boolean {
  return [...pack.fragments.keys()].every((digest) => store.has(digest));
}

function keeperOf(settings: CacheSettings): CacheKeeper {
  return new CacheKeeper({
    store,
    manifests,
    halfMade,
    folder,
    settings,
    wants: () => wants,
    instructed: () => wants.map(({ manifestDigest }) => manifestDigest),
    log,
  });
}

/** All of the files is still to be written, and they are the end. */
const FINAL = { isFinal: true, leftBytes: OLD.manifest.content!.fileBytes };
const SMALL = { quota: { kind: "bytes", sizeBytes: 1 }, minFreeBytes: 0 } as const;

it("keeps to the quota what no instruction needs, and tells what went", async () => {
  await fetched(OLD);
  await fetched(NEW);
  wants = [{ manifestDigest: digestOfManifest(NEW), isPinned: false }];

  const sizeBytes = await keeperOf(SMALL).review(0);

  expect(isHere(NEW)).toBe(true);
  expect([...OLD.fragments.keys()].filter((digest) => store.has(digest))).toEqual([]);
  expect(sizeBytes).toBe([...OLD.fragments.values()].reduce((sum, { length }) => sum + length, 0));
  await expect.poll(() => gone.toSorted()).toEqual([...OLD.fragments.keys()].toSorted());
});

it("ZEN-17 keeps pinned content for good and counts it", async () => {
  await fetched(OLD);
  wants = [{ manifestDigest: digestOfManifest(OLD), isPinned: true }];
  const keeper = keeperOf(SMALL);

  await keeper.review(0);

  expect(isHere(OLD)).toBe(true);
  expect(keeper.use).toEqual({
    usedBytes: store.cache.usedBytes,
    pinnedBytes: store.cache.usedBytes,
    quotaBytes: 1,
  });
});

it("takes larger content than the quota as long as it is needed, and evicts it after", async () => {
  const keeper = keeperOf(SMALL);
  wants = [{ manifestDigest: digestOfManifest(NEW), isPinned: false }];
  await fetched(NEW);
  await keeper.review(0);
  expect(isHere(NEW)).toBe(true);

  wants = [];
  await keeper.review(0);

  expect(store.cache.usedBytes).toBe(0);
});

it("evicts nothing within the quota", async () => {
  await fetched(OLD);
  await keeperOf({ minFreeBytes: 0 }).review(0);

  expect(isHere(OLD)).toBe(true);
});

it("makes room where the disk is too full for what is wanted", async () => {
  await fetched(OLD);
  const quota = { kind: "bytes", sizeBytes: 1e15 } as const;

  const sizeBytes = await keeperOf({ quota, minFreeBytes: 0, keepMs: 0 }).review(1e15);

  expect(sizeBytes).toBeGreaterThan(0);
  expect(store.cache.usedBytes).toBe(0);
});

it("spares what another instruction needs where a package is consumed", async () => {
  await fetched(OLD);
  await fetched(NEW);
  const [shared] = [...NEW.fragments.keys()];
  wants = [OLD, NEW].map((pack) => ({ manifestDigest: digestOfManifest(pack), isPinned: false }));
  const keeper = keeperOf(SMALL);

  const room = await keeper.roomFor(OLD.manifest.content!, digestOfManifest(OLD), FINAL);
  for (const digest of [...OLD.fragments.keys(), shared!]) await room.store.delete(digest);

  expect(room.isConsuming).toBe(true);
  expect(isHere(NEW)).toBe(true);
  expect([...OLD.fragments.keys()].some((digest) => store.has(digest))).toBe(false);
});

it("reads into the room that it is given where a package is consumed", async () => {
  await fetched(OLD);
  const manifestDigest = digestOfManifest(OLD);
  wants = [{ manifestDigest, isPinned: false }];
  const content = OLD.manifest.content!;
  const { store: sparing } = await keeperOf(SMALL).roomFor(content, manifestDigest, FINAL);
  const ownRoom = Buffer.allocUnsafeSlow(FRAGMENT_WIRE_MAX_BYTES);
  const [digest] = OLD.fragments.keys();

  const bytes = await sparing.read(digest!, ownRoom);

  expect(bytes?.buffer === ownRoom.buffer).toBe(true);
  expect(bytes).toEqual(OLD.fragments.get(digest!));
});

it("never consumes what is pinned by another instruction for the same package", async () => {
  await fetched(OLD);
  const manifestDigest = digestOfManifest(OLD);
  wants = [
    { manifestDigest, isPinned: false },
    { manifestDigest, isPinned: true },
  ];

  const room = await keeperOf(SMALL).roomFor(OLD.manifest.content!, manifestDigest, FINAL);

  expect(room.isConsuming).toBe(false);
});

it("removes half-made files of what no instruction wants any more, and no others", async () => {
  const incoming = (name: string): string => join(folder, `.${name}.incoming`);
  for (const [name, pack] of Object.entries({ old: OLD, new: NEW })) {
    await mkdir(incoming(name));
    const place = { manifest: digestOfManifest(pack), folder: incoming(name) };
    const looks = createHash("sha256");
    await halfMade.marks(place).mark({ place: 0, bytes: 0, prefix: NO_BYTES_DIGEST, looks });
  }
  wants = [{ manifestDigest: digestOfManifest(NEW), isPinned: false }];

  await keeperOf({ minFreeBytes: 0 }).review(0);

  expect((await readdir(folder)).filter((name) => name.endsWith(".incoming"))).toEqual([
    ".new.incoming",
  ]);
  expect(await readdir(join(folder, "assemblies"))).toHaveLength(1);
});

it("removes old manifests that no instruction names", async () => {
  await fetched(OLD);
  await fetched(NEW);
  wants = [{ manifestDigest: digestOfManifest(NEW), isPinned: false }];
  for (const pack of [OLD, NEW]) {
    await utimes(join(folder, "manifests", digestOfManifest(pack)), 0, 0);
  }

  await keeperOf({ minFreeBytes: 0 }).review(0);

  expect(await readdir(join(folder, "manifests"))).toEqual([digestOfManifest(NEW)]);
});
