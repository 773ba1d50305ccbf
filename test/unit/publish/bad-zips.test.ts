import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SOURCE_LIMITS } from "../../../coordinator/publish/content-reader.ts";
import { zipOf, type ZipEntrySpec } from "../../support/archives.ts";
import { refusalOf } from "../../support/build.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bad-source-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const good: ZipEntrySpec = { name: "good.txt", data: "good" };
const badZips: { title: string; entry: string; reason: string; entries: ZipEntrySpec[] }[] = [
  {
    title: "a parent path",
    entry: "../evil",
    reason: "segment ..",
    entries: [{ name: "../evil" }],
  },
  { title: "an inner parent path", entry: "a/../b", reason: "..", entries: [{ name: "a/../b" }] },
  { title: "an absolute path", entry: "/etc/x", reason: "absolute", entries: [{ name: "/etc/x" }] },
  { title: "a drive", entry: "C:/x", reason: "character :", entries: [{ name: "C:/x" }] },
  { title: "a backslash", entry: "a\\b", reason: "character \\", entries: [{ name: "a\\b" }] },
  { title: "a device name", entry: "NUL.txt", reason: "device", entries: [{ name: "NUL.txt" }] },
  { title: "an alternate stream", entry: "a:b", reason: "character :", entries: [{ name: "a:b" }] },
  {
    title: "a symbolic link",
    entry: "link",
    reason: "symbolic link",
    entries: [{ name: "link", data: "/etc/passwd", mode: 0o120777 }],
  },
  {
    title: "a device",
    entry: "dev",
    reason: "neither a file nor a folder",
    entries: [{ name: "dev", mode: 0o060644 }],
  },
  {
    title: "a set-user-id file",
    entry: "su",
    reason: "set-user-id",
    entries: [{ name: "su", mode: 0o104755 }],
  },
  {
    title: "a folder that claims to be a file",
    entry: "d/",
    reason: "disagree",
    entries: [{ name: "d/", mode: 0o100644 }],
  },
  {
    title: "a folder with content",
    entry: "d/",
    reason: "folder with content",
    entries: [{ name: "d/", data: "x" }],
  },
  {
    title: "an encrypted file",
    entry: "secret",
    reason: "encrypted",
    entries: [{ name: "secret", data: "0123456789abcdef", flags: 1, claimedBytes: 4 }],
  },
  {
    title: "an unknown compression",
    entry: "lzma",
    reason: "method 14",
    entries: [{ name: "lzma", data: "x", method: 14 }],
  },
  { title: "a duplicate", entry: "a", reason: "twice", entries: [{ name: "a" }, { name: "a" }] },
  {
    title: "names that differ in case",
    entry: "READ.me",
    reason: "case only",
    entries: [{ name: "read.me" }, { name: "READ.me" }],
  },
  {
    title: "a file below a file",
    entry: "a/b",
    reason: "below the file a",
    entries: [{ name: "a" }, { name: "a/b" }],
  },
  {
    title: "a local header with another name",
    entry: "safe.txt",
    reason: "disagree",
    entries: [{ name: "safe.txt", localName: "evil.txt", data: "x" }],
  },
  {
    title: "a name that is not UTF-8",
    entry: "\uFFFD",
    reason: "UTF-8",
    entries: [{ name: Buffer.from([0x61, 0xff, 0x62]), data: "x" }],
  },
];

describe("bad zips (trust 4.3)", () => {
  it.each(badZips)("refuses $title and names the entry", async ({ entries, entry, reason }) => {
    const error = await refusalOf(folder, "bad.zip", zipOf([good, ...entries]));

    expect(error.code).toBe("PUBLISH_ENTRY_REFUSED");
    expect(error.details["entry"]).toContain(entry);
    expect(error.message).toContain(reason);
  });

  it("refuses entries whose bytes overlap", async () => {
    // The first entry's data is the whole second entry: quoted, as in a bomb without nesting.
    const inner = zipOf([{ name: "b", data: "x" }]).subarray(0, 32);
    const zip = zipOf([
      { name: "a", data: inner },
      { name: "b", data: "x", sharesWith: 0 },
    ]);
    zip.writeUInt32LE(31, zip.length - 22 - 5);

    const error = await refusalOf(folder, "overlap.zip", zip);

    expect(error.code).toBe("PUBLISH_ENTRY_REFUSED");
    expect(error.message).toContain("shares bytes of the archive with a");
    expect(error.details["entry"]).toBe("b");
  });

  it.each([
    {
      title: "a larger size than it has",
      entry: { name: "lies", data: "xy", method: 8, claimedBytes: 9 },
    },
    {
      title: "a smaller size than it has",
      entry: { name: "lies", data: "xyxyxy", method: 8, claimedBytes: 2 },
    },
    { title: "a wrong checksum", entry: { name: "lies", data: "xy", claimedCrc: 7 } },
  ])("refuses an entry with $title", async ({ entry }) => {
    const error = await refusalOf(folder, "lies.zip", zipOf([good, entry]));

    expect(error.code).toBe("PUBLISH_ARCHIVE_DAMAGED");
    expect(error.details["entry"]).toBe("lies");
  });

  it("refuses a stored entry whose sizes disagree, naming what came before it", async () => {
    const entry = { name: "lies", data: "xy", claimedBytes: 9 };

    const error = await refusalOf(folder, "lies.zip", zipOf([good, entry]));

    expect(error.code).toBe("PUBLISH_ARCHIVE_DAMAGED");
    expect(error.details["entry"]).toContain("good.txt");
  });

  it("refuses a zip that is cut off", async () => {
    const zip = zipOf([good]);

    for (const length of [zip.length - 1, zip.length - 22, 40]) {
      const error = await refusalOf(folder, "cut.zip", zip.subarray(0, length));
      expect(error.code).toBe("PUBLISH_ARCHIVE_DAMAGED");
    }
  });

  it("refuses a zip without files", async () => {
    expect((await refusalOf(folder, "empty.zip", zipOf([]))).code).toBe("PUBLISH_SOURCE_EMPTY");
    expect((await refusalOf(folder, "empty.zip", zipOf([{ name: "d/" }]))).code).toBe(
      "PUBLISH_SOURCE_EMPTY",
    );
  });

  it("refuses a bomb by count, by size and by ratio", async () => {
    const zeros = { name: "zeros", data: Buffer.alloc(300_000), method: 8 };
    const many = zipOf([good, { name: "second" }, { name: "third" }]);
    const cases = [
      { zip: many, limits: { ...SOURCE_LIMITS, maxEntries: 2 }, entry: "third" },
      { zip: zipOf([good, zeros]), limits: { ...SOURCE_LIMITS, maxBytes: 10_000 }, entry: "zeros" },
      {
        zip: zipOf([good, zeros]),
        limits: { ...SOURCE_LIMITS, ratioMax: 100, ratioFreeBytes: 50_000 },
        entry: "zeros",
      },
    ];
    for (const { zip, limits, entry } of cases) {
      const error = await refusalOf(folder, "bomb.zip", zip, limits);
      expect(error.code).toBe("PUBLISH_TOO_LARGE");
      expect(error.details["entry"]).toBe(entry);
    }
  });
});
