import { describe, expect, it } from "vitest";
import { inParallel } from "../../../node/content/in-parallel.ts";

describe("work in parallel", () => {
  it("has so many items under way, in their order, and gives results in that order", async () => {
    const begun: number[] = [];
    const ends = new Map<number, () => void>();
    const work = async (item: number): Promise<string> => {
      begun.push(item);
      await new Promise<void>((resolve) => ends.set(item, resolve));
      return `done ${item}`;
    };
    const all = inParallel([1, 2, 3], 2, work);
    expect(begun).toEqual([1, 2]);

    ends.get(2)!();
    await new Promise((resolve) => setImmediate(resolve));
    ends.get(3)!();
    ends.get(1)!();

    expect(await all).toEqual(["done 1", "done 2", "done 3"]);
  });

  it("rejects with the first failure, and begins the others all the same", async () => {
    const begun: number[] = [];
    const work = async (item: number): Promise<void> => {
      begun.push(item);
      if (item === 1) throw new Error("one");
    };

    await expect(inParallel([1, 2, 3], 2, work)).rejects.toThrow("one");

    expect(begun).toEqual([1, 2, 3]);
  });

  it("does nothing where nothing is asked for", async () => {
    expect(await inParallel([], 4, async () => 1)).toEqual([]);
  });
});
