/**
 * Assemblies that were cut off: where their files lie and how far they came, over restarts of the process
 * and of the machine. Only for content that is given up while files are made of it; everything else is
 * still in the fragment store. A mark alone makes no file accepted: the tree is checked against it before
 * anything is left out of a fetch or built upon, and each file that is finished is proven as ever.
 */
import { hash, type Hash } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Logger } from "pino";
import { parseDigest, type Digest } from "../../protocol/ids.ts";
import {
  MarkFile,
  readLastMark,
  type AssemblyMark,
  type FoundMark,
  type Swap,
} from "./assembly-marks.ts";
import type { AssemblyPoint } from "./assembly-point.ts";
import { checkedTree, type CheckedTree } from "./checked-tree.ts";
import type { ContentIndex } from "./content-index.ts";

/** What an assembly finds of earlier tries. */
export type Resumption =
  /** The folder does not exist. */
  | { readonly kind: "none" }
  | { readonly kind: "half"; readonly tree: CheckedTree }
  /** The files are where they belong already; only what follows the swap may be missing. */
  | { readonly kind: "swapped"; readonly swap: Swap };

/** One assembly, as `resumed` names it. */
export interface AssemblyPlace {
  readonly manifest: Digest;
  readonly folder: string;
  /** The folder that it takes the place of in the end. */
  readonly target?: string;
}

/** Where the files stand, all of it on the disk. */
export interface Standing extends AssemblyPoint {
  readonly prefix: Digest;
  readonly looks: Hash;
}

/** Hears of one assembly where it stands. Durable on return. */
export interface AssemblyMarks {
  mark(standing: Standing): Promise<void>;
}

interface Known {
  readonly mark: AssemblyMark;
  readonly file: MarkFile;
}

export class HalfMade implements AsyncDisposable {
  readonly #folder: string;
  readonly #log: Pick<Logger, "info" | "warn"> | undefined;
  /** By folder of the files. */
  readonly #known: Map<string, Known>;
  /** Folders that somebody writes to right now, and of which package. */
  readonly #active = new Map<string, Digest>();
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    folder: string,
    known: Map<string, Known>,
    log: Pick<Logger, "info" | "warn"> | undefined,
  ) {
    this.#folder = folder;
    this.#known = known;
    this.#log = log;
  }

  /** Reads all marks; those that say nothing go, and their files with whoever writes there next. */
  static async open(folder: string, log?: Pick<Logger, "info" | "warn">): Promise<HalfMade> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const known = new Map<string, Known>();
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      const found = await readLastMark(path);
      const refusal = refusalOf(found, name);
      if (found.kind === "mark" && refusal === undefined) {
        known.set(found.mark.folder, { mark: found.mark, file: new MarkFile(path) });
        continue;
      }
      log?.warn({ name, reason: refusal }, "assembly.markRefused");
      await rm(path, { recursive: true, force: true });
    }
    return new HalfMade(folder, known, log);
  }

  has(manifest: Digest): boolean {
    return this.#of(manifest).length > 0;
  }

  /** Whether there is a mark for files in this folder. */
  holds(folder: string): boolean {
    return this.#known.has(folder);
  }

  /** What a fetch need not bring: the point up to which the files hold good; undefined where none do. */
  async reached(manifest: Digest, index: ContentIndex): Promise<AssemblyPoint | undefined> {
    return this.#inTurn(async () => {
      const [known] = this.#of(manifest);
      if (known === undefined) return undefined;
      const { folder, place, bytes } = known.mark;
      // Its files change under our eyes; whoever puts them together looks for himself.
      if (this.#active.has(folder)) return { place, bytes };
      const found = await this.#checked(known, index, known.mark.swap?.target);
      if (found.kind === "half") return found.tree.point;
      return found.kind === "swapped" ? { place: index.files.length, bytes: 0 } : undefined;
    });
  }

  /** For whoever writes there now, until `ended`: of what cannot be used nothing is left. */
  async resumed(
    { manifest, folder, target }: AssemblyPlace,
    index: ContentIndex,
  ): Promise<Resumption> {
    return this.#inTurn(async () => {
      this.#active.set(folder, manifest);
      for (const { mark } of this.#of(manifest)) {
        if (mark.folder !== folder) await this.#clear(mark.folder, "the files go elsewhere now");
      }
      const known = this.#known.get(folder);
      if (known !== undefined && known.mark.manifest !== manifest) {
        await this.#clear(folder, "it is of another package");
      }
      const own = this.#known.get(folder);
      const found = own === undefined ? NONE : await this.#checked(own, index, target);
      if (found.kind === "none") await rm(folder, { recursive: true, force: true });
      if (found.kind !== "half") return found;
      for (const stray of found.tree.strays) {
        await rm(join(folder, stray), { recursive: true, force: true });
      }
      const { point } = found.tree;
      this.#log?.info({ manifest, ...point, strays: found.tree.strays.length }, "assembly.resumed");
      return found;
    });
  }

  /** Nobody puts this package together any more, moves its files, or runs them. */
  ended(manifest: Digest): void {
    for (const [folder, digest] of this.#active) {
      if (digest === manifest) this.#active.delete(folder);
    }
  }

  marks({ manifest, folder }: AssemblyPlace): AssemblyMarks {
    return {
      mark: async (standing) => this.#append(markOf(manifest, folder, standing)),
    };
  }

  /** The files in `folder` are whole, and about to take the place of another folder. */
  async swapping(folder: string, swap: Swap): Promise<void> {
    const known = this.#known.get(folder);
    if (known !== undefined) await this.#append({ ...known.mark, swap });
  }

  /** Removes the files in `folder`, and what is known of them. */
  async clear(folder: string, reason: string): Promise<void> {
    await this.#inTurn(async () => this.#clear(folder, reason));
  }

  /** The end of its job is written down. */
  async forget(manifest: Digest): Promise<void> {
    await this.#inTurn(async () => {
      for (const { mark } of this.#of(manifest)) await this.#clear(mark.folder, "its job is over");
    });
  }

  /** Removes the files of packages that nobody wants any more: withdrawn, replaced, or done. */
  async keepOnly(isWanted: (manifest: Digest) => boolean): Promise<void> {
    await this.#inTurn(async () => {
      for (const { mark } of this.#known.values()) {
        // Asked for each: the wishes may change while files are being removed.
        if (this.#active.has(mark.folder) || isWanted(mark.manifest)) continue;
        await this.#clear(mark.folder, "nobody wants the package any more");
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last;
    for (const { file } of this.#known.values()) await file[Symbol.asyncDispose]();
  }

  #of(manifest: Digest): readonly Known[] {
    return [...this.#known.values()].filter(({ mark }) => mark.manifest === manifest);
  }

  /** Checks the tree; what is left of it is marked, and what is worth nothing goes. */
  async #checked(
    { mark }: Known,
    index: ContentIndex,
    target: string | undefined,
  ): Promise<Resumption> {
    const { folder, manifest } = mark;
    const checked = await checkedTree(folder, mark, index);
    if (checked.kind === "refused") {
      const swap = await swapped(mark, index, target);
      if (swap !== undefined) return { kind: "swapped", swap };
      await this.#clear(folder, checked.reason);
      return NONE;
    }
    const { tree } = checked;
    if (tree.isNew) {
      this.#log?.warn({ manifest, from: mark.place, to: tree.point.place }, "assembly.readAgain");
      await this.#append(markOf(manifest, folder, { ...tree.point, ...tree }));
    }
    return { kind: "half", tree };
  }

  async #append(mark: AssemblyMark): Promise<void> {
    const { folder } = mark;
    const file = this.#known.get(folder)?.file ?? new MarkFile(join(this.#folder, nameOf(folder)));
    await file.append(mark);
    this.#known.set(folder, { mark, file });
  }

  // Files first: a mark whose files are half removed is found out, files without a mark by nobody.
  async #clear(folder: string, reason: string): Promise<void> {
    const known = this.#known.get(folder);
    await rm(folder, { recursive: true, force: true });
    if (known === undefined) return;
    const { manifest, place, bytes } = known.mark;
    this.#log?.info({ manifest, place, bytes, reason }, "assembly.cleared");
    this.#known.delete(folder);
    await known.file.remove();
  }

  /** One look or removal at a time, so that none meets files that another one is removing. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}

const NONE: Resumption = { kind: "none" };

/** The power failed behind the swap: the files lie in the target, all of them and nothing else. */
async function swapped(
  { swap, ...mark }: AssemblyMark,
  index: ContentIndex,
  target: string | undefined,
): Promise<Swap | undefined> {
  if (swap === undefined || swap.target !== target) return undefined;
  if (mark.place !== index.files.length) return undefined;
  const checked = await checkedTree(target, mark, index);
  if (checked.kind === "refused") return undefined;
  const { point, strays } = checked.tree;
  return point.place === index.files.length && strays.length === 0 ? swap : undefined;
}

function markOf(
  manifest: Digest,
  folder: string,
  { place, bytes, prefix, looks }: Standing,
): AssemblyMark {
  const digest = parseDigest(looks.copy().digest("hex"));
  return { v: 1, manifest, folder, place, bytes, prefix, looks: digest };
}

function refusalOf(found: FoundMark, name: string): string | undefined {
  if (found.kind === "refused") return found.reason;
  const { folder } = found.mark;
  return nameOf(folder) === name && isMadeHere(folder) ? undefined : "it names another folder";
}

function nameOf(folder: string): string {
  return `${hash("sha256", folder, "hex")}.marks`;
}

/** What a mark names may be removed: only what an assembly makes. */
function isMadeHere(folder: string): boolean {
  const isIncoming = /^\..+\.incoming$/u.test(basename(folder));
  const isAttempt = basename(dirname(folder)) === "tmp";
  return resolve(folder) === folder && (isIncoming || isAttempt);
}
