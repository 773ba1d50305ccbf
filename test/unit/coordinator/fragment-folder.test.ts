import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openFragmentFolder } from "../../../coordinator/store/fragment-folder.ts";
import { parseDigest } from "../../../protocol/ids.ts";

let root = "";
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), "branchline-fragments-"));
});
afterEach(async () => rm(root, { recursive: true }));

const bytes = randomBytes(300_000);
const digest = parseDigest(createHash("sha256").update(bytes).digest("hex"));
const parts = (): Readable => Readable.from([bytes.subarray(0, 7), bytes.subarray(7)]);

describe("fragment folder", () => {
  it("stores under the digest and reads back from any byte", async () => {
    const folder = await openFragmentFolder(root);

    await folder.put(digest, parts(), bytes.length);
    await folder.put(digest, parts(), bytes.length);
    const blob = await folder.open(digest);
    const read: Buffer[] = [];
    for await (const part of blob!.read(1000)) read.push(part);

    expect(blob?.sizeBytes).toBe(bytes.length);
    expect(Buffer.concat(read).equals(bytes.subarray(1000))).toBe(true);
    expect(await readdir(path.join(root, digest.slice(0, 2)))).toEqual([digest]);
  });

  it("refuses other bytes and leaves nothing behind", async () => {
    const folder = await openFragmentFolder(root);

    const put = folder.put(digest, Readable.from([bytes, Buffer.from("x")]), 1_000_000);
    await expect(put).rejects.toMatchObject({ code: "FRAGMENT_MISMATCH" });

    expect(await folder.size(digest)).toBeUndefined();
    expect(await readdir(path.join(root, "tmp"))).toEqual([]);
  });

  it("refuses more bytes than allowed before it has read them all", async () => {
    const folder = await openFragmentFolder(root);

    const put = folder.put(digest, parts(), 1000);
    await expect(put).rejects.toMatchObject({ code: "DOCUMENT_TOO_LARGE" });

    expect(await folder.size(digest)).toBeUndefined();
  });

  it("forgets half-written blobs of a killed process", async () => {
    await openFragmentFolder(root);
    const { writeFile } = await import("node:fs/promises");
    await writeFile(path.join(root, "tmp", "half"), "x");

    await openFragmentFolder(root);

    expect(await readdir(path.join(root, "tmp"))).toEqual([]);
  });
});
