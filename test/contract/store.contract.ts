/**
 * What every store must keep. Each implementation's test calls `describeStore`.
 */
import { describe, expect, it } from "vitest";
import type { Store } from "../../coordinator/store/store.ts";

export interface StoreFixture {
  open(): Promise<Store>;
  /** Closes and opens again on the same data; undefined where nothing outlives the process. */
  reopen?(store: Store): Promise<Store>;
}

export function describeStore(name: string, makeFixture: () => Promise<StoreFixture>): void {
  describe(`store contract: ${name}`, () => {
    it("reads back what was committed, in the order of the keys asked", async () => {
      const store = await (await makeFixture()).open();

      await store.commit({
        set: [
          { key: "a/1", value: { x: 1 } },
          { key: "a/2", value: "two" },
        ],
      });
      const found = await store.get(["a/2", "none", "a/1"]);

      expect(found.map((row) => row?.value)).toEqual(["two", undefined, { x: 1 }]);
      await store.close();
    });

    it("gives every change a larger rev and refuses a commit whose check is old", async () => {
      const store = await (await makeFixture()).open();
      const first = await store.commit({ set: [{ key: "k", value: 1 }] });
      const second = await store.commit({ set: [{ key: "k", value: 2 }] });
      if (first.kind !== "committed" || second.kind !== "committed") throw new Error("refused");

      const late = await store.commit({
        check: [{ key: "k", rev: first.rev }],
        set: [
          { key: "k", value: 3 },
          { key: "other", value: 3 },
        ],
      });

      expect(second.rev).toBeGreaterThan(first.rev);
      expect(late).toEqual({ kind: "conflict" });
      expect((await store.get(["k", "other"])).map((row) => row?.value)).toEqual([2, undefined]);
      await store.close();
    });

    it("lets exactly one of many racers take an absent key", async () => {
      const store = await (await makeFixture()).open();

      const outcomes = await Promise.all(
        Array.from({ length: 200 }, async (_none, racer) => {
          const key = `seat/${racer % 20}`;
          return store.commit({ check: [{ key, rev: 0 }], set: [{ key, value: racer }] });
        }),
      );

      expect(outcomes.filter(({ kind }) => kind === "committed")).toHaveLength(20);
      await store.close();
    });

    it("loses no increment of 32 writers that compare and set", async () => {
      const store = await (await makeFixture()).open();
      const increment = async (): Promise<void> => {
        for (;;) {
          const [row] = await store.get(["count"]);
          const outcome = await store.commit({
            check: [{ key: "count", rev: row?.rev ?? 0 }],
            set: [{ key: "count", value: Number(row?.value ?? 0) + 1 }],
          });
          if (outcome.kind === "committed") return;
        }
      };

      await Promise.all(
        Array.from({ length: 32 }, async () => {
          for (let round = 0; round < 50; round++) await increment();
        }),
      );

      expect((await store.get(["count"]))[0]?.value).toBe(1600);
      await store.close();
    });

    it("ranges by byte order with limit, direction and a place to go on from", async () => {
      const store = await (await makeFixture()).open();
      const keys = ["s/a", "s/b", "s/c", "s/ä", "t/a"];
      await store.commit({ set: keys.map((key) => ({ key, value: key })) });
      await store.commit({ del: ["s/b"] });
      const query = { gte: "s/", lt: "s0" };
      const keysOf = async (more: object) =>
        (await store.range({ ...query, ...more })).map(({ key }) => key);

      expect(await keysOf({})).toEqual(["s/a", "s/c", "s/ä"]);
      expect(await keysOf({ limit: 1, after: "s/a" })).toEqual(["s/c"]);
      expect(await keysOf({ reverse: true, limit: 2 })).toEqual(["s/ä", "s/c"]);
      expect(await keysOf({ reverse: true, after: "s/c" })).toEqual(["s/a"]);
      await store.close();
    });

    it("feeds every committed key once, in the order of the commits", async () => {
      const store = await (await makeFixture()).open();
      await store.commit({ set: [{ key: "a", value: 1 }] });
      await store.commit({ set: [{ key: "b", value: 1 }] });
      await store.commit({ set: [{ key: "a", value: 2 }] });

      const page = await store.feed(0);
      await store.commit({ del: ["b"] });
      const next = await store.feed(page.cursor);

      expect(page.keys).toEqual(["b", "a"]);
      expect(next.keys).toEqual(["b"]);
      expect((await store.feed(next.cursor)).keys).toEqual([]);
      await store.close();
    });

    it("refuses a value or a key above its limit and keeps what was there", async () => {
      const store = await (await makeFixture()).open();
      await store.commit({ set: [{ key: "k", value: 1 }] });

      const tooLarge = store.commit({ set: [{ key: "k", value: "x".repeat(2 ** 21) }] });
      await expect(tooLarge).rejects.toMatchObject({ code: "DOCUMENT_TOO_LARGE" });
      const tooLong = store.commit({ set: [{ key: "k".repeat(2000), value: 1 }] });
      await expect(tooLong).rejects.toMatchObject({ code: "INPUT_INVALID" });

      expect((await store.get(["k"]))[0]?.value).toBe(1);
      await store.close();
    });

    it("keeps everything that was acknowledged over a reopen, and goes on counting", async ({
      skip,
    }) => {
      const fixture = await makeFixture();
      if (fixture.reopen === undefined) return skip("nothing outlives this store");
      const store = await fixture.open();
      const last = await store.commit({ set: [{ key: "b", value: 1 }] });
      await Promise.all(
        Array.from({ length: 300 }, async (_none, at) =>
          store.commit({ set: [{ key: `row/${at}`, value: at }] }),
        ),
      );

      const again = await fixture.reopen(store);
      const rows = await again.range({ gte: "row/", lt: "row0" });
      const next = await again.commit({ set: [{ key: "c", value: 1 }] });

      expect(rows).toHaveLength(300);
      if (last.kind !== "committed" || next.kind !== "committed") throw new Error("refused");
      expect(next.rev).toBe(last.rev + 301);
      await again.close();
    });
  });
}
