/**
 * What this node knows of package versions that it has put together before, so that the next version needs
 * less: where the files lie, and a copy of their index, which outlives the fragments.
 */
import { hash } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Type, type Static } from "typebox";
import { DeployError } from "../../protocol/errors.ts";
import {
  DigestSchema,
  PackageNameSchema,
  PackageVersionSchema,
  type Digest,
  type PackageName,
} from "../../protocol/ids.ts";
import { parserOf, readJson } from "../../protocol/json.ts";
import { MANIFEST_MAX_BYTES } from "../../protocol/limits.ts";
import { ContentSchema, type Manifest } from "../../protocol/manifest.ts";
import type { PageSource } from "./content-index.ts";
import { isErrorCode, readFileIfAny, writeFileDurably } from "./write-file.ts";

const LocalPackageSchema = Type.Object(
  {
    v: Type.Literal(1),
    name: PackageNameSchema,
    version: PackageVersionSchema,
    manifest: DigestSchema,
    content: ContentSchema,
    /** Where `store` put its files; absent: they follow from fragments that may still be here. */
    folder: Type.Optional(Type.String({ minLength: 1, maxLength: 4096 })),
  },
  { additionalProperties: false },
);
export type LocalPackage = Static<typeof LocalPackageSchema>;
const parseLocalPackage = parserOf("a note of a local package", LocalPackageSchema);

/** Versions without a folder that are remembered per name: their fragments go sooner or later. */
const WITHOUT_FOLDER_LIMIT = 3;

export class LocalPackages {
  readonly #folder: string;
  /** By file name, the newest last. */
  readonly #known: Map<string, LocalPackage>;

  #last: Promise<void> = Promise.resolve();

  private constructor(folder: string, known: Map<string, LocalPackage>) {
    this.#folder = folder;
    this.#known = known;
  }

  /** Reads all notes; one that cannot be read is worth nothing and goes. */
  static async open(folder: string): Promise<LocalPackages> {
    await mkdir(join(folder, "pages"), { recursive: true, mode: 0o700 });
    const known = new Map<string, LocalPackage>();
    for (const name of await readdir(folder)) {
      if (!name.endsWith(".json")) continue;
      const note = await readNote(join(folder, name));
      if (note === undefined) await rm(join(folder, name), { force: true });
      else known.set(name, note);
    }
    return new LocalPackages(folder, known);
  }

  /** Versions of a package, those with a folder first. */
  named(name: PackageName): readonly LocalPackage[] {
    const found = [...this.#known.values()].filter((note) => note.name === name);
    return found.toSorted((one, other) => Number(isLoose(one)) - Number(isLoose(other)));
  }

  /** Copies of the pages of every known version. */
  get pages(): PageSource {
    return { read: async (digest) => this.#page(digest) };
  }

  /**
   * Notes a version that was put together just now; in the same folder it takes the place of the one before.
   * Nothing is noted where a page is gone already or the disk is full: it only saves something later.
   */
  async remember(
    manifest: Manifest,
    digest: Digest,
    folder: string | undefined,
    source: PageSource,
  ): Promise<void> {
    // One at a time: pages of a note that is being written must not look superfluous to another.
    const noted = this.#last.then(async () => this.#remember(manifest, digest, folder, source));
    this.#last = noted.catch(() => undefined);
    return noted;
  }

  async #remember(
    manifest: Manifest,
    digest: Digest,
    folder: string | undefined,
    source: PageSource,
  ): Promise<void> {
    if (manifest.content === undefined) return;
    const { deltas: _none, ...content } = manifest.content;
    const { name, version } = manifest;
    const where = folder === undefined ? {} : { folder };
    const note = { v: 1 as const, name, version, manifest: digest, content, ...where };
    try {
      if (!(await this.#keepPages(note, source))) return;
      const file = `${hash("sha256", folder ?? digest, "hex").slice(0, 32)}.json`;
      await writeFileDurably(join(this.#folder, file), JSON.stringify(note));
      this.#known.delete(file);
      this.#known.set(file, note);
      await this.#forgetOld(name);
    } catch (cause) {
      if (!isErrorCode(cause, "ENOSPC", "EDQUOT")) throw cause;
    }
  }

  async #keepPages({ content }: LocalPackage, source: PageSource): Promise<boolean> {
    for (const { digest } of [...content.fragmentPages, ...content.filePages]) {
      if ((await this.#page(digest)) !== undefined) continue;
      const bytes = await source.read(digest);
      if (bytes === undefined) return false;
      await writeFileDurably(this.#pagePath(digest), bytes);
    }
    return true;
  }

  async #forgetOld(name: PackageName): Promise<void> {
    const loose = [...this.#known].filter(([, note]) => note.name === name && isLoose(note));
    for (const [file] of loose.slice(0, -WITHOUT_FOLDER_LIMIT)) {
      this.#known.delete(file);
      await rm(join(this.#folder, file), { force: true });
    }
    const needed = new Set(
      [...this.#known.values()].flatMap(({ content }) =>
        [...content.fragmentPages, ...content.filePages].map((page): string => page.digest),
      ),
    );
    for (const page of await readdir(join(this.#folder, "pages"))) {
      if (!needed.has(page)) await rm(join(this.#folder, "pages", page), { force: true });
    }
  }

  async #page(digest: Digest): Promise<Buffer | undefined> {
    const bytes = await readFileIfAny(this.#pagePath(digest));
    return bytes !== undefined && hash("sha256", bytes, "hex") === digest ? bytes : undefined;
  }

  #pagePath(digest: Digest): string {
    return join(this.#folder, "pages", digest);
  }
}

function isLoose({ folder }: LocalPackage): boolean {
  return folder === undefined;
}

async function readNote(path: string): Promise<LocalPackage | undefined> {
  const bytes = await readFileIfAny(path);
  if (bytes === undefined) return undefined;
  try {
    return parseLocalPackage(readJson("a note of a local package", bytes, MANIFEST_MAX_BYTES));
  } catch (error) {
    // Of another program version, or rotten: the next deployment writes it anew.
    if (error instanceof DeployError) return undefined;
    throw error;
  }
}
