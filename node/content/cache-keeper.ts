/**
 * Keeps the node's cache within its limits: looks from time to time at what is held, what is needed and
 * what the disk has left, and carries out what the pure core decides. Nothing that is needed ever goes.
 */
import { statfs } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "pino";
import type { CacheUse } from "../../protocol/check-in.ts";
import { decodeFragmentPage } from "../../protocol/fragment-index.ts";
import type { Digest } from "../../protocol/ids.ts";
import { readJson } from "../../protocol/json.ts";
import { MANIFEST_MAX_BYTES } from "../../protocol/limits.ts";
import { parseManifest, type Content } from "../../protocol/manifest.ts";
import { swarmSections } from "../../protocol/swarm-order.ts";
import { cacheLimits, isConsumed, type CacheLimits, type CacheSettings } from "../core/cache.ts";
import type { CacheWant } from "../core/cache-wants.ts";
import type { FolderFragmentStore } from "./fragment-store.ts";
import type { ManifestSource } from "./manifest-source.ts";
import type { HalfMade } from "./half-made.ts";
import type { Assembly, AssemblyRoom, ContentCache, FragmentStore } from "./ports.ts";

/** A cache over its quota is no emergency; a full disk is seen by whoever writes. */
const REVIEW_EVERY_MS = 15_000;
/** trust 4.1 rule 4. */
const FREE_SPACE_FACTOR = 1.2;

export interface CacheKeeperParts {
  readonly store: FolderFragmentStore;
  readonly manifests: Pick<ManifestSource, "held" | "keepOnly">;
  readonly halfMade: Pick<HalfMade, "keepOnly">;
  readonly folder: string;
  readonly settings: CacheSettings;
  /** Of instructions that are not done, and of pins. */
  readonly wants: () => readonly CacheWant[];
  /** Every instruction in force, done or not: these manifests are read again at the next start. */
  readonly instructed: () => readonly Digest[];
  readonly log: Logger;
}

interface Disk {
  readonly freeBytes: number;
  readonly limits: CacheLimits;
}

export class CacheKeeper implements ContentCache {
  readonly #parts: CacheKeeperParts;
  /** Complete lists alone; an index that is not here yet is read again at the next review. */
  readonly #lists = new Map<Digest, readonly Digest[]>();
  #last: Promise<unknown> = Promise.resolve();
  #reviewed = "";
  #quotaBytes = 0;

  constructor(parts: CacheKeeperParts) {
    this.#parts = parts;
  }

  get use(): CacheUse {
    const { usedBytes, pinnedBytes } = this.#parts.store.cache;
    return { usedBytes, pinnedBytes, quotaBytes: this.#quotaBytes };
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.review(0);
      await pause(REVIEW_EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Evicts what has to go, with `moreBytes` wanted on the disk; returns the bytes that went. */
  async review(moreBytes: number): Promise<number> {
    // One after the other: two at a time would each evict what the other has counted on.
    const review = this.#last.then(async () => this.#review(moreBytes));
    this.#last = review.catch(() => undefined);
    return review;
  }

  async roomFor(
    content: Content,
    manifestDigest: Digest,
    { isFinal, leftBytes }: AssemblyRoom,
  ): Promise<Assembly> {
    const { store } = this.#parts;
    const fileBytes = Math.ceil(leftBytes * FREE_SPACE_FACTOR);
    await this.review(fileBytes);
    const { freeBytes, limits } = await this.#disk();
    const wanted = this.#parts.wants();
    const own = wanted.filter((want) => want.manifestDigest === manifestDigest);
    const others = wanted.filter((want) => want.manifestDigest !== manifestDigest);
    const isPinned = own.some((want) => want.isPinned);
    const need = { isPinned, isFinal, wireBytes: content.wireBytes, fileBytes };
    if (!isConsumed(need, freeBytes, limits)) return { isConsuming: false, store };
    this.#parts.log.info({ manifestDigest, fileBytes, freeBytes }, "cache.consumed");
    return { isConsuming: true, store: sparing(store, await this.#digestsOf(others)) };
  }

  async #review(moreBytes: number): Promise<number> {
    const { store, halfMade, wants, log } = this.#parts;
    const { freeBytes, limits } = await this.#disk();
    this.#quotaBytes = limits.quotaBytes;
    const wanted = wants();
    const isShort =
      store.cache.usedBytes > limits.quotaBytes || freeBytes < limits.minFreeBytes + moreBytes;
    // Most looks find nothing new; they cost one call of the system.
    const look = [store.cache.usedBytes, ...wanted.map((want) => want.manifestDigest)].join();
    if (!isShort && look === this.#reviewed) return 0;
    this.#reviewed = look;
    await this.#parts.manifests.keepOnly(this.#parts.instructed(), limits.keepMs);
    await halfMade.keepOnly((digest) => wants().some((want) => want.manifestDigest === digest));
    const evicted = store.step({
      type: "reviewed",
      needed: await this.#digestsOf(wanted),
      pinned: await this.#digestsOf(wanted.filter(({ isPinned }) => isPinned)),
      freeBytes: freeBytes - moreBytes,
      limits,
    });
    const before = store.cache.usedBytes;
    for (const digest of evicted) await store.delete(digest);
    const sizeBytes = before - store.cache.usedBytes;
    if (evicted.length > 0) log.info({ count: evicted.length, sizeBytes }, "cache.evicted");
    return sizeBytes;
  }

  async #disk(): Promise<Disk> {
    const { folder, settings } = this.#parts;
    const disk = await statfs(folder);
    const limits = cacheLimits(settings, disk.blocks * disk.bsize);
    return { freeBytes: disk.bavail * disk.bsize, limits };
  }

  async #digestsOf(wants: readonly CacheWant[]): Promise<ReadonlySet<Digest>> {
    const needed = new Set<Digest>();
    for (const { manifestDigest } of wants) {
      for (const digest of await this.#listOf(manifestDigest)) needed.add(digest);
    }
    const current = new Set(this.#parts.wants().map((want) => want.manifestDigest));
    for (const known of this.#lists.keys()) if (!current.has(known)) this.#lists.delete(known);
    return needed;
  }

  /** All fragments of a package whose pages are here; of another one, as many as can be known. */
  async #listOf(manifestDigest: Digest): Promise<readonly Digest[]> {
    const known = this.#lists.get(manifestDigest);
    if (known !== undefined) return known;
    const content = await this.#contentOf(manifestDigest);
    if (content === undefined) return [];
    const sections = swarmSections(content);
    const pages = sections.flatMap((section) => [...section.fragmentPages, ...section.listPages]);
    const behind = await Promise.all(
      sections.flatMap(({ fragmentPages }) =>
        fragmentPages.map(async ({ digest }) => this.#entriesOf(digest)),
      ),
    );
    const isComplete = behind.every((entries) => entries !== undefined);
    const list = [...pages.map(({ digest }) => digest), ...behind.flatMap((all) => all ?? [])];
    if (isComplete) this.#lists.set(manifestDigest, list);
    return list;
  }

  async #entriesOf(page: Digest): Promise<readonly Digest[] | undefined> {
    const bytes = await this.#parts.store.read(page);
    return bytes === undefined ? undefined : decodeFragmentPage(bytes).map(({ digest }) => digest);
  }

  async #contentOf(manifestDigest: Digest): Promise<Content | undefined> {
    const bytes = await this.#parts.manifests.held(manifestDigest);
    if (bytes === undefined) return undefined;
    return parseManifest(readJson("the manifest", bytes, MANIFEST_MAX_BYTES)).content;
  }
}

/** The store, as one package may consume it: what others need stays. */
function sparing(store: FragmentStore, needed: ReadonlySet<Digest>): FragmentStore {
  return {
    has: (digest) => store.has(digest),
    read: async (digest, room) => store.read(digest, room),
    write: async (digest, bytes) => store.write(digest, bytes),
    delete: async (digest) => {
      if (!needed.has(digest)) await store.delete(digest);
    },
  };
}
