import fc from "fast-check";
import { expect, it } from "vitest";
import { restoredCache, step, type CacheEvent, type CacheState } from "../../../node/core/cache.ts";
import type { Digest } from "../../../protocol/ids.ts";
import { digestOf } from "../../support/memory-content.ts";

const DIGESTS = Array.from({ length: 12 }, (_none, at) => digestOf(Buffer.from([at])));
const digest = fc.constantFrom(...DIGESTS);
const someDigests = fc.array(digest, { maxLength: 6 }).map((list) => new Set(list));
const event: fc.Arbitrary<CacheEvent> = fc.oneof(
  fc.record({
    type: fc.constant("stored" as const),
    digest,
    sizeBytes: fc.integer({ min: 1, max: 100 }),
  }),
  fc.record({ type: fc.constant("used" as const), digest }),
  fc.record({ type: fc.constant("gone" as const), digest }),
  fc.record({
    type: fc.constant("reviewed" as const),
    needed: someDigests,
    pinned: someDigests,
    freeBytes: fc.integer({ min: 0, max: 500 }),
    limits: fc.record({
      quotaBytes: fc.integer({ min: 0, max: 600 }),
      minFreeBytes: fc.integer({ min: 0, max: 300 }),
      keepMs: fc.integer({ min: 0, max: 20 }),
    }),
  }),
);

/** Carries out what the step decides, as the store does. */
function applied(cache: CacheState, one: CacheEvent, nowMs: number): readonly Digest[] {
  const evicted = step(cache, one, nowMs).flatMap((effect) =>
    effect.type === "evict" ? effect.digests : [],
  );
  for (const gone of evicted) step(cache, { type: "gone", digest: gone }, nowMs);
  return evicted;
}

function sizeOf(cache: CacheState): number {
  return [...cache.entries.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

it("never evicts what is needed or pinned, and counts what it holds", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const cache = restoredCache([]);
      events.forEach((one, at) => {
        const evicted = applied(cache, one, at * 3);
        if (one.type === "reviewed") {
          expect(evicted.filter((gone) => one.needed.has(gone) || one.pinned.has(gone))).toEqual(
            [],
          );
        } else expect(evicted).toEqual([]);
        expect(cache.usedBytes).toBe(sizeOf(cache));
      });
    }),
  );
});

it("keeps the quota with one review, but for what is needed or pinned", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const cache = restoredCache([]);
      events.forEach((one, at) => {
        applied(cache, one, at * 3);
        if (one.type !== "reviewed") return;
        const isOver = cache.usedBytes > one.limits.quotaBytes;
        const isFree = (held: Digest): boolean => !one.needed.has(held) && !one.pinned.has(held);
        if (isOver) expect([...cache.entries.keys()].filter(isFree)).toEqual([]);
      });
    }),
  );
});

it("evicts in the order of use: nothing that went was used after something evictable that stayed and was as old", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const cache = restoredCache([]);
      events.forEach((one, at) => {
        const before = new Map(cache.entries);
        const evicted = applied(cache, one, at * 3);
        if (one.type !== "reviewed") return;
        const order = [...before.keys()].filter(
          (held) => !one.needed.has(held) && !one.pinned.has(held),
        );
        expect(evicted).toEqual(order.slice(0, evicted.length));
      });
    }),
  );
});

it("restores the order of use from any order of lines", () => {
  fc.assert(
    fc.property(fc.uniqueArray(digest), fc.nat(), (held, seed) => {
      const entries = held.map(
        (one, at) =>
          [one, { sizeBytes: 1, usedMs: (at * 7919 + seed) % 101, rememberedMs: 0 }] as const,
      );
      const times = [...restoredCache(entries).entries.values()].map(({ usedMs }) => usedMs);

      expect(times).toEqual(times.toSorted((one, other) => one - other));
    }),
  );
});
