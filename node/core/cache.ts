/**
 * The cache of fragments on one node: what is held, when it last was good for something, and what goes
 * when space is short. Decisions only; the fragment store owns the files. The state belongs to one store
 * and is changed in place: 80,000 fragments cost no copies.
 */
import type { Digest } from "../../protocol/ids.ts";

export interface CacheLimits {
  /** Bound of all fragments together, except for what is needed now. */
  readonly quotaBytes: number;
  /** The disk is left so much for everything else. */
  readonly minFreeBytes: number;
  /** What was used within this time goes only for the quota, or when half of `minFreeBytes` is gone too. */
  readonly keepMs: number;
}

/** As an operator sets it. */
export type CacheQuota =
  | { readonly kind: "bytes"; readonly sizeBytes: number }
  /** Of the whole disk, from 0 to 1. */
  | { readonly kind: "share"; readonly share: number };

export interface CacheSettings {
  /** Default: a fifth of the disk, and not more than 10 GB. */
  readonly quota?: CacheQuota | undefined;
  /** Default: a twentieth of the disk, and not more than 5 GB. */
  readonly minFreeBytes?: number | undefined;
  /** Default: three days. */
  readonly keepMs?: number | undefined;
}

const QUOTA_SHARE = 0.2;
const QUOTA_MAX_BYTES = 10_000_000_000;
const MIN_FREE_SHARE = 0.05;
const MIN_FREE_MAX_BYTES = 5_000_000_000;
/** A rollout reaches the last endpoint of an office within days; until then its neighbours are of use. */
const KEEP_MS = 3 * 86_400_000;

export function cacheLimits(settings: CacheSettings, diskBytes: number): CacheLimits {
  const { quota } = settings;
  const defaultQuotaBytes = Math.min(diskBytes * QUOTA_SHARE, QUOTA_MAX_BYTES);
  const shareBytes = quota?.kind === "share" ? quota.share * diskBytes : defaultQuotaBytes;
  return {
    quotaBytes: Math.floor(quota?.kind === "bytes" ? quota.sizeBytes : shareBytes),
    minFreeBytes: Math.floor(
      settings.minFreeBytes ?? Math.min(diskBytes * MIN_FREE_SHARE, MIN_FREE_MAX_BYTES),
    ),
    keepMs: settings.keepMs ?? KEEP_MS,
  };
}

export interface CacheEntry {
  readonly sizeBytes: number;
  /** Written, served or assembled last. */
  readonly usedMs: number;
  /** The use that a restart will know of. */
  readonly rememberedMs: number;
}

export interface CacheState {
  /** Least recently used first. */
  readonly entries: Map<Digest, CacheEntry>;
  usedBytes: number;
  /** As of the last review. */
  pinnedBytes: number;
}

export type CacheEvent =
  | { readonly type: "stored"; readonly digest: Digest; readonly sizeBytes: number }
  /** Read from disk, to be served or assembled. */
  | { readonly type: "used"; readonly digest: Digest }
  /** Evicted, consumed or rotten. */
  | { readonly type: "gone"; readonly digest: Digest }
  | {
      readonly type: "reviewed";
      /** Of instructions that are not done, pins included: none of these ever goes. */
      readonly needed: ReadonlySet<Digest>;
      /** Of content that is to stay: replicated for the site, or cached on request. */
      readonly pinned: ReadonlySet<Digest>;
      /** Of the disk, right now. */
      readonly freeBytes: number;
      readonly limits: CacheLimits;
    };

export type CacheEffect =
  | { readonly type: "evict"; readonly digests: readonly Digest[] }
  /** Its last use is worth remembering over a restart. */
  | { readonly type: "remember"; readonly digest: Digest };

/** Uses are remembered this coarsely: the order of a cache is a matter of days. */
const REMEMBER_EVERY_MS = 86_400_000;
const NOTHING: readonly CacheEffect[] = [];

/** What an earlier process held, in any order. */
export function restoredCache(held: Iterable<readonly [Digest, CacheEntry]>): CacheState {
  const ordered = [...held].sort(([, one], [, other]) => one.usedMs - other.usedMs);
  let usedBytes = 0;
  for (const [, { sizeBytes }] of ordered) usedBytes += sizeBytes;
  return { entries: new Map(ordered), usedBytes, pinnedBytes: 0 };
}

export function step(cache: CacheState, event: CacheEvent, nowMs: number): readonly CacheEffect[] {
  switch (event.type) {
    case "stored": {
      const { digest, sizeBytes } = event;
      remove(cache, digest);
      cache.entries.set(digest, { sizeBytes, usedMs: nowMs, rememberedMs: nowMs });
      cache.usedBytes += sizeBytes;
      return NOTHING;
    }
    case "used":
      return used(cache, event.digest, nowMs);
    case "gone":
      remove(cache, event.digest);
      return NOTHING;
    case "reviewed": {
      cache.pinnedBytes = sizeOf(cache, event.pinned);
      const digests = evictable(cache, event, nowMs);
      return digests.length === 0 ? NOTHING : [{ type: "evict", digests }];
    }
    default:
      return event satisfies never;
  }
}

function remove(cache: CacheState, digest: Digest): void {
  const before = cache.entries.get(digest);
  if (before === undefined) return;
  cache.entries.delete(digest);
  cache.usedBytes -= before.sizeBytes;
}

function used(cache: CacheState, digest: Digest, nowMs: number): readonly CacheEffect[] {
  const before = cache.entries.get(digest);
  if (before === undefined) return NOTHING;
  const isDue = nowMs - before.rememberedMs >= REMEMBER_EVERY_MS;
  const rememberedMs = isDue ? nowMs : before.rememberedMs;
  // Set anew, so that the map stays in the order of use.
  cache.entries.delete(digest);
  cache.entries.set(digest, { ...before, usedMs: nowMs, rememberedMs });
  return isDue ? [{ type: "remember", digest }] : NOTHING;
}

function sizeOf({ entries }: CacheState, digests: ReadonlySet<Digest>): number {
  let sizeBytes = 0;
  for (const digest of digests) sizeBytes += entries.get(digest)?.sizeBytes ?? 0;
  return sizeBytes;
}

type Review = Extract<CacheEvent, { type: "reviewed" }>;

/** Least recently used first, until quota and free space are kept. */
function evictable(cache: CacheState, review: Review, nowMs: number): readonly Digest[] {
  const { needed, pinned, freeBytes, limits } = review;
  const overQuotaBytes = cache.usedBytes - limits.quotaBytes;
  const shortBytes = Math.max(overQuotaBytes, limits.minFreeBytes - freeBytes);
  const pressingBytes = Math.max(overQuotaBytes, limits.minFreeBytes / 2 - freeBytes);
  if (shortBytes <= 0) return [];
  const digests: Digest[] = [];
  let goneBytes = 0;
  for (const [digest, { sizeBytes, usedMs }] of cache.entries) {
    if (goneBytes >= shortBytes) break;
    const isYoung = nowMs - usedMs < limits.keepMs;
    const isKept = needed.has(digest) || pinned.has(digest);
    if (isKept || (isYoung && goneBytes >= pressingBytes)) continue;
    digests.push(digest);
    goneBytes += sizeBytes;
  }
  return digests;
}

export interface AssemblyNeed {
  /** Content that stays here after its files were made. */
  readonly isPinned: boolean;
  /** The files themselves are the end: nothing runs that could fail and want them again. */
  readonly isFinal: boolean;
  readonly wireBytes: number;
  /** What the files take beside the fragments. */
  readonly fileBytes: number;
}

/** Of the free space that files may take beside their fragments. A full disk alone makes nothing large. */
const ROOMY_SHARE = 0.5;

/**
 * Whether fragments are given up while files are made of them: where both hardly fit, or where the
 * content would be evicted right behind. Never for what is to stay.
 */
export function isConsumed(need: AssemblyNeed, freeBytes: number, limits: CacheLimits): boolean {
  if (need.isPinned) return false;
  const isTight = need.fileBytes > freeBytes * ROOMY_SHARE;
  return isTight || (need.isFinal && need.wireBytes > limits.quotaBytes);
}
