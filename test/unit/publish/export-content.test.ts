import { createHash } from "node:crypto";
import { mkdtemp, readFile, readdir, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { BuiltPackage } from "../../../coordinator/publish/build-package.ts";
import { exportContent } from "../../../coordinator/publish/export-content.ts";
import type { PublishedBytes } from "../../../coordinator/publish/published-version.ts";
import type { Digest } from "../../../protocol/ids.ts";
import { fragmentPath } from "../../../protocol/plain-origin.ts";
import { writeTree } from "../../support/archives.ts";
import { builtFrom } from "../../support/build.ts";
import { asBase } from "../../support/update-endpoint.ts";

const never = new AbortController().signal;
let folder = "";
let built: BuiltPackage;
let fetched: Digest[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "branchline-export-"));
  fetched = [];
  built = await version("second", 1, await version("first", 0));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function version(name: string, change: number, base?: BuiltPackage): Promise<BuiltPackage> {
  const blocks = Array.from({ length: 20_000 }, (_none, at) =>
    createHash("sha256")
      .update(`${at === 9000 ? change : at}`)
      .digest(),
  );
  const source = join(folder, name);
  await writeTree(source, { "app.bin": { data: Buffer.concat(blocks) } });
  const bases = base === undefined ? [] : [await asBase(base)];
  return builtFrom(folder, { source, action: { kind: "store", path: "app" }, bases });
}

function published(change: (bytes: Buffer) => Buffer = (bytes) => bytes): PublishedBytes {
  const paths = new Map(built.fragments.map(({ digest, filePath }) => [digest, filePath]));
  return {
    manifest: async () => Buffer.from(built.manifestBytes),
    fragment: async (digest) => {
      fetched.push(digest);
      return change(await readFile(paths.get(digest)!));
    },
  };
}

async function exported(from = published()) {
  const to = { folder: join(folder, "www"), onProgress: () => undefined };
  const digest = createHash("sha256").update(built.manifestBytes).digest("hex") as Digest;
  return exportContent(digest, from, to, never);
}

describe("export of a package for a web server", () => {
  it("writes every fragment, those of pages and patches included, where nodes ask for it", async () => {
    const { fragmentCount, writtenCount, wireBytes } = await exported();

    expect(fragmentCount).toBe(built.fragments.length);
    expect(writtenCount).toBe(fragmentCount);
    let sizeBytes = 0;
    for (const { digest, filePath } of built.fragments) {
      const bytes = await readFile(join(folder, "www", fragmentPath(digest)));
      expect(bytes.equals(await readFile(filePath))).toBe(true);
      sizeBytes += bytes.length;
    }
    expect(wireBytes).toBe(sizeBytes);
  });

  it("writes only what is not there, or is there in part", async () => {
    await exported();
    const { digest } = built.fragments.at(-1)!;
    await truncate(join(folder, "www", fragmentPath(digest)), 10);

    const again = await exported();

    expect(again.writtenCount).toBe(1);
    const bytes = await readFile(join(folder, "www", fragmentPath(digest)));
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(digest);
  });

  it("writes nothing that does not match its digest, and leaves no half of a file", async () => {
    const rotten = published((bytes) => Buffer.concat([bytes, Buffer.from("x")]));

    await expect(exported(rotten)).rejects.toMatchObject({ code: "FRAGMENT_MISMATCH" });
    const left = await readdir(join(folder, "www"), { recursive: true }).catch(() => []);
    expect(left.filter((name) => name.length > 20)).toEqual([]);
  });
});
