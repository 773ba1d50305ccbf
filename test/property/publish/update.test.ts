import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Tree } from "../../support/archives.ts";
import { noise, touched } from "../../support/noise.ts";
import { builtTree, UpdateEndpoint } from "../../support/update-endpoint.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "branchline-property-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

type Change = "same" | "touched" | "longer" | "gone" | "moved" | "other";
interface FileCase {
  readonly sizeBytes: number;
  readonly change: Change;
  /** What somebody does to the stored file before the update. */
  readonly damage: "none" | "rewritten" | "longer" | "gone";
}

const fileCase: fc.Arbitrary<FileCase> = fc.record({
  sizeBytes: fc.oneof(fc.nat({ max: 3000 }), fc.integer({ min: 60_000, max: 180_000 })),
  change: fc.constantFrom("same", "touched", "longer", "gone", "moved", "other"),
  damage: fc.oneof(
    { weight: 5, arbitrary: fc.constant("none" as const) },
    { weight: 1, arbitrary: fc.constantFrom("rewritten", "longer", "gone") },
  ),
});

function trees(cases: readonly FileCase[]): { readonly first: Tree; readonly second: Tree } {
  const first: Record<string, { data: Buffer }> = { "always.txt": { data: Buffer.from("one") } };
  const second: Record<string, { data: Buffer }> = { "always.txt": { data: Buffer.from("two") } };
  for (const [at, { sizeBytes, change }] of cases.entries()) {
    const data = noise(sizeBytes, `file ${at}`);
    const path = `folder${at % 3}/file${at}`;
    first[path] = { data };
    const changed = touched(data, 5000);
    if (change === "same") second[path] = { data };
    if (change === "touched") second[path] = { data: changed };
    if (change === "longer") second[path] = { data: Buffer.concat([data, noise(999, "more")]) };
    if (change === "moved") second[`elsewhere/file${at}`] = { data: changed };
    if (change === "other") second[path] = { data: noise(sizeBytes, `other ${at}`) };
  }
  return { first, second };
}

async function damaged(path: string, { damage }: FileCase): Promise<void> {
  if (damage === "rewritten") await writeFile(path, "somebody wrote here");
  if (damage === "longer") await appendFile(path, "and more");
  if (damage === "gone") await rm(path, { force: true });
}

describe("any update over any state of the old version", () => {
  it("ends in the files of the new version, and never fetches more than the whole of it", async () => {
    const state = fc.record({
      cases: fc.array(fileCase, { minLength: 1, maxLength: 5 }),
      hasPatches: fc.boolean(),
      areFragmentsGone: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(state, async ({ cases, hasPatches, areFragmentsGone }) => {
        const { first, second } = trees(cases);
        const old = await builtTree(folder, first);
        const next = await builtTree(folder, second, hasPatches ? [old] : []);
        const endpoint = await UpdateEndpoint.open(await mkdtemp(join(folder, "endpoint-")));
        await endpoint.install(old);
        if (areFragmentsGone) endpoint.store.held.clear();
        for (const [at, one] of cases.entries()) {
          await damaged(join(endpoint.target, `folder${at % 3}/file${at}`), one);
        }

        const { fetchedBytes, bytes } = await endpoint.install(next);

        for (const [path, { data }] of Object.entries(second)) {
          expect((await readFile(join(endpoint.target, path))).equals(Buffer.from(data))).toBe(
            true,
          );
        }
        const { wireBytes, deltas } = next.manifest.content!;
        const pageBytes = (deltas ?? [])
          .flatMap((set) => [...set.fragmentPages, ...set.listPages])
          .reduce((sum, page) => sum + page.sizeBytes, 0);
        expect(fetchedBytes).toBeLessThanOrEqual(wireBytes + pageBytes);
        expect(bytes.origin).toBe(fetchedBytes);
        expect(bytes.local).toBe(Math.max(0, wireBytes - fetchedBytes));
      }),
      { numRuns: 12, seed: 20261121 },
    );
  });
});
