/** A node that puts a package together, dies while it consumes the fragments, and starts again. */
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { FolderFragmentStore } from "../../../node/content/fragment-store.ts";
import { HalfMade } from "../../../node/content/half-made.ts";
import type { FragmentStore } from "../../../node/content/ports.ts";
import type { Digest } from "../../../protocol/ids.ts";
import { dyingDisk, Life, type LifeSettings } from "../../support/dying-disk.ts";
import {
  MemoryExchange,
  memoryPackage,
  type MemoryFile,
  type MemoryPackage,
} from "../../support/memory-content.ts";
import { jobFixture } from "./job-fixture.ts";

export const FRAGMENT_BYTES = 1000;
/** Two fragments are given up together. */
const ASSEMBLY = { isConsuming: true, batchBytes: 2 * FRAGMENT_BYTES };

/** Text that no two fragments share. */
export function text(length: number, seed: string): string {
  let made = "";
  for (let at = 0; made.length < length; at++) {
    made += createHash("sha256").update(`${seed} ${at}`).digest("hex");
  }
  return made.slice(0, length);
}

const REPEATED = text(2000, "repeated");
/** Files that share a fragment, small ones, one in folders, and fragments that come again in a later file. */
export const FILES: readonly MemoryFile[] = [
  { path: "a/large", text: REPEATED + text(4500, "large") },
  { path: "empty", text: "" },
  { path: "small", text: text(200, "small"), isExecutable: true },
  { path: "b/c/other", text: text(1300, "other") },
  { path: "last", text: REPEATED + text(1700, "last") },
];

export function packOf(files: readonly MemoryFile[]): MemoryPackage {
  return memoryPackage({ kind: "store", path: "x" }, files, FRAGMENT_BYTES);
}

export const PACK = packOf(FILES);

/** One process of the node: what it brought, and what its job ended as. */
export interface Course {
  readonly life: Life;
  readonly fetched: Digest[];
  outcome?: string;
}

/** One at a time: its disk is under all file operations of this process until it is disposed. */
export class DyingNode implements AsyncDisposable {
  readonly dataDir: string;
  readonly #disk: Disposable;
  readonly #manifests = new Map<string, Buffer>();

  private constructor(dataDir: string, disk: Disposable) {
    this.dataDir = dataDir;
    this.#disk = disk;
  }

  static async open(): Promise<DyingNode> {
    const dataDir = await mkdtemp(join(tmpdir(), "branchline-half-"));
    return new DyingNode(dataDir, await dyingDisk());
  }

  /** All fragments are on the disk, as after a fetch a while ago. */
  async hold(pack: MemoryPackage): Promise<void> {
    const path = join(this.dataDir, "fragments");
    await using store = await FolderFragmentStore.open(path, { onCorrupt: () => undefined });
    for (const [digest, bytes] of pack.fragments) await store.write(digest, bytes);
  }

  /** One process, from its start to the end of its job, or to its death. */
  async live(pack: MemoryPackage, settings: LifeSettings = {}): Promise<Course> {
    const folders = [join(this.dataDir, "store"), join(this.dataDir, "assemblies")];
    const course: Course = { life: new Life({ ...settings, folders }), fetched: [] };
    try {
      await course.life.run(async () => this.#process(pack, course, false));
    } catch (error) {
      if (!course.life.isDead) throw error;
    }
    await course.life.bury();
    return course;
  }

  /** One process that is stopped in order when it gives up its first fragment. */
  async stop(pack: MemoryPackage): Promise<void> {
    await this.#process(pack, { life: new Life(), fetched: [] }, true);
  }

  /** Dies at the so manieth step of an assembly whose fragments are all here. */
  async die(dieAt: number, death: LifeSettings["death"] = "kill"): Promise<Course> {
    await this.hold(PACK);
    return this.live(PACK, { dieAt, death });
  }

  /** Steps of a course that nothing cuts off. */
  async stepsOf(pack: MemoryPackage): Promise<readonly string[]> {
    await this.hold(pack);
    const { life, outcome } = await this.live(pack);
    expect(outcome).toBe("success");
    await this.clear();
    return life.steps;
  }

  async heldFragments(): Promise<readonly string[]> {
    const names = await readdir(join(this.dataDir, "fragments"), { recursive: true });
    return names.flatMap((name) => /[0-9a-f]{64}$/u.exec(name) ?? []);
  }

  /** The package is in its place, whole, and nothing else is left of it. */
  async expectStored(files: readonly MemoryFile[], what = ""): Promise<void> {
    const folder = join(this.dataDir, "store", "x");
    for (const file of files) {
      const path = join(folder, file.path);
      expect(await readFile(path, "utf8"), what + file.path).toBe(file.text);
      expect((await stat(path)).mode & 0o777, what).toBe(file.isExecutable ? 0o755 : 0o644);
    }
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    expect(entries.filter((entry) => !entry.isDirectory())).toHaveLength(files.length);
    // The cache's next look: a death right behind the end of the job left this to it.
    await using halfMade = await HalfMade.open(join(this.dataDir, "assemblies"));
    await halfMade.keepOnly(() => false);
    expect(await readdir(join(this.dataDir, "store")), what).toEqual(["x"]);
    expect(await readdir(join(this.dataDir, "assemblies")), what).toEqual([]);
  }

  async clear(): Promise<void> {
    await rm(this.dataDir, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disk[Symbol.dispose]();
    await this.clear();
  }

  async #process(pack: MemoryPackage, course: Course, isStopped: boolean): Promise<void> {
    const { dataDir } = this;
    const path = join(dataDir, "fragments");
    await using opened = await FolderFragmentStore.open(path, { onCorrupt: () => undefined });
    const stopped = Promise.withResolvers<void>();
    const store: FragmentStore = {
      has: (digest) => opened.has(digest),
      read: async (digest, room) => opened.read(digest, room),
      delete: async (digest) => {
        await opened.delete(digest);
        if (isStopped) stopped.resolve();
      },
      write: async (digest, bytes) => {
        course.fetched.push(digest);
        await opened.write(digest, bytes);
      },
    };
    const exchange = new MemoryExchange(store, new Map());
    const parts = { dataDir, manifests: this.#manifests, store, exchange, assembly: ASSEMBLY };
    const node = await jobFixture(parts);
    const ended = async (): Promise<void> => {
      const isDone = node.journal.state.records.get("job/aaaaaaaaaaaaaaaa")?.isDone === true;
      const outcome = isDone ? "success" : (await node.ended("job")).outcome!;
      await node.quiet();
      course.outcome = outcome;
    };
    try {
      node.direct(pack);
      await Promise.race([ended(), stopped.promise, course.life.death]);
    } finally {
      await node.close();
    }
  }
}
