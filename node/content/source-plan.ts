/**
 * Plans a fetch by what this node has of older versions: first the pages, which say what is new; then the
 * fragments and patches that are really needed, and how the files are put together from all of it.
 */
import { Bitmap } from "../../protocol/bitmap.ts";
import { DeployError } from "../../protocol/errors.ts";
import type { Digest } from "../../protocol/ids.ts";
import { DELTA_FILE_MAX_BYTES } from "../../protocol/limits.ts";
import type { Content, DeltaSet } from "../../protocol/manifest.ts";
import { swarmSections, type SwarmSection } from "../../protocol/swarm-order.ts";
import {
  chooseSources,
  type OpenFile,
  type PatchOffer,
  type SourceChoice,
} from "../core/choose-sources.ts";
import type { LocalContent } from "./assemble.ts";
import { BEGINNING, extentsLeft, type AssemblyPoint } from "./assembly-point.ts";
import { ChosenContent } from "./chosen-content.ts";
import { readContentIndex, type ContentIndex } from "./content-index.ts";
import { readDeltaIndex, totalBytes, type DeltaIndex } from "./delta-index.ts";
import {
  localVersion,
  type LocalFile,
  type LocalRegion,
  type LocalVersion,
} from "./local-files.ts";
import type { LocalPackages } from "./local-packages.ts";
import type { FragmentStore, SwarmItem } from "./ports.ts";
import { fragmentsOf, RawStream, unpacked } from "./raw-stream.ts";

/** What is on a neighbour's disk costs the office line nothing, but is not free either. */
const NEARBY_COST = 0.05;

export interface SourcePorts {
  readonly packages: LocalPackages;
  readonly store: FragmentStore;
  /** Whether a neighbour has a fragment, by swarm index. */
  readonly isNearby: (index: number) => boolean;
  /** A patch may take a third of it. */
  readonly freeMemoryBytes: () => number;
}

export interface FetchPlan {
  readonly wanted: Bitmap;
  readonly welcome?: Bitmap;
  /** Absent for a DP, which puts nothing together. */
  readonly local?: LocalContent;
}

export class SourcePlan {
  readonly #item: SwarmItem;
  readonly #content: Content;
  readonly #ports: SourcePorts;
  readonly #delta: { readonly set: DeltaSet; readonly section: SwarmSection } | undefined;
  readonly #main: SwarmSection;
  readonly #count: number;

  private constructor(item: SwarmItem, content: Content, ports: SourcePorts) {
    this.#item = item;
    this.#content = content;
    this.#ports = ports;
    const [main, ...sections] = swarmSections(content);
    const known = new Set(ports.packages.named(item.manifest.name).map((note) => note.manifest));
    // Listed from the newest base on: the first that fits is the smallest step.
    const at = (content.deltas ?? []).findIndex(({ base }) => known.has(base.manifest));
    const set = content.deltas?.[at];
    const section = sections[at];
    this.#delta = set === undefined || section === undefined ? undefined : { set, section };
    this.#main = main;
    this.#count = sections.at(-1)?.endIndex ?? main.endIndex;
  }

  /** Undefined where nothing is known of the package: everything is fetched, as on a new machine. */
  static of(item: SwarmItem, ports: SourcePorts): SourcePlan | undefined {
    const { content, name } = item.manifest;
    const isUnknown = ports.packages.named(name).length === 0;
    return content === undefined || isUnknown ? undefined : new SourcePlan(item, content, ports);
  }

  /** What must be here before `perform` or `replicate` can tell more. */
  get pages(): Bitmap {
    const wanted = new Bitmap(this.#count);
    addRange(wanted, this.#main.startIndex, this.#main.fragmentIndex);
    if (this.#delta !== undefined) {
      addRange(wanted, this.#delta.section.startIndex, this.#delta.section.fragmentIndex);
    }
    return wanted;
  }

  /** The content as a whole, as if nothing older were here. */
  get everything(): Bitmap {
    const wanted = new Bitmap(this.#count);
    addRange(wanted, this.#main.startIndex, this.#main.endIndex);
    return wanted;
  }

  /** For an endpoint that puts the files together, those before `point` being there already. */
  async perform(signal: AbortSignal, point: AssemblyPoint = BEGINNING): Promise<FetchPlan> {
    const { store } = this.#ports;
    const index = await readContentIndex(this.#item.manifest, this.#content, store);
    const versions = await this.#versions(index);
    const base = versions.find(({ note }) => note.manifest === this.#delta?.set.base.manifest);
    const delta = await this.#deltaIndex(base, index);
    const proof = new Proof(signal);
    const isHere = (at: number): boolean => {
      const entry = index.fragments[at];
      return entry !== undefined && store.has(entry.digest);
    };
    const open = openFiles(index, isHere, point);
    const copies = await proof.copies(open, versions);
    const regions = await proof.regions(index, open, versions);
    const stillOpen = openFiles(
      index,
      (at) => isHere(at) || regions.has(index.fragments[at]?.rawHint ?? ""),
      point,
    );
    const places = new Set(
      stillOpen.filter(({ sha256 }) => !copies.has(sha256)).map(({ place }) => place),
    );
    const usable = await this.#usable(delta, base, places, proof);
    const choice = chooseSources({
      files: stillOpen,
      localFiles: new Set(copies.keys()),
      patches: delta === undefined ? [] : this.#offers(delta, usable),
      costOf: (at) =>
        this.#cost(this.#main.fragmentIndex + at, index.fragments[at]?.wireBytes ?? 0),
    });
    const local = new ChosenContent({
      index,
      copies: copiedFiles(index, choice, copies),
      patches: choice.patches.flatMap((at) => delta?.entries[at] ?? []),
      baseFile: (place) => base?.fileAt(place),
      patchBytes:
        delta === undefined
          ? undefined
          : new RawStream(delta, async (entry) =>
              unpacked(entry, async (digest) => store.read(digest)),
            ),
      regions,
    });
    return { wanted: this.#wanted(choice), local };
  }

  /**
   * For a DP: what an endpoint needs that has exactly the old version, where this DP held that version too
   * and so its site had it. The rest crosses the line when an endpoint of the site asks for it, and the DP
   * takes it from that neighbour. A DP that never held the old version fetches the whole content.
   */
  async replicate(): Promise<FetchPlan> {
    const welcome = new Bitmap(this.#count);
    addRange(welcome, 0, this.#count);
    const index = await readContentIndex(this.#item.manifest, this.#content, this.#ports.store);
    const versions = await this.#versions(index);
    const base = versions.find(({ note }) => note.manifest === this.#delta?.set.base.manifest);
    const delta = await this.#deltaIndex(base, index);
    if (base === undefined || delta === undefined) return { wanted: this.everything, welcome };
    const had = new Set(base.index.fragments.map(({ rawHint }) => rawHint));
    const files = base.index.files.flatMap((file) => (file.kind === "file" ? [file.sha256] : []));
    const choice = chooseSources({
      files: openFiles(index, (at) => had.has(index.fragments[at]?.rawHint ?? "")),
      localFiles: new Set(files),
      patches: this.#offers(delta, new Set(delta.entries.keys())),
      costOf: (at) => index.fragments[at]?.wireBytes ?? 0,
    });
    return { wanted: this.#wanted(choice), welcome };
  }

  async #versions(index: ContentIndex): Promise<readonly LocalVersion[]> {
    const { packages, store } = this.#ports;
    const versions: LocalVersion[] = [];
    for (const note of packages.named(this.#item.manifest.name)) {
      const isItself = note.manifest === this.#item.manifestDigest;
      const known = isItself
        ? index
        : await unlessRefused(readContentIndex(note, note.content, packages.pages));
      if (known !== undefined) versions.push(localVersion(note, known, store));
    }
    return versions;
  }

  async #deltaIndex(
    base: LocalVersion | undefined,
    index: ContentIndex,
  ): Promise<DeltaIndex | undefined> {
    if (base === undefined || this.#delta === undefined) return undefined;
    return unlessRefused(readDeltaIndex(this.#delta.set, base.index, index, this.#ports.store));
  }

  /** Entries that some open file needs, whose old files are intact and small enough for this machine. */
  async #usable(
    delta: DeltaIndex | undefined,
    base: LocalVersion | undefined,
    open: ReadonlySet<number>,
    proof: Proof,
  ): Promise<ReadonlySet<number>> {
    const usable = new Set<number>();
    if (delta === undefined || base === undefined) return usable;
    const limitBytes = Math.min(DELTA_FILE_MAX_BYTES, this.#ports.freeMemoryBytes() / 3);
    for (const [at, { bases, files }] of delta.entries.entries()) {
      if (!files.some((place) => open.has(place))) continue;
      if (totalBytes(base.index, bases) > limitBytes) continue;
      const olds = bases.flatMap((place) => base.fileAt(place) ?? []);
      if (olds.length === bases.length && (await proof.areIntact(olds))) usable.add(at);
    }
    return usable;
  }

  #offers(delta: DeltaIndex, usable: ReadonlySet<number>): readonly PatchOffer[] {
    return [...usable].map((entry) => {
      const { files = [], extents = [] } = delta.entries[entry] ?? {};
      const fragments = [...new Set(fragmentsOf(delta, extents))];
      const bytes = extents.reduce((sum, [, length]) => sum + length, 0);
      const whole = fragments.reduce((sum, at) => sum + (delta.fragments[at]?.wireBytes ?? 0), 0);
      const ahead = fragments.reduce((sum, at) => sum + this.#patchCost(delta, at), 0);
      // Patches share fragments: each counts for its part of them.
      const cost = whole === 0 ? 0 : (ahead / whole) * bytes;
      return { entry, files, isGroup: files.length > 1, fragments, cost };
    });
  }

  #patchCost(delta: DeltaIndex, at: number): number {
    const entry = delta.fragments[at];
    if (entry === undefined || this.#ports.store.has(entry.digest)) return 0;
    return this.#cost((this.#delta?.section.fragmentIndex ?? 0) + at, entry.wireBytes);
  }

  #cost(index: number, wireBytes: number): number {
    return this.#ports.isNearby(index) ? wireBytes * NEARBY_COST : wireBytes;
  }

  #wanted(choice: SourceChoice): Bitmap {
    const wanted = this.pages;
    for (const at of choice.fragments) wanted.add(this.#main.fragmentIndex + at);
    const first = this.#delta?.section.fragmentIndex ?? 0;
    for (const at of choice.patchFragments) wanted.add(first + at);
    return wanted;
  }
}

/** Files that need fragments which are not here. */
function openFiles(
  index: ContentIndex,
  isHere: (fragment: number) => boolean,
  point: AssemblyPoint = BEGINNING,
): OpenFile[] {
  return [...index.files.entries()].flatMap(([place, file]): OpenFile[] => {
    if (file.kind === "folder") return [];
    const extents = extentsLeft(file, place, point);
    const missing = [...fragmentsOf(index, extents)].filter((at) => !isHere(at));
    return missing.length === 0 ? [] : [{ place, sha256: file.sha256, missing }];
  });
}

function copiedFiles(
  index: ContentIndex,
  { copies }: SourceChoice,
  files: ReadonlyMap<Digest, LocalFile>,
): ReadonlyMap<number, LocalFile> {
  const copied = new Map<number, LocalFile>();
  for (const place of copies) {
    const entry = index.files[place];
    const file = entry?.kind === "file" ? files.get(entry.sha256) : undefined;
    if (file !== undefined) copied.set(place, file);
  }
  return copied;
}

/** Proves each local file once per plan, and only those that are of use. */
class Proof {
  readonly #signal: AbortSignal;
  readonly #known = new Map<LocalFile, Promise<boolean>>();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  async areIntact(files: readonly LocalFile[]): Promise<boolean> {
    for (const file of files) {
      const known = this.#known.get(file) ?? file.isIntact(this.#signal);
      this.#known.set(file, known);
      if (!(await known)) return false;
    }
    return true;
  }

  /** Whole files that are wanted and here, by SHA-256. */
  async copies(
    open: readonly OpenFile[],
    versions: readonly LocalVersion[],
  ): Promise<ReadonlyMap<Digest, LocalFile>> {
    const wanted = new Set(open.map(({ sha256 }) => sha256));
    const found = new Map<Digest, LocalFile>();
    for (const version of versions) {
      for (const [place, entry] of version.index.files.entries()) {
        if (entry.kind === "folder" || !wanted.has(entry.sha256)) continue;
        const file = found.has(entry.sha256) ? undefined : version.fileAt(place);
        if (file !== undefined && (await this.areIntact([file]))) found.set(entry.sha256, file);
      }
    }
    return found;
  }

  /** Missing fragments that lie in old files, by raw hint. */
  async regions(
    { fragments }: ContentIndex,
    open: readonly OpenFile[],
    versions: readonly LocalVersion[],
  ): Promise<ReadonlyMap<string, LocalRegion>> {
    const found = new Map<string, LocalRegion>();
    for (const at of new Set(open.flatMap(({ missing }) => missing))) {
      const hint = fragments[at]?.rawHint ?? "";
      for (const { regions } of versions) {
        const region = found.has(hint) ? undefined : regions.get(hint);
        if (region !== undefined && (await this.areIntact([region.file]))) found.set(hint, region);
      }
    }
    return found;
  }
}

/** A shortcut that cannot be read is not taken. */
async function unlessRefused<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof DeployError) return undefined;
    throw error;
  }
}

function addRange(bitmap: Bitmap, from: number, to: number): void {
  for (let index = from; index < to; index++) bitmap.add(index);
}
