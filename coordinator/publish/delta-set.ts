/**
 * The patches from one older version: made a few at a time, kept where they save enough, cut into fragments
 * of their own, and listed in pages. The same two versions give the same bytes.
 */
import type { DeltaEntry } from "../../protocol/delta-list.ts";
import { DeployError } from "../../protocol/errors.ts";
import type { FileEntry } from "../../protocol/file-list.ts";
import type { FragmentEntry } from "../../protocol/fragment-index.ts";
import { DELTAS_PER_PAGE, DELTA_PAGES_MAX_COUNT, DELTA_SAVING_MIN } from "../../protocol/limits.ts";
import type { DeltaSet } from "../../protocol/manifest.ts";
import type { OlderVersion } from "./older-version.ts";
import { cutStream, type CutBounds } from "./fastcdc.ts";
import type { Extent, FragmentWriter } from "./fragment-writer.ts";
import { fragmentPagesOf, listPagesOf } from "./index-pages.ts";
import { pairFiles, type PatchPlan } from "./pair-files.ts";
import { patchOf } from "./patch.ts";

/** The version that is published: its lists, and its bytes once more. */
export interface NewVersion {
  readonly files: readonly FileEntry[];
  /** Content fragments in stream order. */
  readonly fragments: readonly FragmentEntry[];
  /** The bytes of a file by its path; fails where the source has changed. */
  readonly read: (path: string) => Promise<Buffer>;
}

export interface DeltaRun {
  readonly bounds: CutBounds;
  /** A writer of its own: patches are a stream of their own. */
  readonly writer: FragmentWriter;
  readonly signal: AbortSignal;
  /** Old and new bytes behind which a patch is finished, or needed none. */
  readonly onBytes: (bytes: number) => void;
}

/** Old and new bytes of patches that are made side by side; a larger one is made alone. */
const PARALLEL_MAX_BYTES = 64 * 1024 * 1024;
/** Patches that wait in memory; files behind them have none and come as fragments. */
const KEPT_MAX_BYTES = 512 * 1024 * 1024;

/** Old and new bytes that `deltaSet` will go through. */
export function deltaWorkBytes(base: OlderVersion, files: readonly FileEntry[]): number {
  return pairFiles(base.files, files).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** Undefined where no patch saves enough. */
export async function deltaSet(
  base: OlderVersion,
  next: NewVersion,
  run: DeltaRun,
): Promise<DeltaSet | undefined> {
  const plans = pairFiles(base.files, next.files);
  const kept: MadePatch[] = [];
  let keptBytes = 0;
  for await (const made of patches(plans, base, next, run)) {
    const isKept = made.plan.isGroup || isWorth(made.patch.length, costOf([made.plan], base, next));
    if (!isKept) continue;
    kept.push(made);
    keptBytes += made.patch.length;
    if (keptBytes > KEPT_MAX_BYTES) break;
  }
  const groups = kept.filter(({ plan }) => plan.isGroup);
  const groupBytes = groups.reduce((sum, { patch }) => sum + patch.length, 0);
  const groupCost = costOf(
    groups.map(({ plan }) => plan),
    base,
    next,
  );
  // Small files share fragments: their patches save something together or not at all.
  const used = isWorth(groupBytes, groupCost) ? kept : kept.filter(({ plan }) => !plan.isGroup);
  if (used.length === 0) return undefined;
  const entries: DeltaEntry[] = [];
  for (const { plan, patch } of used) {
    entries.push({
      bases: [...plan.bases],
      files: [...plan.files],
      extents: await written(patch, run),
    });
  }
  return sealedSet(base, entries, run.writer);
}

function isWorth(patchBytes: number, fragmentBytes: number): boolean {
  return patchBytes > 0 && patchBytes <= fragmentBytes * (1 - DELTA_SAVING_MIN);
}

/** Wire bytes of the fragments that hold these files and that the base lacks. */
function costOf(plans: readonly PatchPlan[], base: OlderVersion, next: NewVersion): number {
  const starts = startsOf(next.fragments);
  const needed = new Set<number>();
  for (const place of plans.flatMap(({ files }) => files)) {
    const file = next.files[place];
    if (file?.kind !== "file") continue;
    for (const [offset, length] of file.extents) {
      for (let at = placeAt(starts, offset); (starts[at] ?? Infinity) < offset + length; at++) {
        needed.add(at);
      }
    }
  }
  let bytes = 0;
  for (const at of needed) {
    const entry = next.fragments[at];
    if (entry !== undefined && !base.rawHints.has(entry.rawHint)) bytes += entry.wireBytes;
  }
  return bytes;
}

function startsOf(fragments: readonly FragmentEntry[]): readonly number[] {
  let endBytes = 0;
  return fragments.map(({ rawBytes }) => (endBytes += rawBytes) - rawBytes);
}

// Binary search: the last fragment that begins at or before the offset.
function placeAt(starts: readonly number[], offset: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((starts[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

interface MadePatch {
  readonly plan: PatchPlan;
  readonly patch: Buffer;
}

/** In the order of the plans; small ones side by side, so that all threads work and memory stays bounded. */
async function* patches(
  plans: readonly PatchPlan[],
  base: OlderVersion,
  next: NewVersion,
  run: DeltaRun,
): AsyncGenerator<MadePatch> {
  let batch: PatchPlan[] = [];
  let batchBytes = 0;
  const make = async (plan: PatchPlan): Promise<MadePatch> => {
    const patch = await madePatch(plan, base, next, run);
    run.onBytes(plan.sizeBytes);
    return { plan, patch };
  };
  for (const plan of plans) {
    if (batch.length > 0 && batchBytes + plan.sizeBytes > PARALLEL_MAX_BYTES) {
      yield* await Promise.all(batch.map(make));
      batch = [];
      batchBytes = 0;
    }
    batch.push(plan);
    batchBytes += plan.sizeBytes;
  }
  yield* await Promise.all(batch.map(make));
}

async function madePatch(
  plan: PatchPlan,
  base: OlderVersion,
  next: NewVersion,
  { signal }: DeltaRun,
): Promise<Buffer> {
  signal.throwIfAborted();
  const old: Buffer[] = [];
  for (const place of plan.bases) {
    const file = base.files[place];
    if (file?.kind === "file") old.push(await base.read(file, signal));
  }
  const fresh: Buffer[] = [];
  for (const place of plan.files) {
    const file = next.files[place];
    if (file?.kind !== "file") continue;
    const bytes = await next.read(file.path);
    if (bytes.length !== file.sizeBytes)
      throw new DeployError("PUBLISH_SOURCE_CHANGED", { entry: file.path });
    fresh.push(bytes);
  }
  return patchOf(Buffer.concat(old), Buffer.concat(fresh));
}

async function written(patch: Buffer, { bounds, writer }: DeltaRun): Promise<Extent[]> {
  const extents: Extent[] = [];
  for await (const fragment of cutStream(once(patch), bounds)) {
    const [offset, length] = await writer.add(fragment);
    const last = extents.at(-1);
    if (last !== undefined && last[0] + last[1] === offset) last[1] += length;
    else extents.push([offset, length]);
  }
  return extents;
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

async function sealedSet(
  { version, manifest }: OlderVersion,
  entries: readonly DeltaEntry[],
  writer: FragmentWriter,
): Promise<DeltaSet | undefined> {
  const fragments = await writer.finish();
  const fragmentPages = await fragmentPagesOf(fragments, writer);
  const listPages = await listPagesOf(entries, DELTAS_PER_PAGE, writer);
  const pages = [...fragmentPages, ...listPages];
  // More than any real version has: such an endpoint fetches fragments.
  if (Math.max(fragmentPages.length, listPages.length) > DELTA_PAGES_MAX_COUNT) return undefined;
  const wireBytes =
    pages.reduce((sum, page) => sum + page.sizeBytes, 0) +
    fragments.reduce((sum, entry) => sum + entry.wireBytes, 0);
  const base = { version, manifest };
  return { base, fragmentCount: fragments.length, wireBytes, fragmentPages, listPages };
}
