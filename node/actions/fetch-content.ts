/**
 * Brings the content of one package to this node: all of it where nothing older is known, else the pages
 * first and then only what the files that are here do not give.
 */
import type { SourceBytes } from "../../protocol/check-in.ts";
import { DeployError } from "../../protocol/errors.ts";
import type { LocalContent } from "../content/assemble.ts";
import type { Exchange, FetchProgress, FragmentStore, SwarmItem } from "../content/ports.ts";
import type { LocalPackages } from "../content/local-packages.ts";
import { SourcePlan, type FetchPlan } from "../content/source-plan.ts";

export interface ContentParts {
  readonly fetch: Exchange["fetch"];
  readonly isNearby: Exchange["isNearby"];
  readonly store: FragmentStore;
  readonly packages: LocalPackages;
  readonly freeMemoryBytes: () => number;
}

export interface ContentOrder {
  readonly item: SwarmItem;
  /** Held for the site's endpoints, and put together by nobody here. */
  readonly isReplica: boolean;
  /** What was found on this machine proved wrong: fetch everything. */
  readonly isPlain: boolean;
  readonly signal: AbortSignal;
  /** Bytes of this order so far. */
  readonly onProgress: (bytes: SourceBytes) => void;
}

/** What the assembly takes from this machine besides fragments; undefined for nothing. */
export async function fetchContent(
  parts: ContentParts,
  order: ContentOrder,
): Promise<LocalContent | undefined> {
  const { store, packages, freeMemoryBytes } = parts;
  const { item, signal, onProgress } = order;
  const isNearby = (index: number): boolean => parts.isNearby(item, index);
  const ports = { packages, store, isNearby, freeMemoryBytes };
  const sources = order.isPlain ? undefined : SourcePlan.of(item, ports);
  if (sources === undefined) {
    onProgress((await parts.fetch(item, signal, ({ bytes }) => onProgress(bytes))).bytes);
    return undefined;
  }
  const told = tally(order);
  told(await parts.fetch({ ...item, wanted: sources.pages }, signal, told), "pages");
  const plan = await planned(sources, order);
  const { wanted, welcome } = plan;
  const narrowed = { ...item, wanted, ...(welcome === undefined ? {} : { welcome }) };
  told(await parts.fetch(narrowed, signal, told), "all");
  return plan.local;
}

async function planned(sources: SourcePlan, order: ContentOrder): Promise<FetchPlan> {
  try {
    return order.isReplica ? await sources.replicate() : await sources.perform(order.signal);
  } catch (error) {
    // Pages that contradict each other fail the attempt, with its limit, and not the preparation.
    if (error instanceof DeployError) return { wanted: sources.everything };
    throw error;
  }
}

/** Adds fetches up; at the end, what was not fetched of the package counts as local. */
function tally(order: ContentOrder): (progress: FetchProgress, ended?: "pages" | "all") => void {
  let before = { peer: 0, dp: 0, origin: 0 };
  const wireBytes = order.item.manifest.content?.wireBytes ?? 0;
  return ({ bytes }, ended) => {
    const peer = before.peer + bytes.peer;
    const dp = before.dp + bytes.dp;
    const origin = before.origin + bytes.origin;
    if (ended !== undefined) before = { peer, dp, origin };
    const isLocal = ended === "all" && !order.isReplica;
    const local = isLocal ? Math.max(0, wireBytes - peer - dp - origin) : 0;
    order.onProgress({ local, peer, dp, origin });
  };
}
