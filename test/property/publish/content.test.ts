import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { beginsBundle } from "../../../coordinator/publish/bundles.ts";
import { cutBoundsFor, cutLength, cutStream } from "../../../coordinator/publish/fastcdc.ts";
import { parsePax } from "../../../coordinator/publish/pax.ts";
import { splitCommand } from "../../../coordinator/publish/split-command.ts";
import {
  BUNDLE_MAX_BYTES,
  BUNDLE_MIN_BYTES,
  LARGE_PACKAGE_BYTES,
} from "../../../protocol/limits.ts";
import { checkPackagePath, foldedPath } from "../../../protocol/package-path.ts";
import { paxRecord, writeTree, writeZip, type Tree } from "../../support/archives.ts";
import { builtFrom } from "../../support/build.ts";
import { rebuilt } from "../../support/rebuilt-content.ts";

const bounds = { minBytes: 64, averageBytes: 256, maxBytes: 1024 };

async function cuts(bytes: Buffer, portion: number, of = bounds): Promise<Buffer[]> {
  async function* portions(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += portion) {
      yield await Promise.resolve(bytes.subarray(at, at + portion));
    }
  }
  return Array.fromAsync(cutStream(portions(), of));
}

/** Bytes without order from a seed: quick, and the same in every run. */
function noise(sizeBytes: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(sizeBytes);
  let state = seed | 1;
  for (let at = 0; at < sizeBytes; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state;
  }
  return bytes;
}

function bundled(list: readonly (readonly [string, number])[]): number[] {
  const sizes = [0];
  for (const [path, size] of list) {
    if (beginsBundle(sizes.at(-1)!, path, size)) sizes.push(0);
    sizes[sizes.length - 1]! += size;
  }
  return sizes;
}

function quoted(word: string): string {
  return `"${word.replaceAll(/["\\]/gu, String.raw`\$&`)}"`;
}

describe("FastCDC", () => {
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 6000 }).map((bytes) => Buffer.from(bytes)),
    fc.tuple(fc.nat(20_000), fc.integer()).map(([size, seed]) => noise(size, seed)),
    fc.tuple(fc.nat(9000), fc.nat(255)).map(([size, byte]) => Buffer.alloc(size, byte)),
  );

  it("keeps its bounds and loses no byte, however the stream is portioned", async () => {
    await fc.assert(
      fc.asyncProperty(content, fc.integer({ min: 1, max: 3000 }), async (bytes, portion) => {
        const fragments = await cuts(bytes, portion);

        expect(Buffer.concat(fragments).equals(bytes)).toBe(true);
        for (const [index, fragment] of fragments.entries()) {
          expect(fragment.length).toBeLessThanOrEqual(bounds.maxBytes);
          const isLast = index === fragments.length - 1;
          if (!isLast) expect(fragment.length).toBeGreaterThanOrEqual(bounds.minBytes);
        }
        expect((await cuts(bytes, 100_000)).map(({ length }) => length)).toEqual(
          fragments.map(({ length }) => length),
        );
      }),
      { numRuns: 60 },
    );
  });

  it("changes few fragments when bytes are inserted in the middle", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.nat(59_999),
        fc.uint8Array({ minLength: 1, maxLength: 40 }),
        async (seed, at, added) => {
          const old = noise(60_000, seed);
          const changed = Buffer.concat([old.subarray(0, at), added, old.subarray(at)]);

          const known = new Set((await cuts(old, 9999)).map((bytes) => bytes.toString("base64")));
          const fresh = (await cuts(changed, 9999)).filter(
            (bytes) => !known.has(bytes.toString("base64")),
          );

          expect(known.size).toBeGreaterThan(100);
          expect(fresh.length).toBeLessThanOrEqual(12);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("cuts at the places of the published format", () => {
    // A change of the table, the masks or the window makes every released fragment unknown.
    const bytes = noise(4_000_000, 7);
    const lengths: number[] = [];
    for (let at = 0; at < bytes.length; at += lengths.at(-1)!) {
      lengths.push(cutLength(bytes, at, bytes.length, cutBoundsFor(bytes.length)));
    }

    const digest = createHash("sha256").update(lengths.join(",")).digest("hex");
    expect(lengths.length).toBeGreaterThan(8);
    expect(digest).toBe("09a2aa4129621af5821cb29a1aa6752fe20b591abb5e1829b577f9741b408563");
  });

  it("uses four times larger fragments from 4 GB up", () => {
    expect(cutBoundsFor(LARGE_PACKAGE_BYTES).minBytes).toBe(
      4 * cutBoundsFor(LARGE_PACKAGE_BYTES - 1).minBytes,
    );
  });
});

describe("bundles", () => {
  const files = fc.array(fc.tuple(fc.string(), fc.integer({ min: 1, max: 65_535 })), {
    minLength: 1,
    maxLength: 200,
  });

  it("stay within their bounds, except the last", () => {
    fc.assert(
      fc.property(files, (list) => {
        const sizes = bundled(list);

        for (const size of sizes.slice(0, -1))
          expect(size).toBeGreaterThanOrEqual(BUNDLE_MIN_BYTES);
        for (const size of sizes) expect(size).toBeLessThanOrEqual(BUNDLE_MAX_BYTES);
      }),
    );
  });
});

describe("built packages", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "content-property-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const segment = fc.stringMatching(/^[a-z0-9]{1,6}$/u);
  const data = fc
    .tuple(
      fc.constantFrom(0, 1, 500, 70_000, 65_535, 65_536, 400_000),
      fc.integer({ min: 1, max: 4 }),
    )
    .map(([size, seed]) => noise(size, seed));
  const treeOf = fc
    .dictionary(
      fc.tuple(segment, segment).map(([top, name]) => `${top}d/${name}.x`),
      fc.record({ data, isExecutable: fc.boolean() }),
      { minKeys: 1, maxKeys: 8 },
    )
    .filter((tree) => Object.keys(tree).every((path) => checkPackagePath(path) === undefined));

  it("OCS-18 reassemble to the same bytes, and a zip gives what the folder gives", async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(treeOf, async (tree: Tree) => {
        const source = join(folder, `tree-${run++}`);
        await writeTree(source, tree);
        await writeZip(`${source}.zip`, tree);
        const action = { kind: "store", path: "app" } as const;

        const built = await builtFrom(folder, { source, action });
        const zipped = await builtFrom(folder, { source: `${source}.zip`, action });

        expect(zipped.manifestDigest).toBe(built.manifestDigest);
        const { files, entries } = await rebuilt(built);
        expect(files.size).toBe(Object.keys(tree).length);
        for (const entry of entries) {
          const file = tree[entry.path]!;
          expect(files.get(entry.path)?.equals(Buffer.from(file.data))).toBe(true);
          expect(entry.kind === "file" && entry.isExecutable).toBe(file.isExecutable);
        }
      }),
      { numRuns: 10 },
    );
  });
});

describe("small readers", () => {
  // The full range, lone surrogates included; fast-check's own binary strings take a second to set up.
  const codePoint = fc.oneof(fc.nat(0x17f), fc.nat(0x10_ffff));

  it("the path check never throws, and folding is stable", () => {
    fc.assert(
      fc.property(fc.array(codePoint, { maxLength: 30 }), (points) => {
        const text = String.fromCodePoint(...points);
        checkPackagePath(text);
        expect(foldedPath(foldedPath(text)) === foldedPath(text)).toBe(true);
      }),
    );
  });

  it("PAX records read back, and noise is refused without a throw", () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Za-z.]{1,9}$/u),
        fc.string({ unit: "grapheme" }),
        (key, value) => {
          expect(parsePax(Buffer.from(paxRecord(key, value)))).toEqual(new Map([[key, value]]));
        },
      ),
    );
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void parsePax(Buffer.from(bytes))));
  });

  it("words in double quotes come back from splitCommand", () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (words) => {
        expect(splitCommand(words.map(quoted).join(" "))).toEqual(words);
      }),
    );
  });
});
