/**
 * A disk under a process that dies: every step that changes the disk is counted, and from a chosen one on
 * nothing reaches it any more. What a power cut loses besides a kill is undone then: bytes that no sync
 * followed, and names that were made or moved since their folder was synced. Removals stay, synced or not.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import fs, { type FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join, sep } from "node:path";

export interface LifeSettings {
  /** The step that is not carried out, from 1 on: a write leaves half of it. Absent: the process lives. */
  readonly dieAt?: number;
  readonly death?: "kill" | "power cut";
  /** New names below these are lost with a power cut until their folder is synced. */
  readonly folders?: readonly string[];
}

/** A file that was opened, under the name that it has now. */
interface Opened {
  path: string;
  /** What a power cut leaves of it; absent: all. */
  syncedBytes?: number;
}

interface NameChange {
  readonly folder: string;
  readonly undo: () => Promise<unknown>;
}

type Work = (...args: unknown[]) => Promise<unknown>;

const real = { ...fs };
const lives = new AsyncLocalStorage<Life>();
const files = new WeakMap<FileHandle, Opened>();

/** One process on the disk: what runs in it, and whatever that starts, steps through it. */
export class Life {
  readonly #settings: LifeSettings;
  readonly steps: string[] = [];
  readonly #opened = new Map<string, Opened>();
  readonly #handles: FileHandle[] = [];
  readonly #died = Promise.withResolvers<void>();
  #changes: NameChange[] = [];
  #isDead = false;

  constructor(settings: LifeSettings = {}) {
    this.#settings = settings;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  get death(): Promise<void> {
    return this.#died.promise;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    return lives.run(this, work);
  }

  /** What the death takes with it, once nothing of this process runs any more. */
  async bury(): Promise<void> {
    // The kernel closes what a dead process had open.
    for (const handle of this.#handles) if (handle.fd >= 0) await handle.close();
    if (this.#settings.death !== "power cut") return;
    for (const { undo } of this.#changes.toReversed()) await undo();
    for (const { path, syncedBytes } of this.#opened.values()) {
      if (syncedBytes === undefined) continue;
      await real.truncate(path, syncedBytes).catch(() => undefined);
    }
  }

  /** `torn`: what the step does where the death meets it. */
  async step(name: string, torn?: () => Promise<unknown>): Promise<void> {
    if (this.#isDead) throw new Error("the process is dead");
    this.steps.push(name);
    if (this.steps.length !== this.#settings.dieAt) return;
    this.#isDead = true;
    await torn?.();
    this.#died.resolve();
    throw new Error("the process has died");
  }

  opened(path: string, handle: FileHandle): Opened {
    const file = this.#opened.get(path) ?? { path };
    this.#opened.set(path, file);
    this.#handles.push(handle);
    return file;
  }

  moved(from: string, to: string): void {
    const file = this.#opened.get(from);
    this.#opened.delete(from);
    this.#opened.delete(to);
    if (file === undefined) return;
    file.path = to;
    this.#opened.set(to, file);
  }

  removed(path: string): void {
    for (const known of this.#opened.keys()) {
      if (known === path || known.startsWith(path + sep)) this.#opened.delete(known);
    }
  }

  synced(folder: string): void {
    this.#changes = this.#changes.filter((change) => change.folder !== folder);
  }

  /** A name came up; `undo` takes it back. */
  named(path: string, undo: () => Promise<unknown>): void {
    const isMeant = this.#settings.folders?.some((folder) => path.startsWith(folder + sep));
    if (isMeant === true) this.#changes.push({ folder: dirname(path), undo });
  }
}

/** Puts lives under all file operations of this process until it is disposed. */
export async function dyingDisk(): Promise<Disposable> {
  const probePath = join(tmpdir(), `branchline-probe-${process.pid}`);
  await using probe = await real.open(probePath, "w");
  await real.rm(probePath);
  const prototype = Object.getPrototypeOf(probe) as Record<string, Work>;
  const kept = Object.fromEntries(METHODS.map((name) => [name, prototype[name]!]));
  for (const name of METHODS) prototype[name] = steppingMethod(name, kept[name]!);
  Object.assign(fs, { open, rename, rm, mkdir, chmod });
  syncBuiltinESMExports();
  return {
    [Symbol.dispose]: () => {
      Object.assign(prototype, kept);
      Object.assign(fs, real);
      syncBuiltinESMExports();
    },
  };
}

const METHODS = ["writeFile", "appendFile", "truncate", "sync", "datasync", "chmod"] as const;

function steppingMethod(name: (typeof METHODS)[number], method: Work): Work {
  return async function stepping(this: FileHandle, ...args: unknown[]): Promise<unknown> {
    const life = lives.getStore();
    const file = files.get(this);
    if (life === undefined || file === undefined) return method.apply(this, args);
    const isWrite = name === "writeFile" || name === "appendFile";
    const { size } = await this.stat();
    const endBytes = name === "truncate" ? Number(args[0]) : size;
    if (isWrite || name === "truncate") {
      file.syncedBytes = Math.min(file.syncedBytes ?? size, endBytes);
    }
    const torn = isWrite ? async () => this.write(firstHalf(args[0])) : undefined;
    await life.step(`${name} ${basename(file.path)}`, torn);
    const result = await method.apply(this, args);
    if (name === "sync" || name === "datasync") {
      delete file.syncedBytes;
      life.synced(file.path);
    }
    return result;
  };
}

function firstHalf(data: unknown): Uint8Array {
  const bytes = typeof data === "string" ? Buffer.from(data) : (data as Uint8Array);
  return bytes.subarray(0, bytes.length >> 1);
}

async function open(path: string, flags: string | number = "r", mode?: number) {
  const life = lives.getStore();
  if (life === undefined) return real.open(path, flags, mode);
  const isReading = flags === "r" || (typeof flags === "number" && (flags & 3) === 0);
  if (!isReading) {
    const isNew = !(await exists(path));
    await life.step(`open ${basename(path)}`);
    if (isNew) life.named(path, async () => real.rm(path, { force: true }));
  }
  const handle = await real.open(path, flags, mode);
  files.set(handle, life.opened(path, handle));
  return handle;
}

async function rename(from: string, to: string): Promise<void> {
  const life = lives.getStore();
  if (life === undefined) return real.rename(from, to);
  const before = await bytesIfFile(to);
  await life.step(`rename ${basename(to)}`);
  await real.rename(from, to);
  life.moved(from, to);
  life.named(to, async () => {
    await real.rename(to, from).catch(() => undefined);
    if (before !== undefined) await real.writeFile(to, before);
  });
}

async function rm(path: string, options?: Parameters<typeof fs.rm>[1]): Promise<void> {
  const life = lives.getStore();
  if (life === undefined || !(await exists(path))) return real.rm(path, options);
  // A folder that is half removed has lost one of its files.
  await life.step(`rm ${basename(path)}`, async () => removeOne(path));
  await real.rm(path, options);
  life.removed(path);
}

async function removeOne(path: string): Promise<void> {
  if (!(await real.lstat(path)).isDirectory()) return;
  const entries = await real.readdir(path, { recursive: true, withFileTypes: true });
  const first = entries.find((entry) => entry.isFile());
  if (first !== undefined) await real.rm(join(first.parentPath, first.name));
}

async function mkdir(path: string, options?: Parameters<typeof fs.mkdir>[1]): Promise<unknown> {
  const life = lives.getStore();
  if (life === undefined || (await exists(path))) return real.mkdir(path, options);
  await life.step(`mkdir ${basename(path)}`);
  life.named(path, async () => real.rm(path, { recursive: true, force: true }));
  return real.mkdir(path, options);
}

async function chmod(path: string, mode: number): Promise<void> {
  await lives.getStore()?.step(`chmod ${basename(path)}`);
  await real.chmod(path, mode);
}

async function exists(path: string): Promise<boolean> {
  return real.lstat(path).then(
    () => true,
    () => false,
  );
}

async function bytesIfFile(path: string): Promise<Buffer | undefined> {
  return real.readFile(path).catch(() => undefined);
}
