/**
 * Brings the content of one package to this node: all of it where nothing of it or older is known, else the
 * pages first and then only what neither the files that are here nor half-made ones give.
 */
import { Bitmap } from "../../protocol/bitmap.ts";
import type { SourceBytes } from "../../protocol/check-in.ts";
import { DeployError } from "../../protocol/errors.ts";
import type { Content } from "../../protocol/manifest.ts";
import { swarmSections } from "../../protocol/swarm-order.ts";
import type { LocalContent } from "../content/assemble.ts";
import { fragmentsLeft, type AssemblyPoint } from "../content/assembly-point.ts";
import { readContentIndex, type ContentIndex } from "../content/content-index.ts";
import type { HalfMade } from "../content/half-made.ts";
import type { Exchange, FetchProgress, FragmentStore, SwarmItem } from "../content/ports.ts";
import type { LocalPackages } from "../content/local-packages.ts";
import { SourcePlan, type FetchPlan } from "../content/source-plan.ts";

export interface ContentParts {
  readonly fetch: Exchange["fetch"];
  readonly isNearby: Exchange["isNearby"];
  readonly store: FragmentStore;
  readonly packages: LocalPackages;
  readonly halfMade: Pick<HalfMade, "has" | "reached">;
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
  const { content } = item.manifest;
  const isNearby = (index: number): boolean => parts.isNearby(item, index);
  const ports = { packages, store, isNearby, freeMemoryBytes };
  const sources = order.isPlain ? undefined : SourcePlan.of(item, ports);
  if (content === undefined || (sources === undefined && !isHalfMade(parts, order))) {
    onProgress((await parts.fetch(item, signal, ({ bytes }) => onProgress(bytes))).bytes);
    return undefined;
  }
  const told = tally(order);
  const pages = sources?.pages ?? wantedOf(content, []);
  told(await parts.fetch({ ...item, wanted: pages }, signal, told), "pages");
  const { wanted, welcome, local } = await planned(parts, order, content, sources);
  const narrowed = { ...item, wanted, ...(welcome === undefined ? {} : { welcome }) };
  told(await parts.fetch(narrowed, signal, told), "all");
  return local;
}

/** The pages of a content, and so many of its fragments. */
export function wantedOf(content: Content, fragments: Iterable<number>): Bitmap {
  const [main, ...deltas] = swarmSections(content);
  const wanted = new Bitmap((deltas.at(-1) ?? main).endIndex);
  for (let at = main.startIndex; at < main.fragmentIndex; at++) wanted.add(at);
  for (const at of fragments) wanted.add(main.fragmentIndex + at);
  return wanted;
}

// A replica is fragments, not files; and whoever names what he wants knows of the files.
function isHalfMade({ halfMade }: ContentParts, { item, isReplica }: ContentOrder): boolean {
  return !isReplica && item.wanted === undefined && halfMade.has(item.manifestDigest);
}

async function planned(
  parts: ContentParts,
  order: ContentOrder,
  content: Content,
  sources: SourcePlan | undefined,
): Promise<FetchPlan> {
  const everything = sources?.everything ?? wantedOf(content, allOf(content));
  try {
    if (sources !== undefined && order.isReplica) return await sources.replicate();
    const made = isHalfMade(parts, order) ? await reached(parts, order, content) : undefined;
    if (sources !== undefined) return await sources.perform(order.signal, made?.point);
    if (made === undefined) return { wanted: everything };
    return { wanted: wantedOf(content, fragmentsLeft(made.index, made.point)) };
  } catch (error) {
    // Pages that contradict each other fail the attempt, with its limit, and not the preparation.
    if (error instanceof DeployError) return { wanted: everything };
    throw error;
  }
}

interface Made {
  readonly index: ContentIndex;
  readonly point: AssemblyPoint;
}

async function reached(
  { halfMade, store }: ContentParts,
  { item }: ContentOrder,
  content: Content,
): Promise<Made | undefined> {
  const index = await readContentIndex(item.manifest, content, store);
  const point = await halfMade.reached(item.manifestDigest, index);
  return point === undefined ? undefined : { index, point };
}

function* allOf({ fragmentCount }: Content): Generator<number> {
  for (let at = 0; at < fragmentCount; at++) yield at;
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
