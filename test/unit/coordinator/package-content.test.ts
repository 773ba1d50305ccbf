import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { BuiltPackage } from "../../../coordinator/publish/build-package.ts";
import {
  openFragmentFolder,
  type FragmentFolder,
} from "../../../coordinator/store/fragment-folder.ts";
import { readContent, requireContent } from "../../../coordinator/store/package-content.ts";
import { FRAGMENT_WIRE_MAX_BYTES } from "../../../protocol/limits.ts";
import { swarmSections } from "../../../protocol/swarm-order.ts";
import { writeTree } from "../../support/archives.ts";
import { builtFrom } from "../../support/build.ts";
import { asBase } from "../../support/update-endpoint.ts";

let folder = "";
let fragments: FragmentFolder;
let built: BuiltPackage;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "branchline-package-content-"));
  fragments = await openFragmentFolder(join(folder, "fragments"));
  const first = await version("first", 0);
  built = await version("second", 1, first);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function version(name: string, change: number, base?: BuiltPackage): Promise<BuiltPackage> {
  const blocks = Array.from({ length: 4000 }, (_none, at) =>
    createHash("sha256")
      .update(`${at === 2000 ? change : at}`)
      .digest(),
  );
  const source = join(folder, name);
  await writeTree(source, { "app.bin": { data: Buffer.concat(blocks) } });
  const bases = base === undefined ? [] : [await asBase(base)];
  return builtFrom(folder, { source, action: { kind: "store", path: "app" }, bases });
}

async function putAll(except?: string): Promise<void> {
  for (const { digest, filePath } of built.fragments) {
    if (digest === except) continue;
    const bytes = await readFile(filePath);
    await fragments.put(digest, single(bytes), FRAGMENT_WIRE_MAX_BYTES);
  }
}

async function* single(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

describe("content of a published package", () => {
  it("lists fragments of patches behind those of the content", async () => {
    await putAll();

    const { digests } = await readContent(fragments, built.manifest);

    const [main, delta] = swarmSections(built.manifest.content!);
    expect(digests).toHaveLength(delta!.endIndex);
    expect(digests[main.endIndex]).toBe(delta!.fragmentPages[0]!.digest);
    expect(new Set(digests)).toEqual(new Set(built.fragments.map(({ digest }) => digest)));
    await requireContent(fragments, built.manifest);
  });

  it("refuses a package of which a fragment of a patch is missing", async () => {
    await putAll();
    const { digests } = await readContent(fragments, built.manifest);
    await rm(join(folder, "fragments", digests.at(-1)!.slice(0, 2), digests.at(-1)!));

    await expect(requireContent(fragments, built.manifest)).rejects.toMatchObject({
      code: "FRAGMENTS_MISSING",
    });
  });

  it.each(["wireBytes", "fragmentCount"] as const)(
    "refuses a delta whose %s contradicts its pages",
    async (field) => {
      await putAll();
      const { content } = built.manifest;
      const [set] = content!.deltas!;
      const deltas = [{ ...set!, [field]: set![field] + 1 }];
      const manifest = { ...built.manifest, content: { ...content!, deltas } };

      await expect(requireContent(fragments, manifest)).rejects.toMatchObject({
        code: "DOCUMENT_INVALID",
      });
    },
  );
});
