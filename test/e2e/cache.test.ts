/** The cache of a real endpoint: kept to its quota, consumed for what is larger, killed in the middle of it. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { endpointOf, jobOf, publishTo, sha256Of } from "../support/deployments.ts";
import { Fleet, until, writeNoise } from "../support/processes.ts";

const QUOTA_BYTES = 5_000_000;
const LARGE_BYTES = 100_000_000;
/** The first batch of 64 MiB has been given up by then. */
const KILL_AT_BYTES = 70_000_000;
const NODES = { one: "127.10.11.11:0", two: "127.10.11.12:0" };
const FLAGS = ["--cache-quota", "5MB", "--cache-min-free", "1MB"];
let fleet: Fleet;

beforeAll(async () => {
  fleet = await Fleet.start();
  await fleet.command(["site", "create", "office", "--subnet", "127.10.11.0/24"]);
  await startNode("one");
  await fleet.joined(["one"]);
});

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
});

async function startNode(name: keyof typeof NODES): Promise<void> {
  await fleet.startNode({ name, site: "office", listen: NODES[name], flags: FLAGS });
}

async function published(name: string, sizeBytes: number, target: string): Promise<string> {
  const noise = join(fleet.folder, `${name}.bin`);
  // Another seed for each: equal bytes would be equal fragments.
  await writeNoise(noise, sizeBytes, name.length * 1000 + name.charCodeAt(0));
  const flags = ["--action", "store", "--path", name, "--compression", "1"];
  await publishTo(fleet, { ref: `acme/${name}@1`, source: noise, flags }, target);
  return noise;
}

async function fragmentBytes(name: string): Promise<number> {
  const folder = join(fleet.nodeFolder(name), "fragments");
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile() && entry.name.length === 64)
    .map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

function storedPath(node: string, name: string): string {
  return join(fleet.nodeFolder(node), "store", name, `${name}.bin`);
}

it("ends right after a kill in the middle of files that take the place of their fragments", async () => {
  const incoming = join(fleet.nodeFolder("one"), "store/.large.incoming");
  const noise = await published("large", LARGE_BYTES, "endpoint:one");
  await until(
    "a good part of the file is written",
    90_000,
    async () => {
      const found = await stat(join(incoming, "large.bin")).catch(() => undefined);
      return (found?.size ?? 0) >= KILL_AT_BYTES ? true : undefined;
    },
    5,
  );
  await fleet.nodes.get("one")?.kill();
  const leftBytes = await fragmentBytes("one");

  await startNode("one");
  const job = await jobOf(fleet, "one", "acme/large@1");

  // It was killed while it consumed, or this test proves nothing.
  expect(leftBytes).toBeLessThan(LARGE_BYTES - 60_000_000);
  expect(await sha256Of(storedPath("one", "large"))).toBe(await sha256Of(noise));
  expect(await readdir(join(fleet.nodeFolder("one"), "store"))).toEqual(["large"]);
  expect(job.bytes).toMatchObject({ peer: 0, dp: 0, origin: 0 });
  await until("the cache keeps to its quota", 60_000, async () => {
    return (await fragmentBytes("one")) <= QUOTA_BYTES ? true : undefined;
  });
});

it("shows the use of its cache, and gives up the oldest for the newest", async () => {
  await published("first", 3_000_000, "endpoint:one");
  await jobOf(fleet, "one", "acme/first@1");
  const shown = await until("the cache is shown", 30_000, async () => {
    const { cache } = await endpointOf(fleet, "one");
    return (cache?.usedBytes ?? 0) >= 3_000_000 ? cache : undefined;
  });
  await published("second", 3_000_000, "endpoint:one");
  await jobOf(fleet, "one", "acme/second@1");

  const heldBytes = await until("the first package goes", 60_000, async () => {
    const sizeBytes = await fragmentBytes("one");
    return sizeBytes <= QUOTA_BYTES ? sizeBytes : undefined;
  });

  expect(shown).toMatchObject({ quotaBytes: QUOTA_BYTES, pinnedBytes: 0 });
  expect(heldBytes).toBeGreaterThan(3_000_000);
});

it("lets a neighbour have what it evicted from elsewhere, without asking it in vain for ever", async () => {
  await startNode("two");
  await fleet.joined(["two"]);
  await fleet.command(["deploy", "acme/first@1", "--to", "endpoint:two"]);

  const job = await jobOf(fleet, "two", "acme/first@1");

  expect(job.bytes.peer + job.bytes.origin).toBeGreaterThan(2_900_000);
  expect(await sha256Of(storedPath("two", "first"))).toBe(
    await sha256Of(storedPath("one", "first")),
  );
});
