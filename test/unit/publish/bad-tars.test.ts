import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SOURCE_LIMITS } from "../../../coordinator/publish/content-reader.ts";
import { paxRecord, tarOf, type TarEntrySpec } from "../../support/archives.ts";
import { refusalOf } from "../../support/build.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bad-source-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const goodTar: TarEntrySpec = { name: "good.txt", data: "good" };
const pax = (key: string, value: string, type = "x"): TarEntrySpec => ({
  name: "PaxHeader",
  type,
  data: paxRecord(key, value),
});
const negativeSize = Buffer.alloc(12, 0xff);
const badTars: { title: string; entry: string; reason: string; entries: TarEntrySpec[] }[] = [
  { title: "a parent path", entry: "../evil", reason: "..", entries: [{ name: "../evil" }] },
  { title: "an absolute path", entry: "/etc/x", reason: "absolute", entries: [{ name: "/etc/x" }] },
  {
    title: "a doubled dot start",
    entry: "././a",
    reason: "segment .",
    entries: [{ name: "././a" }],
  },
  { title: "a backslash", entry: "a\\b", reason: "character \\", entries: [{ name: "a\\b" }] },
  { title: "a drive", entry: "C:\\x", reason: "character", entries: [{ name: "C:\\x" }] },
  {
    title: "a symbolic link",
    entry: "l",
    reason: "symbolic",
    entries: [{ name: "l", type: "2", link: "/" }],
  },
  {
    title: "a hard link",
    entry: "l",
    reason: "hard link",
    entries: [{ name: "l", type: "1", link: "good.txt" }],
  },
  {
    title: "a character device",
    entry: "d",
    reason: "neither",
    entries: [{ name: "d", type: "3" }],
  },
  { title: "a block device", entry: "d", reason: "neither", entries: [{ name: "d", type: "4" }] },
  { title: "a pipe", entry: "p", reason: "FIFO", entries: [{ name: "p", type: "6" }] },
  {
    title: "a GNU sparse file",
    entry: "s",
    reason: "SparseFile",
    entries: [{ name: "s", type: "S" }],
  },
  {
    title: "an unknown kind",
    entry: "u",
    reason: "Unsupported",
    entries: [{ name: "u", type: "Z" }],
  },
  {
    title: "a set-group-id file",
    entry: "su",
    reason: "set-user-id",
    entries: [{ name: "su", mode: 0o2755 }],
  },
  {
    title: "a PAX path upwards",
    entry: "../x",
    reason: "..",
    entries: [pax("path", "../x"), { name: "x" }],
  },
  {
    title: "a PAX path with NUL",
    entry: "a\\u0000b",
    reason: "control",
    entries: [pax("path", "a\0b"), { name: "x" }],
  },
  {
    title: "a long link name before a link",
    entry: "l",
    reason: "symbolic",
    entries: [
      { name: "././@LongLink", type: "K", data: "x".repeat(200) },
      { name: "l", type: "2", link: "x" },
    ],
  },
  {
    title: "a GNU long name upwards",
    entry: "../../y",
    reason: "..",
    entries: [{ name: "././@LongLink", type: "L", data: "../../y\0" }, { name: "x" }],
  },
  {
    title: "a PAX sparse file",
    entry: "x",
    reason: "sparse",
    entries: [pax("GNU.sparse.major", "1"), { name: "x" }],
  },
  {
    title: "a global PAX path",
    entry: "evil",
    reason: "global",
    entries: [pax("path", "evil", "g"), { name: "x" }],
  },
  { title: "a duplicate", entry: "a", reason: "twice", entries: [{ name: "a" }, { name: "./a" }] },
  {
    title: "names that differ in case",
    entry: "A",
    reason: "case only",
    entries: [{ name: "a" }, { name: "A" }],
  },
];

describe("bad tars (trust 4.3)", () => {
  it.each(badTars)("refuses $title and names the entry", async ({ entries, entry, reason }) => {
    const tar = tarOf([goodTar, ...entries]);

    for (const [name, bytes] of [
      ["bad.tar", tar],
      ["bad.tar.gz", gzipSync(tar)],
    ] as const) {
      const error = await refusalOf(folder, name, bytes);
      expect(error.code).toBe("PUBLISH_ENTRY_REFUSED");
      expect(error.details["entry"]).toContain(entry);
      expect(error.message).toContain(reason);
    }
  });

  it.each([
    { title: "a wrong header checksum", entry: { name: "x", badChecksum: true } },
    { title: "a negative size", entry: { name: "x", sizeField: negativeSize } },
    {
      title: "a size that is no number",
      entry: { name: "x", sizeField: Buffer.from("zzzzzzzzzzzz") },
    },
    { title: "a PAX size that is no number", entry: pax("size", "-5") },
    { title: "a malformed PAX header", entry: { name: "p", type: "x", data: "99 path=x\n" } },
  ])("refuses $title", async ({ entry }) => {
    const error = await refusalOf(
      folder,
      "bad.tar",
      tarOf([goodTar, entry, { name: "y", data: "y" }]),
    );

    expect(error.code).toBe("PUBLISH_ARCHIVE_DAMAGED");
  });

  it("refuses a tar that is cut anywhere, also between two entries", async () => {
    const tar = tarOf([goodTar, { name: "second", data: "x".repeat(3000) }], Buffer.alloc(0));

    for (const length of [1024, 1030, 2000, 1536 + 2999, tar.length]) {
      const error = await refusalOf(folder, "cut.tar", tar.subarray(0, length));
      expect(error.code).toBe("PUBLISH_ARCHIVE_DAMAGED");
    }
  });

  it("refuses a tar.gz that is cut anywhere or altered", async () => {
    const gzip = gzipSync(tarOf([goodTar, { name: "second", data: Buffer.alloc(5000, "abc") }]));
    const altered = Buffer.from(gzip);
    altered[altered.length - 6]! ^= 0xff;

    for (const length of [12, 60, gzip.length - 9, gzip.length - 1]) {
      const error = await refusalOf(folder, "cut.tar.gz", gzip.subarray(0, length));
      expect(error.code).toBe("PUBLISH_ARCHIVE_DAMAGED");
    }
    expect((await refusalOf(folder, "cut.tar.gz", altered)).code).toBe("PUBLISH_ARCHIVE_DAMAGED");
  });

  it("refuses data behind the end", async () => {
    const tar = Buffer.concat([tarOf([goodTar]), tarOf([{ name: "hidden", data: "x" }])]);

    expect((await refusalOf(folder, "two.tar", tar)).message).toContain("behind the end");
  });

  it("refuses a bomb by ratio while it unpacks", async () => {
    const tar = tarOf([goodTar, { name: "zeros", data: Buffer.alloc(600_000) }]);
    const limits = { ...SOURCE_LIMITS, ratioMax: 50, ratioFreeBytes: 100_000 };

    const error = await refusalOf(folder, "bomb.tar.gz", gzipSync(tar), limits);

    expect(error.code).toBe("PUBLISH_TOO_LARGE");
    expect(error.details["entry"]).toBe("zeros");
  });

  it("refuses a claimed size beyond the limit before it reads any of it", async () => {
    const huge = Buffer.from("777777777777");

    const error = await refusalOf(
      folder,
      "huge.tar",
      tarOf([goodTar, { name: "huge", sizeField: huge }]),
    );

    expect(error.code).toBe("PUBLISH_TOO_LARGE");
    expect(error.details["entry"]).toBe("huge");
  });

  it("refuses an extension header that is larger than any name", async () => {
    const entry = { name: "p", type: "x", data: Buffer.alloc(70_000) };

    expect((await refusalOf(folder, "ext.tar", tarOf([goodTar, entry]))).code).toBe(
      "PUBLISH_TOO_LARGE",
    );
  });
});
