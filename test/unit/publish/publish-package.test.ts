import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { BuiltPackage } from "../../../coordinator/publish/build-package.ts";
import {
  publishPackage,
  type PublishTarget,
} from "../../../coordinator/publish/publish-package.ts";
import { DeployError } from "../../../protocol/errors.ts";
import type { Digest } from "../../../protocol/ids.ts";
import type { PackageAnswer, PackageInput, Publishing } from "../../../protocol/operator-api.ts";
import { builtFrom } from "../../support/build.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "publish-package-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A coordinator in memory that refuses the first `conflicts` packages. */
class MemoryTarget implements PublishTarget {
  readonly held = new Map<Digest, Buffer>();
  readonly inputs: PackageInput[] = [];
  conflicts = 0;
  uploads = 0;
  version = 1;

  missing(digests: readonly Digest[]): Promise<readonly Digest[]> {
    return Promise.resolve(digests.filter((digest) => !this.held.has(digest)));
  }

  async putFragment(digest: Digest, filePath: string): Promise<void> {
    this.uploads++;
    this.held.set(digest, await readFile(filePath));
  }

  publishing(targetPath: string): Promise<Publishing> {
    const root = `${targetPath} ${this.version}`;
    return Promise.resolve({ fleet: "f", root, targets: "{}", bin: "bin-00" });
  }

  addPackage(input: PackageInput): Promise<PackageAnswer> {
    this.inputs.push(input);
    if (this.conflicts-- > 0) {
      this.version++;
      return Promise.reject(new DeployError("PUBLISH_CONFLICT", { what: "bin-00" }));
    }
    const parsed = JSON.parse(input.manifest) as PackageAnswer;
    return Promise.resolve({ ...parsed, isActive: false });
  }
}

function sign(publishing: Publishing, built: BuiltPackage): PackageInput {
  const manifest = built.manifestBytes.toString("utf8");
  return { manifest, bin: publishing.bin, binMetadata: publishing.root };
}

async function packed(text: string): Promise<BuiltPackage> {
  const source = join(folder, "app.txt");
  await writeFile(source, text);
  return builtFrom(folder, { source, action: { kind: "store", path: "app" } });
}

function publish(target: PublishTarget, pack: BuiltPackage): Promise<PackageAnswer> {
  const { signal } = new AbortController();
  const { name, version } = pack.manifest;
  return publishPackage({
    built: pack,
    ref: { name, version },
    target,
    sign,
    signal,
    onProgress: () => undefined,
  });
}

describe("publishPackage", () => {
  it("uploads what is missing, and nothing when it publishes the same again", async () => {
    const target = new MemoryTarget();
    const pack = await packed("content");

    const answer = await publish(target, pack);
    const firstUploads = target.uploads;
    await publish(target, pack);

    expect(answer.isActive).toBe(false);
    expect([...target.held.keys()].sort()).toEqual(
      pack.fragments.map(({ digest }) => digest).sort(),
    );
    expect(firstUploads).toBe(pack.fragments.length);
    expect(target.uploads).toBe(firstUploads);
  });

  it("signs again over the newer catalog when another publish came first", async () => {
    const target = new MemoryTarget();
    target.conflicts = 2;

    await publish(target, await packed("content"));

    expect(target.inputs.map(({ binMetadata }) => binMetadata)).toEqual([
      "acme/app/1.0.0 1",
      "acme/app/1.0.0 2",
      "acme/app/1.0.0 3",
    ]);
  });

  it("gives up after five conflicts", async () => {
    const target = new MemoryTarget();
    target.conflicts = 100;

    await expect(publish(target, await packed("content"))).rejects.toMatchObject({
      code: "PUBLISH_CONFLICT",
    });
    expect(target.inputs).toHaveLength(5);
  });

  it("adds no package when an upload fails, and throws the failure", async () => {
    const target = new MemoryTarget();
    const failure = new Error("the line is cut");
    target.putFragment = () => Promise.reject(failure);

    await expect(publish(target, await packed("content"))).rejects.toBe(failure);
    expect(target.inputs).toEqual([]);
  });
});
