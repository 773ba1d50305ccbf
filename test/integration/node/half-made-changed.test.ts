/** Half-made files that changed, and marks that say something else, before the node starts again. */
import { randomBytes } from "node:crypto";
import {
  appendFile,
  chmod,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Digest } from "../../../protocol/ids.ts";
import { swarmSections } from "../../../protocol/swarm-order.ts";
import { swarmDigests } from "../../support/memory-content.ts";
import { DyingNode, FILES, FRAGMENT_BYTES, PACK, packOf, text, type Course } from "./dying-node.ts";

let node: DyingNode;
beforeEach(async () => {
  node = await DyingNode.open();
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
});

/** Dies when the last file is begun, and a fragment of the one before it is given up. */
async function diedInLast(): Promise<Course> {
  const steps = await node.stepsOf(PACK);
  const course = await node.die(steps.indexOf("writeFile last") + 1);
  expect(course.life.steps).toContain("writeFile other");
  return course;
}

/** Dies when the first batch has been given up, and more of the first file is to come. */
async function diedInFirst(): Promise<Course> {
  const steps = await node.stepsOf(PACK);
  const given = steps.findIndex((step) => step.startsWith("rm "));
  const course = await node.die(steps.indexOf("writeFile large", given) + 1);
  expect(steps.indexOf("writeFile large", course.life.steps.length)).toBeGreaterThan(0);
  expect(await node.heldFragments()).toHaveLength(PACK.fragments.size - 2);
  return course;
}

function incoming(...path: readonly string[]): string {
  return join(node.dataDir, "store", ".x.incoming", ...path);
}

/** Digests of the fragments that one file needs. */
function fragmentsOf(path: string): readonly Digest[] {
  const [section] = swarmSections(PACK.manifest.content!);
  const digests = swarmDigests(PACK.manifest.content!, PACK.fragments);
  let offset = 0;
  for (const file of FILES) {
    const end = offset + file.text.length;
    const [first, last] = [Math.floor(offset / FRAGMENT_BYTES), Math.ceil(end / FRAGMENT_BYTES)];
    offset = end;
    if (file.path !== path) continue;
    return digests.slice(section.fragmentIndex + first, section.fragmentIndex + last);
  }
  return [];
}

async function flipByte(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[at]! ^= 1;
  await writeFile(path, bytes);
}

async function marksPath(): Promise<string> {
  const [name, ...others] = await readdir(join(node.dataDir, "assemblies"));
  expect(others).toEqual([]);
  return join(node.dataDir, "assemblies", name!);
}

/** Fragments that no other file needs. */
function onlyOf(path: string): readonly Digest[] {
  const others = FILES.filter((file) => file.path !== path).flatMap((file) =>
    fragmentsOf(file.path),
  );
  return fragmentsOf(path).filter((digest) => !others.includes(digest));
}

/** Every fragment that was not held any more has come again, once, and no other. */
function expectLostFetched(fetched: readonly Digest[], held: readonly string[]): void {
  const lost = [...PACK.fragments.keys()].filter((digest) => !held.includes(digest));
  expect(fetched.toSorted()).toEqual(lost.toSorted());
}

/** A folder moved elsewhere, with a link in its place. */
async function linked(folder: string): Promise<void> {
  await rename(folder, join(node.dataDir, "moved"));
  await symlink(join(node.dataDir, "moved"), folder);
}

describe("half-made files that are not what they were", () => {
  it.each([
    ["a byte", async () => flipByte(incoming("b/c/other"), 7)],
    ["its last byte", async () => truncate(incoming("b/c/other"), 1299)],
    ["everything", async () => rm(incoming("b/c/other"))],
    ["its folder, for a link", async () => linked(incoming("b"))],
  ] as const)("are made again from the file on that has lost %s", async (_what, alter) => {
    await diedInLast();
    await alter();

    const { fetched, outcome } = await node.live(PACK);

    expect(outcome).toBe("success");
    await node.expectStored(FILES);
    const [first] = fragmentsOf("b/c/other");
    expect(fetched).toContain(first);
    expect(fetched.filter((digest) => onlyOf("a/large").includes(digest))).toEqual([]);
  });

  it.each([
    ["a byte", async () => flipByte(incoming("a/large"), 7)],
    ["its end", async () => truncate(incoming("a/large"), 100)],
    ["everything", async () => rm(incoming(), { recursive: true })],
  ] as const)("are fetched again where the only one has lost %s", async (_what, alter) => {
    const first = await diedInFirst();
    const held = await node.heldFragments();
    await alter();

    const { fetched, outcome } = await node.live(PACK);

    expect(first.fetched).toEqual([]);
    expect(outcome).toBe("success");
    await node.expectStored(FILES);
    expectLostFetched(fetched, held);
  });

  it("are read again, and not fetched, where only their times have changed", async () => {
    await diedInLast();
    await utimes(incoming("a/large"), 1, 1);
    await chmod(incoming("b/c/other"), 0o600);

    const { fetched, outcome } = await node.live(PACK);

    expect(outcome).toBe("success");
    expect(fetched).toEqual([]);
    await node.expectStored(FILES);
  });

  it("bring nothing into the package that is not of it", async () => {
    await diedInLast();
    await writeFile(incoming("a/stray"), "stray");
    await symlink("/", incoming("root"));
    await symlink("/etc", incoming("last.new"));
    await mkdir(incoming("b/more/still"), { recursive: true });

    const { fetched } = await node.live(PACK);

    expect(fetched).toEqual([]);
    await node.expectStored(FILES);
    expect(await readdir(join(node.dataDir, "store/x"), { recursive: true })).toHaveLength(8);
  });

  it.each([
    ["gone", async (path: string) => rm(path)],
    ["empty", async (path: string) => truncate(path, 0)],
    ["no text", async (path: string) => writeFile(path, randomBytes(500))],
    ["far too long", async (path: string) => appendFile(path, Buffer.alloc(17 * 1024 * 1024))],
    [
      "of another folder",
      async (path: string) =>
        rename(path, join(node.dataDir, "assemblies", `${"ab".repeat(32)}.marks`)),
    ],
  ] as const)("count for nothing where their marks are %s", async (_what, alter) => {
    await diedInLast();
    await alter(await marksPath());
    const held = await node.heldFragments();

    const { fetched, outcome } = await node.live(PACK);

    expect(outcome).toBe("success");
    await node.expectStored(FILES);
    expectLostFetched(fetched, held);
  });

  it("count up to the last good mark where the newest is torn or rotten", async () => {
    await diedInLast();
    const path = await marksPath();
    const lines = (await readFile(path, "utf8")).trimEnd().split("\n");
    await writeFile(
      path,
      `${lines.slice(0, -1).join("\n")}\n${lines.at(-1)!.replace("1", "2")}\n0bad`,
    );

    const { fetched, outcome } = await node.live(PACK);

    expect(outcome).toBe("success");
    await node.expectStored(FILES);
    // At most the batch that only the lost mark spoke of.
    expect(fetched.length).toBeLessThan(4);
  });

  it("go where another version comes to the same place", async () => {
    await diedInLast();
    const files = [{ path: "a/large", text: text(900, "newer") }];
    const newer = packOf(files);
    await node.hold(newer);

    const { fetched, outcome } = await node.live(newer);

    expect(outcome).toBe("success");
    expect(fetched).toEqual([]);
    await node.expectStored(files);
  });
});
