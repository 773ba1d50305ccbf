import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { BuiltPackage } from "../../../coordinator/publish/build-package.ts";
import { LocalPackages } from "../../../node/content/local-packages.ts";
import { SourcePlan } from "../../../node/content/source-plan.ts";
import { swarmSections } from "../../../protocol/swarm-order.ts";
import type { Tree } from "../../support/archives.ts";
import { noise, touched } from "../../support/noise.ts";
import { builtTree, itemOf, UpdateEndpoint } from "../../support/update-endpoint.ts";

let shared = "";
let folder = "";
let endpoint: UpdateEndpoint;
/** The first version, the second without patches, and the second with patches from the first. */
let old: BuiltPackage;
let plain: BuiltPackage;
let patched: BuiltPackage;
beforeAll(async () => {
  shared = await mkdtemp(join(tmpdir(), "branchline-versions-"));
  old = await builtTree(shared, FIRST);
  plain = await builtTree(shared, SECOND);
  patched = await builtTree(shared, SECOND, [old]);
});
afterAll(() => rm(shared, { recursive: true, force: true }));
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "branchline-update-"));
  endpoint = await UpdateEndpoint.open(folder);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const program = noise(900_000, "program");
const library = noise(700_000, "library");
const texts = Object.fromEntries(
  Array.from({ length: 40 }, (_none, at) => [
    `text/${at}.txt`,
    { data: noise(9000, `text ${at}`) },
  ]),
);
const FIRST: Tree = { ...texts, "app.bin": { data: program }, "lib.bin": { data: library } };
/** The program is touched everywhere, the library gets a new end, one text in four changes. */
const SECOND: Tree = {
  ...texts,
  ...Object.fromEntries(
    Object.entries(texts).flatMap(([path, { data }], at) =>
      at % 4 === 0 ? [[path, { data: touched(data, 3000) }]] : [],
    ),
  ),
  "app.bin": { data: touched(program, 30_000), isExecutable: true },
  "lib.bin": { data: Buffer.concat([library, noise(50_000, "more")]) },
  "new.txt": { data: "new" },
};

async function expectStored(tree: Tree): Promise<void> {
  for (const [path, { data }] of Object.entries(tree)) {
    const found = await readFile(join(endpoint.target, path));
    expect(found.equals(Buffer.from(data)), path).toBe(true);
  }
  const found = await readdir(endpoint.target, { recursive: true, withFileTypes: true });
  expect(found.filter((entry) => entry.isFile())).toHaveLength(Object.keys(tree).length);
}

describe("an update with local files", () => {
  it("fetches only what the stored version lacks, also when its fragments are gone", async () => {
    await endpoint.install(old);
    endpoint.store.held.clear();

    const { fetchedBytes, bytes } = await endpoint.install(plain);

    await expectStored(SECOND);
    const { wireBytes } = plain.manifest.content!;
    // The program changes in nearly every fragment; of the rest a sixth of the library and some bundles.
    expect(fetchedBytes).toBeLessThan(0.85 * wireBytes);
    expect(bytes).toEqual({
      local: wireBytes - fetchedBytes,
      peer: 0,
      dp: 0,
      origin: fetchedBytes,
    });
  });

  it("copies unchanged small files although their bundle has changed", async () => {
    const one = Object.entries(texts)[0]!;
    const changed = { ...texts, [one[0]]: { data: Buffer.from(one[1].data).subarray(1) } };
    const after = { ...changed, "app.bin": { data: program } };
    await endpoint.install(await builtTree(shared, texts));
    endpoint.store.held.clear();

    await endpoint.install(await builtTree(shared, after));

    await expectStored(after);
  });

  it("fetches what somebody has changed in the stored folder", async () => {
    await endpoint.install(old);
    endpoint.store.held.clear();
    await writeFile(join(endpoint.target, "lib.bin"), touched(library, 1000));
    await rm(join(endpoint.target, "text/1.txt"));

    await endpoint.install(plain);

    await expectStored(SECOND);
  });

  it("follows no link that stands where a file was", async () => {
    await endpoint.install(old);
    endpoint.store.held.clear();
    const elsewhere = join(folder, "elsewhere");
    await writeFile(elsewhere, library);
    await rm(join(endpoint.target, "lib.bin"));
    await symlink(elsewhere, join(endpoint.target, "lib.bin"));

    const { bytes } = await endpoint.install(plain);

    await expectStored(SECOND);
    expect(bytes.origin).toBeGreaterThan(program.length + 0.9 * library.length);
  });

  it("says that a file has changed between choice and use, and does without it then", async () => {
    await endpoint.install(old);
    endpoint.store.held.clear();
    const { local } = await endpoint.fetched(plain);
    await writeFile(join(endpoint.target, "text/1.txt"), "changed meanwhile");

    await expect(endpoint.put(plain, local)).rejects.toMatchObject({
      code: "LOCAL_SOURCE_CHANGED",
    });
    const again = await endpoint.fetched(plain, { isPlain: true });
    await endpoint.put(plain, again.local);

    await expectStored(SECOND);
  });

  it("fetches a fragment whose place in an old file has changed between choice and use", async () => {
    await endpoint.install(old);
    endpoint.store.held.clear();
    const { local } = await endpoint.fetched(plain);
    await writeFile(join(endpoint.target, "lib.bin"), touched(library, 1000));

    await expect(endpoint.put(plain, local)).rejects.toMatchObject({ code: "FRAGMENT_MISSING" });
    const again = await endpoint.fetched(plain);
    await endpoint.put(plain, again.local);

    await expectStored(SECOND);
    expect(again.fetchedBytes).toBeGreaterThan(0.8 * library.length);
  });

  it("fetches everything where no older version is known", async () => {
    const { fetchedBytes } = await endpoint.install(patched);

    await expectStored(SECOND);
    expect(fetchedBytes).toBe(patched.manifest.content!.wireBytes);
  });
});

describe("an update with patches", () => {
  it("fetches patches instead of changed fragments", async () => {
    await endpoint.install(old);

    const { fetchedBytes } = await endpoint.install(patched);

    await expectStored(SECOND);
    const { wireBytes, deltas } = patched.manifest.content!;
    expect(fetchedBytes).toBeLessThan(0.1 * wireBytes);
    expect(fetchedBytes).toBeGreaterThan(deltas![0]!.wireBytes);
  });

  it("takes the old files from fragments where the old version was not stored", async () => {
    const { local } = await endpoint.fetched(old);
    await endpoint.packages.remember(old.manifest, old.manifestDigest, undefined, endpoint.store);
    expect(local).toBeUndefined();

    const { fetchedBytes } = await endpoint.install(patched);

    await expectStored(SECOND);
    expect(fetchedBytes).toBeLessThan(0.1 * patched.manifest.content!.wireBytes);
  });

  it("takes the version before the last from its own set", async () => {
    const between = await builtTree(shared, { ...SECOND, "new.txt": { data: "in between" } });
    const next = await builtTree(shared, SECOND, [between, old]);
    await endpoint.install(old);

    const { fetchedBytes } = await endpoint.install(next);

    await expectStored(SECOND);
    expect(fetchedBytes).toBeLessThan(0.1 * patched.manifest.content!.wireBytes);
  });

  it("falls back to fragments for the file whose old version is damaged", async () => {
    await endpoint.install(old);
    endpoint.store.held.clear();
    await writeFile(join(endpoint.target, "app.bin"), touched(program, 5000));

    const { fetchedBytes } = await endpoint.install(patched);

    await expectStored(SECOND);
    expect(fetchedBytes).toBeGreaterThan(program.length);
    expect(fetchedBytes).toBeLessThan(program.length + 200_000);
  });

  it("falls back where a patch gives other bytes than the file list says", async () => {
    const stranger = await builtTree(
      shared,
      { ...SECOND, "app.bin": { data: touched(program, 29_000) } },
      [old],
    );
    // The patches of another version under this one's file list: a publisher's mistake.
    const { deltas } = stranger.manifest.content!;
    const mixed: BuiltPackage = {
      ...patched,
      manifest: { ...patched.manifest, content: { ...patched.manifest.content!, deltas: deltas! } },
      fragments: [...patched.fragments, ...stranger.fragments],
    };
    await endpoint.install(old);
    const { local } = await endpoint.fetched(mixed);

    await expect(endpoint.put(mixed, local)).rejects.toMatchObject({
      code: "LOCAL_SOURCE_CHANGED",
    });
    const again = await endpoint.fetched(mixed, { isPlain: true });
    await endpoint.put(mixed, again.local);

    await expectStored(SECOND);
  });

  it("takes an old file from fragments where the stored one is damaged", async () => {
    await endpoint.install(old);
    await writeFile(join(endpoint.target, "app.bin"), "somebody wrote here");

    const { fetchedBytes } = await endpoint.install(patched);

    await expectStored(SECOND);
    expect(fetchedBytes).toBeLessThan(0.1 * patched.manifest.content!.wireBytes);
  });

  it("leaves patches that this machine's memory cannot take", async () => {
    await endpoint.install(old);
    endpoint.freeMemoryBytes = 3 * 800_000;

    const { fetchedBytes } = await endpoint.install(patched);

    await expectStored(SECOND);
    expect(fetchedBytes).toBeGreaterThan(program.length);
  });

  it("takes fragments from neighbours rather than patches over the line", async () => {
    // A patch of a third: too much for the line where the LAN has the whole content already.
    const before = await builtTree(shared, { "app.bin": { data: program } });
    const next = await builtTree(shared, { "app.bin": { data: touched(program, 20) } }, [before]);
    const alone = await UpdateEndpoint.open(join(folder, "alone"));
    for (const one of [endpoint, alone]) await one.install(before);
    const [main] = swarmSections(next.manifest.content!);
    endpoint.nearby = (index) => index < main.endIndex;

    const { fetchedBytes } = await endpoint.fetched(next);

    expect((await alone.fetched(next)).fetchedBytes).toBeLessThan(0.7 * program.length);
    expect(fetchedBytes).toBeGreaterThanOrEqual(program.length);
  });
});

describe("a DP with patches", () => {
  it("holds for its site what an endpoint with the old version needs, and welcomes the rest", async () => {
    await endpoint.fetched(old, { isReplica: true });
    await endpoint.packages.remember(old.manifest, old.manifestDigest, undefined, endpoint.store);

    const { fetchedBytes } = await endpoint.fetched(patched, { isReplica: true });

    expect(fetchedBytes).toBeLessThan(0.1 * patched.manifest.content!.wireBytes);
    const agent = await UpdateEndpoint.open(join(folder, "agent"));
    await mkdir(join(folder, "agent"), { recursive: true });
    await agent.install(old);
    for (const [digest, bytes] of endpoint.store.held) await agent.store.write(digest, bytes);
    expect((await agent.install(patched)).fetchedBytes).toBe(0);
  });

  it("holds the whole content where its site never had the old version", async () => {
    const ports = {
      packages: endpoint.packages,
      store: endpoint.store,
      isNearby: () => false,
      freeMemoryBytes: () => 0,
    };
    const other = await builtTree(shared, { "other.txt": { data: "another version" } });
    await endpoint.packages.remember(other.manifest, other.manifestDigest, "/nowhere", {
      read: async () => Buffer.from("page"),
    });

    await endpoint.fetched(patched, { isReplica: true });
    const plan = await SourcePlan.of(itemOf(patched), ports)!.replicate();

    const [main, delta] = swarmSections(patched.manifest.content!);
    expect(plan.wanted.count).toBe(main.endIndex);
    expect(plan.welcome!.count).toBe(delta!.endIndex);
  });
});

describe("notes of local packages", () => {
  it("outlive a restart and the fragments", async () => {
    await endpoint.install(old);
    endpoint = await UpdateEndpoint.open(folder);

    const { fetchedBytes } = await endpoint.install(plain);

    await expectStored(SECOND);
    expect(fetchedBytes).toBeLessThan(0.85 * plain.manifest.content!.wireBytes);
  });

  it("keep one version per folder and three without, and no page that nothing needs", async () => {
    const notes = await LocalPackages.open(join(folder, "notes"));
    const versions: BuiltPackage[] = [];
    for (let at = 0; at < 6; at++)
      versions.push(await builtTree(shared, { [`${at}.txt`]: { data: `v${at}` } }));
    for (const [at, version] of versions.entries()) {
      const { store } = endpoint;
      await endpoint.fetched(version, { isPlain: true });
      const where = at % 3 === 0 ? "/srv/app" : undefined;
      await notes.remember(version.manifest, version.manifestDigest, where, store);
    }

    const again = await LocalPackages.open(join(folder, "notes"));

    const kept = again.named(versions[0]!.manifest.name).map(({ manifest }) => manifest);
    const expected = [3, 2, 4, 5].map((at) => versions[at]!.manifestDigest);
    expect(kept.toSorted()).toEqual(expected.toSorted());
    expect(kept[0]).toBe(versions[3]!.manifestDigest);
    expect(await readdir(join(folder, "notes/pages"))).toHaveLength(8);
  });

  it("drop a note that is not one", async () => {
    await mkdir(join(folder, "notes"));
    await writeFile(join(folder, "notes/ab.json"), "{}");

    const notes = await LocalPackages.open(join(folder, "notes"));

    expect(notes.named((await builtTree(shared, texts)).manifest.name)).toEqual([]);
    expect(await readdir(join(folder, "notes"))).toEqual(["pages"]);
  });
});
