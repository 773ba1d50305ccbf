import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { patchBases, type PatchChoice } from "../../../coordinator/cli/patch-bases.ts";
import type { BuiltPackage } from "../../../coordinator/publish/build-package.ts";
import { parsePackageRef, parsePackageVersion, type Digest } from "../../../protocol/ids.ts";
import type { PackageAnswer } from "../../../protocol/operator-api.ts";
import { builtFrom } from "../../support/build.ts";

const signal = new AbortController().signal;
const blobs = new Map<Digest, Buffer>();
const answers: PackageAnswer[] = [];
let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "branchline-bases-"));
  for (const [version, day, isActive] of [
    ["1.0", 1, true],
    ["1.1", 3, true],
    // Published between the two, and later than its number says.
    ["0.9", 2, true],
    ["1.2", 4, false],
  ] as const) {
    const source = join(folder, `${version}.txt`);
    await writeFile(source, createHash("sha256").update(version).digest("hex"));
    const action = { kind: "store", path: "app" } as const;
    const built = await builtFrom(folder, {
      source,
      action,
      version: parsePackageVersion(version),
    });
    answers.push(await answerOf(built, day, isActive));
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function answerOf(
  { manifest, manifestBytes, manifestDigest, fragments }: BuiltPackage,
  day: number,
  isActive: boolean,
): Promise<PackageAnswer> {
  blobs.set(manifestDigest, manifestBytes);
  for (const { digest, filePath } of fragments) blobs.set(digest, await readFile(filePath));
  return {
    name: manifest.name,
    version: manifest.version,
    manifest: manifestDigest,
    isActive,
    level: 5,
    kind: "store",
    wireBytes: 1,
    fileBytes: manifest.content!.fileBytes,
    fragmentCount: 1,
    createdAt: `2026-11-0${day}T00:00:00.000Z`,
  };
}

async function chosen(
  ref: string,
  choice: PatchChoice = {},
  packages: readonly PackageAnswer[] = answers,
): Promise<readonly string[]> {
  const client = {
    published: async () => packages,
    publishedBytes: async (_kind: "manifests" | "fragments", digest: Digest) => blobs.get(digest)!,
  };
  const bases = await patchBases(parsePackageRef(ref), choice, client, signal);
  return bases.map(({ version }) => version);
}

describe("older versions that a package is patched from", () => {
  it("are the last two that were published and are active", async () => {
    expect(await chosen("acme/app@2.0")).toEqual(["1.1", "0.9"]);
  });

  it("are the same when a version is published once more", async () => {
    expect(await chosen("acme/app@1.1")).toEqual(["0.9", "1.0"]);
  });

  it("leave out what is too large to be patched without being asked for", async () => {
    const large = answers.map((one) =>
      one.version === "1.1" ? { ...one, fileBytes: 2 ** 31 } : one,
    );

    expect(await chosen("acme/app@2.0", {}, large)).toEqual(["0.9", "1.0"]);
    expect(await chosen("acme/app@2.0", { deltaFrom: ["1.1"] }, large)).toEqual(["1.1"]);
  });

  it("are those that the publisher names, active or not", async () => {
    expect(await chosen("acme/app@2.0", { deltaFrom: ["1.2", "1.0"] })).toEqual(["1.2", "1.0"]);
  });

  it("are none with --no-delta", async () => {
    expect(await chosen("acme/app@2.0", { delta: false })).toEqual([]);
  });

  it.each(["7.7", "2.0"])(
    "must be published and other than the new one, as %s is not",
    async (version) => {
      await expect(chosen("acme/app@2.0", { deltaFrom: [version] })).rejects.toMatchObject({
        code: "NOT_FOUND",
      });
    },
  );
});
