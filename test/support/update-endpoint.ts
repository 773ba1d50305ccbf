/**
 * An endpoint that gets one version after the other, without network and without a coordinator: the product's
 * own plan, assembly and notes over a fragment store in memory. Counts the wire bytes that it had to fetch.
 */
import { mkdtemp, readFile, rm, rename } from "node:fs/promises";
import { join } from "node:path";
import type { BuiltPackage } from "../../coordinator/publish/build-package.ts";
import { publishedVersion } from "../../coordinator/publish/published-version.ts";
import type { OlderVersion } from "../../coordinator/publish/older-version.ts";
import { fetchContent, type ContentParts } from "../../node/actions/fetch-content.ts";
import { assemble, type LocalContent } from "../../node/content/assemble.ts";
import type { AssemblyPoint } from "../../node/content/assembly-point.ts";
import { readContentIndex } from "../../node/content/content-index.ts";
import { LocalPackages } from "../../node/content/local-packages.ts";
import type { SwarmItem } from "../../node/content/ports.ts";
import type { SourceBytes } from "../../protocol/check-in.ts";
import { parseSwarmTag, type Digest } from "../../protocol/ids.ts";
import { swarmSections } from "../../protocol/swarm-order.ts";
import { writeTree, type Tree } from "./archives.ts";
import { builtFrom } from "./build.ts";
import { MemoryFragmentStore, swarmDigests } from "./memory-content.ts";

const SIGNAL = new AbortController().signal;
const GIBIBYTE = 1024 ** 3;

export interface Installed {
  readonly fetchedBytes: number;
  /** As the job reports them. */
  readonly bytes: SourceBytes;
}

/** A package with the wire bytes of all its fragments by swarm index. */
interface Origin {
  readonly digests: readonly Digest[];
  readonly wire: ReadonlyMap<Digest, Buffer>;
}

export class UpdateEndpoint {
  readonly store = new MemoryFragmentStore();
  readonly packages: LocalPackages;
  /** Where versions are stored, one over the other. */
  readonly target: string;
  readonly #incoming: string;
  /** Swarm indices that neighbours are said to have. */
  nearby: (index: number) => boolean = () => false;
  freeMemoryBytes = 8 * GIBIBYTE;
  /** How far an earlier try has come with the files. */
  point: AssemblyPoint | undefined;

  private constructor(folder: string, packages: LocalPackages) {
    this.packages = packages;
    this.target = join(folder, "app");
    this.#incoming = join(folder, "incoming");
  }

  static async open(folder: string): Promise<UpdateEndpoint> {
    return new UpdateEndpoint(folder, await LocalPackages.open(join(folder, "sources")));
  }

  /** Fetches what is needed; nothing is put together. */
  async fetched(
    built: BuiltPackage,
    options: { readonly isReplica?: boolean; readonly isPlain?: boolean } = {},
  ): Promise<Installed & { readonly local: LocalContent | undefined }> {
    const origin = await originOf(built);
    let fetchedBytes = 0;
    const fetch: ContentParts["fetch"] = async ({ wanted }) => {
      let bytes = 0;
      for (const [index, digest] of origin.digests.entries()) {
        const isWanted = wanted === undefined ? index < mainEnd(built) : wanted.has(index);
        if (!isWanted || this.store.has(digest)) continue;
        const wire = origin.wire.get(digest)!;
        await this.store.write(digest, wire);
        bytes += wire.length;
      }
      fetchedBytes += bytes;
      return { doneBytes: bytes, bytes: { local: 0, peer: 0, dp: 0, origin: bytes } };
    };
    let bytes = { local: 0, peer: 0, dp: 0, origin: 0 };
    const parts = {
      fetch,
      isNearby: (_item: SwarmItem, index: number) => this.nearby(index),
      store: this.store,
      packages: this.packages,
      halfMade: { has: () => this.point !== undefined, reached: async () => this.point },
      freeMemoryBytes: () => this.freeMemoryBytes,
    };
    const local = await fetchContent(parts, {
      item: itemOf(built),
      isReplica: options.isReplica ?? false,
      isPlain: options.isPlain ?? false,
      signal: SIGNAL,
      onProgress: (now) => {
        bytes = now;
      },
    });
    return { fetchedBytes, bytes, local };
  }

  /** Fetches, puts together, stores and notes a version, as a `store` job does. */
  async install(built: BuiltPackage): Promise<Installed> {
    const { local, ...installed } = await this.fetched(built);
    await this.put(built, local);
    return installed;
  }

  async put(built: BuiltPackage, local: LocalContent | undefined): Promise<void> {
    const { manifest } = built;
    const index = await readContentIndex(manifest, manifest.content!, this.store);
    const sources = local === undefined ? {} : { local };
    const settings = { folder: this.#incoming, store: this.store, signal: SIGNAL };
    await rm(this.#incoming, { recursive: true, force: true });
    await assemble(index, { ...settings, isDurable: false, ...sources });
    await rm(this.target, { recursive: true, force: true });
    await rename(this.#incoming, this.target);
    await this.packages.remember(manifest, built.manifestDigest, this.target, this.store);
  }
}

/** A package of these files, with patches from `bases`, built below `folder`. */
export async function builtTree(
  folder: string,
  tree: Tree,
  bases: readonly BuiltPackage[] = [],
): Promise<BuiltPackage> {
  const source = await mkdtemp(join(folder, "tree-"));
  await writeTree(source, tree);
  const action = { kind: "store", path: "app" } as const;
  return builtFrom(folder, { source, action, bases: await Promise.all(bases.map(asBase)) });
}

/** A built version as the base of patches for the next one. */
export async function asBase(built: BuiltPackage): Promise<OlderVersion> {
  const { wire } = await originOf(built);
  const published = {
    manifest: async () => built.manifestBytes,
    fragment: async (digest: Digest) => wire.get(digest)!,
  };
  const base = await publishedVersion(built.manifestDigest, published, SIGNAL);
  return base!;
}

export function itemOf({ manifest, manifestDigest }: BuiltPackage): SwarmItem {
  return { swarm: parseSwarmTag(manifestDigest), manifestDigest, manifest };
}

function mainEnd({ manifest }: BuiltPackage): number {
  return swarmSections(manifest.content!)[0].endIndex;
}

async function originOf({ manifest, fragments }: BuiltPackage): Promise<Origin> {
  const wire = new Map<Digest, Buffer>();
  for (const { digest, filePath } of fragments) wire.set(digest, await readFile(filePath));
  const digests = swarmDigests(manifest.content!, wire);
  return { digests, wire };
}
