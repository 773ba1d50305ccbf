import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { pairFiles } from "../../../coordinator/publish/pair-files.ts";
import { publishedVersion } from "../../../coordinator/publish/published-version.ts";
import type { FileEntry } from "../../../protocol/file-list.ts";
import { parseDigest } from "../../../protocol/ids.ts";
import { swarmSections } from "../../../protocol/swarm-order.ts";
import type { Tree } from "../../support/archives.ts";
import { noise, touched } from "../../support/noise.ts";
import { builtTree } from "../../support/update-endpoint.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "branchline-deltas-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const signal = new AbortController().signal;

function file(path: string, sizeBytes: number, content = `${path} ${sizeBytes}`): FileEntry {
  const sha256 = parseDigest(createHash("sha256").update(content).digest("hex"));
  return { kind: "file", path, isExecutable: false, sizeBytes, sha256, extents: [] };
}

describe("pairFiles", () => {
  it("pairs a large file with the one of its path, and leaves out what is unchanged or new", () => {
    const base = [file("a.bin", 100_000), file("b.bin", 100_000), file("old.bin", 100_000)];
    const next = [file("a.bin", 100_001), file("b.bin", 100_000), file("new.bin", 100_000)];

    expect(pairFiles(base, next)).toEqual([
      { bases: [0], files: [0], sizeBytes: 200_001, isGroup: false },
    ]);
  });

  it("finds a file that has moved with its folder", () => {
    const base = [{ kind: "folder", path: "void" } as const, file("v1/app.bin", 100_000)];
    const next = [file("v2/app.bin", 100_002)];

    expect(pairFiles(base, next)).toMatchObject([{ bases: [1], files: [0] }]);
  });

  it("takes small files together, new ones too, in groups of bounded size", () => {
    const names = Array.from({ length: 300 }, (_none, at) => `f${String(at).padStart(3, "0")}`);
    const base = names.slice(1).map((name) => file(name, 50_000, `old ${name}`));
    const next = names.map((name) => file(name, 50_000, `new ${name}`));

    const groups = pairFiles(base, next);

    expect(groups.flatMap(({ files }) => files)).toEqual(names.map((_name, at) => at));
    expect(groups.flatMap(({ bases }) => bases)).toHaveLength(299);
    for (const group of groups) expect(group.files.length * 50_000).toBeLessThanOrEqual(4 << 20);
  });

  it("makes no patch of a file too large for memory", () => {
    const next = [file("a.bin", 300 * 1024 ** 2)];

    expect(pairFiles([file("a.bin", 100_000)], next)).toEqual([]);
  });
});

describe("patches of a package", () => {
  const program = noise(600_000, "program");
  const first: Tree = {
    "app.bin": { data: program },
    "readme.txt": { data: "read me, version 1" },
    "data/fixed.bin": { data: noise(200_000, "fixed") },
  };
  const second: Tree = {
    ...first,
    "app.bin": { data: touched(program, 20_000) },
    "readme.txt": { data: "read me, version 2" },
  };

  it("carries patches in fragments of their own, behind the content and outside its sums", async () => {
    const old = await builtTree(folder, first);
    const plain = await builtTree(folder, second);

    const next = await builtTree(folder, second, [old]);

    const { deltas, ...content } = next.manifest.content!;
    expect(content).toEqual(plain.manifest.content);
    const [set] = deltas!;
    expect(set!.base).toEqual({ version: "1.0.0", manifest: old.manifestDigest });
    // 600 KB of noise change in 30 bytes; as fragments nearly all of them would be fetched.
    expect(set!.wireBytes).toBeLessThan(6000);
    const [main, section] = swarmSections(next.manifest.content!);
    expect(section!.startIndex).toBe(main.endIndex);
    const sizes = new Map(next.fragments.map(({ digest, sizeBytes }) => [digest, sizeBytes]));
    for (const page of [...set!.fragmentPages, ...set!.listPages]) {
      expect(sizes.get(page.digest)).toBe(page.sizeBytes);
    }
  });

  it("gives the same bytes for the same two versions", async () => {
    const old = await builtTree(folder, first);

    const [one, other] = [
      await builtTree(folder, second, [old]),
      await builtTree(folder, second, [old]),
    ];

    expect(one.manifestDigest).toBe(other.manifestDigest);
  });

  it("leaves a patch out that saves less than 30 %", async () => {
    const old = await builtTree(folder, { "app.bin": { data: noise(300_000, "one") } });

    const next = await builtTree(folder, { "app.bin": { data: noise(300_000, "other") } }, [old]);

    expect(next.manifest.content!.deltas).toBeUndefined();
  });

  it("carries a set for each of several older versions, the newest first", async () => {
    const oldest = await builtTree(folder, { ...first, "readme.txt": { data: "version 0" } });
    const old = await builtTree(folder, first);

    const next = await builtTree(folder, second, [old, oldest]);

    const bases = next.manifest.content!.deltas!.map(({ base }) => base.manifest);
    expect(bases).toEqual([old.manifestDigest, oldest.manifestDigest]);
  });

  it("refuses an old version whose bytes are not what its digest says", async () => {
    const old = await builtTree(folder, first);
    const wire = new Map(old.fragments.map(({ digest, filePath }) => [digest, filePath]));
    const lying = {
      manifest: async () => old.manifestBytes,
      fragment: async (digest: (typeof old.fragments)[number]["digest"]) => {
        const bytes = await readFile(wire.get(digest)!);
        bytes[0] = (bytes[0]! + 1) % 256;
        return bytes;
      },
    };

    await expect(publishedVersion(old.manifestDigest, lying, signal)).rejects.toMatchObject({
      code: "FRAGMENT_MISMATCH",
    });
  });
});
