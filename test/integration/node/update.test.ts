/** One version after the other through the driver of jobs, with patches and files of the version before. */
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { BuiltPackage } from "../../../coordinator/publish/build-package.ts";
import type { Action } from "../../../protocol/package-action.ts";
import { parsePackageVersion, type Digest } from "../../../protocol/ids.ts";
import { writeTree } from "../../support/archives.ts";
import { builtFrom } from "../../support/build.ts";
import { MemoryFragmentStore, type MemoryPackage } from "../../support/memory-content.ts";
import { asBase } from "../../support/update-endpoint.ts";
import { jobFixture, RUN_FIELDS, type JobFixture } from "./job-fixture.ts";

let folder = "";
let node: JobFixture;
let fragments: MemoryFragmentStore;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "branchline-versions-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));
beforeEach(async () => {
  fragments = new MemoryFragmentStore();
  node = await jobFixture({ store: fragments });
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
});

/** 600 KB without order; `seed` changes a byte in every 20,000. */
function program(seed: number): Buffer {
  const blocks = Array.from({ length: 18_750 }, (_none, at) =>
    createHash("sha256").update(`block ${at}`).digest(),
  );
  const bytes = Buffer.concat(blocks);
  for (let at = 0; at < bytes.length; at += 20_000) bytes[at] = seed;
  return bytes;
}

async function version(
  number: number,
  action: Action,
  base?: BuiltPackage,
): Promise<{ readonly built: BuiltPackage; readonly pack: MemoryPackage }> {
  const source = await mkdtemp(join(folder, "tree-"));
  const script = `#!/bin/sh\necho version ${number}\nsha256sum app.bin\n`;
  await writeTree(source, {
    "app.bin": { data: program(number) },
    "run.sh": { data: script, isExecutable: true },
  });
  const bases = base === undefined ? [] : [await asBase(base)];
  const built = await builtFrom(folder, {
    source,
    action,
    bases,
    version: parsePackageVersion(`${number}.0.0`),
  });
  const wire = new Map<Digest, Buffer>();
  for (const { digest, filePath } of built.fragments) wire.set(digest, await readFile(filePath));
  return { built, pack: { manifest: built.manifest, fragments: wire } };
}

const store: Action = { kind: "store", path: "app" };
const launch: Action = { kind: "launch", program: "run.sh", args: [], ...RUN_FIELDS };

const second = { job: "job-2", revision: "b".repeat(16) };
const third = { job: "job-3", revision: "c".repeat(16) };

describe("an update", () => {
  it("fetches a patch, stores the new version and counts the rest as local", async () => {
    const first = await version(1, store);
    const next = await version(2, store, first.built);
    await node.run(first.pack);

    node.direct(next.pack, second);
    const report = await node.ended(second.job);

    expect(report.outcome).toBe("success");
    const stored = await readFile(join(node.dataDir, "store/app/app.bin"));
    expect(stored.equals(program(2))).toBe(true);
    const { wireBytes } = next.built.manifest.content!;
    expect(report.bytes.dp).toBeLessThan(0.05 * wireBytes);
    expect(report.bytes.local).toBe(wireBytes - report.bytes.dp);
  });

  it("succeeds over a stored file that somebody has changed", async () => {
    const first = await version(1, store);
    const next = await version(2, store, first.built);
    await node.run(first.pack);
    await writeFile(join(node.dataDir, "store/app/app.bin"), "not what it was");
    fragments.held.clear();

    node.direct(next.pack, second);
    const report = await node.ended(second.job);

    expect(report.outcome).toBe("success");
    const stored = await readFile(join(node.dataDir, "store/app/app.bin"));
    expect(stored.equals(program(2))).toBe(true);
    expect(report.bytes.dp).toBeGreaterThan(500_000);
  });

  it("patches what a launch has left as fragments, and goes on after a restart", async () => {
    const first = await version(1, launch);
    const next = await version(2, launch, first.built);
    await node.run(first.pack);
    node = await node.restarted();

    node.direct(next.pack, second);
    const report = await node.ended(second.job);

    const sum = createHash("sha256").update(program(2)).digest("hex");
    expect(report).toMatchObject({ outcome: "success", exitCode: 0 });
    expect(report.output).toBe(`version 2\n${sum}  app.bin\n`);
    expect(report.bytes.dp).toBeLessThan(0.05 * next.built.manifest.content!.wireBytes);
  });

  it("fetches fragments where the version before was itself only patched together for a launch", async () => {
    const first = await version(1, launch);
    const next = await version(2, launch, first.built);
    const last = await version(3, launch, next.built);
    await node.run(first.pack);
    node.direct(next.pack, second);
    await node.ended(second.job);

    node.direct(last.pack, third);
    const report = await node.ended(third.job);

    expect(report.outcome).toBe("success");
    expect(report.output).toContain("version 3");
  });
});
