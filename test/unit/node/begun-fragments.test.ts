import { hash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BegunFragments } from "../../../node/content/begun-fragments.ts";
import { parseDigest, type Digest } from "../../../protocol/ids.ts";
import { FRAGMENT_WIRE_MAX_BYTES } from "../../../protocol/limits.ts";

const digests = Array.from({ length: 20 }, (_none, at) =>
  parseDigest(hash("sha256", `fragment ${at}`, "hex")),
);
const [one, two] = digests as [Digest, Digest];
let folder: string;
let nowMs: number;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "branchline-begun-"));
  nowMs = 0;
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function open(held: readonly Digest[] = []): Promise<BegunFragments> {
  return BegunFragments.open(
    folder,
    (digest) => held.includes(digest),
    () => nowMs,
  );
}

async function brokenAt(begun: BegunFragments, digest: Digest, text: string): Promise<void> {
  const transfer = await begun.transfer(digest);
  await transfer.came(Buffer.from(text), false);
  await transfer.broke();
}

describe("begun fragments", () => {
  it("go on where their transfers broke, as often as these do, and leave nothing when whole", async () => {
    const begun = await open();
    await brokenAt(begun, one, "abc");
    const second = await begun.transfer(one);
    expect(second.before.toString()).toBe("abc");
    await second.came(Buffer.from("d"), true);
    await second.came(Buffer.from("def"), true);
    await second.broke();

    const third = await begun.transfer(one);
    expect(third.before.toString()).toBe("abcdef");
    expect(begun.has(one)).toBe(true);
    await third.came(Buffer.from("gh"), true);
    await third.done();

    expect(begun.has(one)).toBe(false);
    expect(await readdir(folder)).toEqual([]);
    expect((await begun.transfer(one)).before).toHaveLength(0);
  });

  it("survive a kill with what came up to a tenth of a second before", async () => {
    const killed = await (await open()).transfer(one);
    await killed.came(Buffer.from("a"), false);
    nowMs += 100;
    await killed.came(Buffer.from("abc"), false);
    nowMs += 99;
    await killed.came(Buffer.from("abcdef"), false);

    const after = await open();

    expect(after.has(one)).toBe(true);
    expect((await after.transfer(one)).before.toString()).toBe("abc");
    await killed.done();
  });

  it("write nothing of a transfer that is whole before", async () => {
    const transfer = await (await open()).transfer(one);
    await transfer.came(Buffer.from("abc"), false);
    nowMs += 99;
    await transfer.came(Buffer.from("abcdef"), false);
    expect(await readdir(folder)).toEqual([]);
    await transfer.done();
  });

  it("begin anew where the whole fragment comes in spite of the range", async () => {
    const begun = await open();
    await brokenAt(begun, one, "abcdef");
    const whole = await begun.transfer(one);
    await whole.came(Buffer.from("xy"), false);
    await whole.broke();

    expect((await begun.transfer(one)).before.toString()).toBe("xy");
  });

  it("are kept once while two packages fetch the same fragment", async () => {
    const begun = await open();
    const [first, second] = [await begun.transfer(one), await begun.transfer(one)];
    await second.came(Buffer.from("zz"), false);
    await second.broke();
    await first.came(Buffer.from("ab"), false);
    await first.broke();

    expect(await readFile(join(folder, one), "utf8")).toBe("ab");
  });

  it("are sixteen at most: the oldest go, now and at the next start", async () => {
    const begun = await open();
    for (const digest of digests.slice(0, 16)) await brokenAt(begun, digest, "a");
    nowMs += 1000;
    const one17 = await begun.transfer(digests[16]!);
    nowMs += 100;
    await one17.came(Buffer.from("a"), false);
    expect(begun.has(one)).toBe(false);
    expect(await readdir(folder)).toHaveLength(16);
    await one17.broke();

    for (const digest of digests.slice(16)) await writeFile(join(folder, digest), "a");
    await utimes(join(folder, two), 1, 1);
    const after = await open();

    expect(after.has(two)).toBe(false);
    expect(await readdir(folder)).toHaveLength(16);
  });

  it("are removed at a start where they are here by now, too long, or no fragments", async () => {
    await writeFile(join(folder, one), "a");
    await writeFile(join(folder, two), Buffer.alloc(FRAGMENT_WIRE_MAX_BYTES));
    await writeFile(join(folder, "else"), "a");

    await open([one]);

    expect(await readdir(folder)).toEqual([]);
  });

  it("cost no transfer where the disk takes nothing", async () => {
    const begun = await open();
    await rm(folder, { recursive: true });

    await brokenAt(begun, one, "abc");

    expect(begun.has(one)).toBe(false);
    expect((await begun.transfer(one)).before).toHaveLength(0);
  });
});
