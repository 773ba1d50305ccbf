import { zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { ContentIndex } from "../../../node/content/content-index.ts";
import { readDeltaIndex } from "../../../node/content/delta-index.ts";
import { parseDeltaPage, type DeltaEntry } from "../../../protocol/delta-list.ts";
import type { FileEntry } from "../../../protocol/file-list.ts";
import { encodeFragmentPage } from "../../../protocol/fragment-index.ts";
import { parsePackageVersion } from "../../../protocol/ids.ts";
import { canonicalBytes } from "../../../protocol/json.ts";
import type { DeltaSet } from "../../../protocol/manifest.ts";
import { swarmSections } from "../../../protocol/swarm-order.ts";
import { digestOf, MemoryFragmentStore } from "../../support/memory-content.ts";

const MIB = 1024 ** 2;
const FRAME = Buffer.from("a patch of twenty-one");

function index(...sizes: readonly number[]): ContentIndex {
  const files = sizes.map((sizeBytes, at): FileEntry =>
    sizeBytes < 0
      ? { kind: "folder", path: `folder${at}` }
      : {
          kind: "file",
          path: `file${at}`,
          isExecutable: false,
          sizeBytes,
          sha256: digestOf(Buffer.from(String(at))),
          extents: [],
        },
  );
  const content = {
    fragmentCount: 0,
    fileCount: sizes.length,
    wireBytes: 0,
    fileBytes: 0,
    fragmentPages: [],
    filePages: [],
  };
  return { content, fragments: [], offsetsBytes: [0], files };
}

async function read(
  entry: Partial<DeltaEntry>,
  base = index(100, -1),
  change: Partial<DeltaSet> = {},
) {
  const store = new MemoryFragmentStore();
  const fragmentPage = encodeFragmentPage([
    {
      digest: digestOf(FRAME),
      rawHint: "0".repeat(32),
      wireBytes: FRAME.length,
      rawBytes: FRAME.length,
    },
  ]);
  const whole = { bases: [0], files: [0], extents: [[0, FRAME.length]], ...entry };
  const listPage = zstdCompressSync(canonicalBytes([whole]));
  const pages = [fragmentPage, listPage].map((bytes) => {
    store.held.set(digestOf(bytes), bytes);
    return [{ digest: digestOf(bytes), sizeBytes: bytes.length }];
  });
  const set: DeltaSet = {
    base: { version: parsePackageVersion("1"), manifest: digestOf(FRAME) },
    fragmentCount: 1,
    wireBytes: 1,
    fragmentPages: pages[0]!,
    listPages: pages[1]!,
    ...change,
  };
  return readDeltaIndex(set, base, index(120, 300 * MIB), store);
}

describe("a delta set", () => {
  it("is read with its patches and their place in its own stream", async () => {
    const delta = await read({});

    expect(delta.entries).toEqual([{ bases: [0], files: [0], extents: [[0, FRAME.length]] }]);
    expect(delta.offsetsBytes).toEqual([0, FRAME.length]);
  });

  it.each([
    ["a patch behind its fragments", { extents: [[1, FRAME.length]] }],
    ["an empty patch", { extents: [[0, 0]] }],
    ["an old file that does not exist", { bases: [2] }],
    ["a folder as old file", { bases: [1] }],
    ["a new file that does not exist", { files: [2] }],
    ["a result of more than 256 MiB", { files: [1] }],
  ] as const)("is refused with %s", async (_what, entry) => {
    await expect(read(entry as unknown as Partial<DeltaEntry>)).rejects.toMatchObject({
      code: "CONTENT_INVALID",
    });
  });

  it("is refused with old files of more than 256 MiB together", async () => {
    const base = index(200 * MIB, 100 * MIB);

    await expect(read({ bases: [0, 1] }, base)).rejects.toMatchObject({ code: "CONTENT_INVALID" });
  });

  it("is refused where the manifest counts its fragments otherwise", async () => {
    await expect(read({}, index(100), { fragmentCount: 2 })).rejects.toMatchObject({
      code: "CONTENT_INVALID",
    });
  });

  it.each([
    [[{ bases: [0], files: [], extents: [[0, 1]] }]],
    [[{ bases: [-1], files: [0], extents: [[0, 1]] }]],
    [[{ bases: [0], files: [0], extents: [] }]],
    [[{ bases: [0], files: [0], extents: [[0, 1]], more: 1 }]],
  ])("has no page such as %j", (page) => {
    expect(() => parseDeltaPage(page)).toThrow("a page of the delta list is malformed");
  });
});

describe("the swarm order", () => {
  it("numbers the content first and each set of patches behind it", () => {
    const page = { digest: digestOf(FRAME), sizeBytes: 1 };
    const base = { version: parsePackageVersion("1"), manifest: digestOf(FRAME) };
    const set = { base, wireBytes: 1, fragmentPages: [page], listPages: [page, page] };
    const content = {
      ...index().content,
      fragmentCount: 5,
      fragmentPages: [page],
      filePages: [page],
      deltas: [
        { ...set, fragmentCount: 3 },
        { ...set, fragmentCount: 4 },
      ],
    };

    const places = swarmSections(content).map(({ startIndex, fragmentIndex, endIndex }) => {
      return [startIndex, fragmentIndex, endIndex];
    });

    expect(places).toEqual([
      [0, 2, 7],
      [7, 10, 13],
      [13, 16, 20],
    ]);
  });
});
