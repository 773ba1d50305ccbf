/**
 * The content room of a node, put together: fragments, manifests, and the keeper of the cache. The swarm
 * needs the store, and the store's losses are the swarm's news; that circle is closed by `tellLosses`.
 */
import { join } from "node:path";
import type { Logger } from "pino";
import { DeployError } from "../protocol/errors.ts";
import type { NodeSettings } from "./config.ts";
import { CacheKeeper } from "./content/cache-keeper.ts";
import { FolderFragmentStore } from "./content/fragment-store.ts";
import { HalfMade } from "./content/half-made.ts";
import type { Journal } from "./content/journal.ts";
import { ManifestSource, type FetchManifest } from "./content/manifest-source.ts";
import type { Refusal, Swarm } from "./content/ports.ts";
import { cacheWants } from "./core/cache-wants.ts";
import type { TrustStore } from "./trust/trust-store.ts";

export interface ContentParts {
  readonly dataDir: string;
  readonly settings: Pick<NodeSettings, "cache">;
  readonly trust: Pick<TrustStore, "instructions">;
  readonly journal: Journal;
  readonly fetchManifest: FetchManifest;
  readonly onRefusal: (refusal: Refusal) => void;
  readonly now: () => number;
  readonly log: Logger;
}

export interface ContentRoom {
  readonly store: FolderFragmentStore;
  readonly manifests: ManifestSource;
  readonly cache: CacheKeeper;
  readonly halfMade: HalfMade;
  /** What leaves the store is told from now on. */
  readonly tellLosses: (swarm: Pick<Swarm, "evicted">) => void;
}

export async function openContent(
  stack: AsyncDisposableStack,
  parts: ContentParts,
): Promise<ContentRoom> {
  const { dataDir, settings, trust, journal, onRefusal, now, log } = parts;
  const circle: { swarm?: Pick<Swarm, "evicted">; cache?: CacheKeeper } = {};
  const folder = join(dataDir, "fragments");
  const store = stack.use(
    await FolderFragmentStore.open(folder, {
      onCorrupt: (fragment) => {
        const detail = new DeployError("FRAGMENT_CORRUPT", { digest: fragment }).message;
        onRefusal({ code: "FRAGMENT_CORRUPT", detail, fragment });
      },
      onGone: (digests) => circle.swarm?.evicted(digests),
      makeRoom: async (neededBytes) => ((await circle.cache?.review(neededBytes)) ?? 0) > 0,
      now,
    }),
  );
  const manifests = await ManifestSource.open(join(dataDir, "manifests"), parts.fetchManifest, now);
  const halfMade = stack.use(await HalfMade.open(join(dataDir, "assemblies"), log));
  const cache = new CacheKeeper({
    store,
    manifests,
    halfMade,
    folder,
    settings: settings.cache,
    wants: () => cacheWants(trust.instructions(), journal.state),
    instructed: () => trust.instructions().map(({ manifestDigest }) => manifestDigest),
    log,
  });
  circle.cache = cache;
  return {
    store,
    manifests,
    cache,
    halfMade,
    tellLosses: (swarm) => {
      circle.swarm = swarm;
    },
  };
}
