import { describe, expect, it } from "vitest";
import {
  cacheLimits,
  isConsumed,
  restoredCache,
  step,
  type CacheLimits,
  type CacheState,
} from "../../../node/core/cache.ts";
import { cacheWants, type Instructed } from "../../../node/core/cache-wants.ts";
import { NO_ATTEMPTS } from "../../../node/core/attempts.ts";
import { EMPTY_JOURNAL } from "../../../node/core/journal-state.ts";
import type { Digest } from "../../../protocol/ids.ts";
import { digestOf } from "../../support/memory-content.ts";

const DAY_MS = 86_400_000;
const LIMITS: CacheLimits = { quotaBytes: 300, minFreeBytes: 100, keepMs: 3 * DAY_MS };
const [A, B, C, D] = ["a", "b", "c", "d"].map((text) => digestOf(Buffer.from(text))) as [
  Digest,
  Digest,
  Digest,
  Digest,
];

/** Each of 100 bytes, stored one day after the other. */
function cacheOf(...digests: readonly Digest[]): CacheState {
  const cache = restoredCache([]);
  digests.forEach((digest, day) => {
    step(cache, { type: "stored", digest, sizeBytes: 100 }, day * DAY_MS);
  });
  return cache;
}

interface Look {
  readonly needed?: readonly Digest[];
  readonly pinned?: readonly Digest[];
  readonly freeBytes?: number;
  readonly limits?: Partial<CacheLimits>;
}

function reviewed(cache: CacheState, look: Look, nowMs: number): readonly Digest[] {
  const effects = step(
    cache,
    {
      type: "reviewed",
      needed: new Set(look.needed),
      pinned: new Set(look.pinned),
      freeBytes: look.freeBytes ?? 1000,
      limits: { ...LIMITS, ...look.limits },
    },
    nowMs,
  );
  return effects.flatMap((effect) => (effect.type === "evict" ? effect.digests : []));
}

describe("eviction", () => {
  it("lets nothing go while quota and free space are kept, however old it is", () => {
    expect(reviewed(cacheOf(A, B, C), {}, 1000 * DAY_MS)).toEqual([]);
  });

  it("takes what was used least recently, and no more than it must", () => {
    const cache = cacheOf(A, B, C, D);
    step(cache, { type: "used", digest: A }, 4 * DAY_MS);

    expect(reviewed(cache, {}, 5 * DAY_MS)).toEqual([B]);
  });

  it("keeps what an instruction needs and what is pinned, also far beyond the quota", () => {
    const cache = cacheOf(A, B, C, D);

    expect(reviewed(cache, { needed: [A], pinned: [C], limits: { quotaBytes: 0 } }, 0)).toEqual([
      B,
      D,
    ]);
    expect(cache.pinnedBytes).toBe(100);
  });

  it("gives young content up for the quota", () => {
    expect(reviewed(cacheOf(A, B, C, D), {}, 3 * DAY_MS)).toEqual([A]);
  });

  it("gives only old content up for a disk that fills", () => {
    const cache = cacheOf(A, B, C);

    expect(reviewed(cache, { freeBytes: 60 }, 2 * DAY_MS)).toEqual([]);
    expect(reviewed(cache, { freeBytes: 60 }, 4 * DAY_MS)).toEqual([A]);
  });

  it("gives young content up too where half of the reserve is gone", () => {
    expect(reviewed(cacheOf(A, B, C), { freeBytes: 40 }, 2 * DAY_MS)).toEqual([A]);
  });

  it("makes up for what went and came again", () => {
    const cache = cacheOf(A, B);
    step(cache, { type: "gone", digest: A }, 0);
    step(cache, { type: "gone", digest: A }, 0);
    step(cache, { type: "stored", digest: B, sizeBytes: 70 }, 0);

    expect(cache.usedBytes).toBe(70);
  });

  it("asks to remember a use once a day", () => {
    const cache = cacheOf(A);
    const effects = [0.5, 1, 1.5, 2].map((day) =>
      step(cache, { type: "used", digest: A }, day * DAY_MS).map(({ type }) => type),
    );

    expect(effects).toEqual([[], ["remember"], [], ["remember"]]);
  });
});

describe("limits", () => {
  it.each([
    ["a large disk", 1e12, 10e9, 5e9],
    ["a small disk", 20e9, 4e9, 1e9],
  ])("are a share of %s within bounds", (_what, diskBytes, quotaBytes, minFreeBytes) => {
    expect(cacheLimits({}, diskBytes)).toEqual({ quotaBytes, minFreeBytes, keepMs: 3 * DAY_MS });
  });

  it("follow what the operator sets", () => {
    const quota = { kind: "share", share: 0.5 } as const;
    const settings = { quota, minFreeBytes: 7, keepMs: 1 };

    expect(cacheLimits(settings, 1e12)).toEqual({ quotaBytes: 5e11, minFreeBytes: 7, keepMs: 1 });
    expect(cacheLimits({ quota: { kind: "bytes", sizeBytes: 9 } }, 1e12).quotaBytes).toBe(9);
  });
});

describe("consuming", () => {
  const need = { isPinned: false, isFinal: true, wireBytes: 200, fileBytes: 250 };

  it.each([
    ["what fits beside its files stays", need, 500, false],
    ["files that hardly fit take the place of their fragments", need, 499, true],
    [
      "content beyond the quota goes with the files that it became",
      { ...need, wireBytes: 301 },
      1000,
      true,
    ],
    [
      "a command may fail and want its files again",
      { ...need, wireBytes: 301, isFinal: false },
      1000,
      false,
    ],
    ["what is to stay is never consumed", { ...need, wireBytes: 301, isPinned: true }, 0, false],
  ])("%s", (_what, one, freeBytes, expected) => {
    expect(isConsumed(one, freeBytes, LIMITS)).toBe(expected);
  });
});

describe("what is needed", () => {
  const wish = { job: "j", revision: "0123456789abcdef" };
  const one = (purpose: Instructed["instruction"]["purpose"]): Instructed => ({
    manifestDigest: A,
    instruction: { ...wish, purpose, attemptLimit: 2 },
  });
  const state = (record: Partial<typeof NO_ATTEMPTS>) => ({
    ...EMPTY_JOURNAL,
    records: new Map([[`${wish.job}/${wish.revision}`, { ...NO_ATTEMPTS, ...record }]]),
  });

  it.each([
    ["perform", {}, [{ manifestDigest: A, isPinned: false }]],
    ["perform", { attempts: 1 }, [{ manifestDigest: A, isPinned: false }]],
    ["perform", { attempts: 1, isDone: true }, []],
    ["perform", { attempts: 2 }, []],
    ["replicate", { isDone: true }, [{ manifestDigest: A, isPinned: true }]],
    ["cache", { isDone: true }, [{ manifestDigest: A, isPinned: true }]],
  ] as const)("ZEN-17 follows from a %s instruction with %o", (purpose, record, wants) => {
    expect(cacheWants([one(purpose)], state(record))).toEqual(wants);
  });

  it("lasts as long as an attempt runs, also when its instruction is withdrawn", () => {
    const open = { manifestDigest: B } as (typeof EMPTY_JOURNAL)["open"];

    expect(cacheWants([], { records: new Map(), open })).toEqual([
      { manifestDigest: B, isPinned: false },
    ]);
  });
});
