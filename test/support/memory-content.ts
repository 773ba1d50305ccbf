/** Package content and the ports around it, in memory. */
import { hash } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import type { FileEntry } from "../../protocol/file-list.ts";
import {
  decodeFragmentPage,
  encodeFragmentPage,
  type FragmentEntry,
} from "../../protocol/fragment-index.ts";
import { parseDigest, parsePackageRef, type Digest } from "../../protocol/ids.ts";
import { canonicalBytes } from "../../protocol/json.ts";
import type { Content, Manifest } from "../../protocol/manifest.ts";
import type { Action } from "../../protocol/package-action.ts";
import { swarmSections } from "../../protocol/swarm-order.ts";
import type { Exchange, FragmentStore, SwarmItem } from "../../node/content/ports.ts";

export interface MemoryFile {
  readonly path: string;
  readonly text: string;
  readonly isExecutable?: boolean;
}

export interface MemoryPackage {
  readonly manifest: Manifest;
  /** Wire bytes of all fragments. */
  readonly fragments: ReadonlyMap<Digest, Buffer>;
}

export function digestOf(bytes: Uint8Array): Digest {
  return parseDigest(hash("sha256", bytes, "hex"));
}

/** One fragment per `fragmentBytes` of the files' stream, every other one compressed. */
export function memoryPackage(
  action: Action,
  files?: readonly MemoryFile[],
  fragmentBytes = 1000,
): MemoryPackage {
  const fragments = new Map<Digest, Buffer>();
  const keep = (bytes: Buffer): Digest => {
    const digest = digestOf(bytes);
    fragments.set(digest, bytes);
    return digest;
  };
  const base = {
    v: 1,
    ...parsePackageRef("acme/app@1.2.3"),
    epoch: 1,
    level: 5,
    action,
  } as const;
  if (files === undefined) return { manifest: base, fragments };
  const stream = Buffer.concat(files.map((file) => Buffer.from(file.text)));
  const entries: FragmentEntry[] = [];
  for (let at = 0; at < stream.length; at += fragmentBytes) {
    const raw = stream.subarray(at, at + fragmentBytes);
    const packed = zstdCompressSync(raw);
    const wire = entries.length % 2 === 0 && packed.length < raw.length ? packed : Buffer.from(raw);
    entries.push({
      digest: keep(wire),
      rawHint: hash("sha256", raw, "hex").slice(0, 32),
      wireBytes: wire.length,
      rawBytes: raw.length,
    });
  }
  let offset = 0;
  const list = files.map((file): FileEntry => {
    const bytes = Buffer.from(file.text);
    const start = offset;
    offset += bytes.length;
    return {
      kind: "file",
      path: file.path,
      isExecutable: file.isExecutable === true,
      sizeBytes: bytes.length,
      sha256: digestOf(bytes),
      extents: bytes.length === 0 ? [] : [[start, bytes.length]],
    };
  });
  const pages = [encodeFragmentPage(entries), zstdCompressSync(canonicalBytes(list))].map(
    (page) => ({ digest: keep(page), sizeBytes: page.length }),
  );
  const content: Content = {
    fragmentCount: entries.length,
    fileCount: files.length,
    wireBytes: sum([...pages.map((page) => page.sizeBytes), ...entries.map((e) => e.wireBytes)]),
    fileBytes: stream.length,
    fragmentPages: entries.length === 0 ? [] : [pages[0]!],
    filePages: [pages[1]!],
  };
  return { manifest: { ...base, content }, fragments };
}

export class MemoryFragmentStore implements FragmentStore {
  readonly held = new Map<Digest, Buffer>();

  has(digest: Digest): boolean {
    return this.held.has(digest);
  }

  async read(digest: Digest): Promise<Buffer | undefined> {
    return this.held.get(digest);
  }

  async write(digest: Digest, bytes: Uint8Array): Promise<void> {
    this.held.set(digest, Buffer.from(bytes));
  }

  async delete(digest: Digest): Promise<void> {
    this.held.delete(digest);
  }
}

/** Digests by swarm index, read from the pages. */
export function swarmDigests(content: Content, wire: ReadonlyMap<Digest, Buffer>): Digest[] {
  return swarmSections(content).flatMap((section) => [
    ...section.fragmentPages.map(({ digest }) => digest),
    ...section.listPages.map(({ digest }) => digest),
    ...section.fragmentPages.flatMap((page) =>
      decodeFragmentPage(wire.get(page.digest)!).map(({ digest }) => digest),
    ),
  ]);
}

/** Has every fragment it was given, as if each came from the site's DP. */
export class MemoryExchange implements Exchange {
  readonly served: SwarmItem[] = [];
  /** Nothing comes in, as over a network that is lost. */
  isCut = false;
  readonly #store: FragmentStore;
  readonly #source: Map<Digest, Buffer>;

  constructor(store: FragmentStore, source: ReadonlyMap<Digest, Buffer>) {
    this.#store = store;
    this.#source = new Map(source);
  }

  add(source: ReadonlyMap<Digest, Buffer>): void {
    for (const [digest, bytes] of source) this.#source.set(digest, bytes);
  }

  async fetch(
    item: SwarmItem,
    signal: AbortSignal,
  ): Promise<{ doneBytes: number; bytes: { local: 0; peer: 0; dp: number; origin: 0 } }> {
    signal.throwIfAborted();
    const isComplete = [...this.#source.keys()].every((digest) => this.#store.has(digest));
    if (this.isCut && !isComplete) return aborted(signal);
    let dp = 0;
    const { content } = item.manifest;
    const isPart = content !== undefined && item.wanted !== undefined;
    const digests = isPart ? swarmDigests(content, this.#source) : [];
    const wanted = new Set(digests.filter((_digest, index) => item.wanted?.has(index)));
    for (const [digest, bytes] of this.#source) {
      if (this.#store.has(digest) || (isPart && !wanted.has(digest))) continue;
      await this.#store.write(digest, bytes);
      dp += bytes.length;
    }
    const doneBytes = item.manifest.content?.wireBytes ?? 0;
    return { doneBytes, bytes: { local: 0, peer: 0, dp, origin: 0 } };
  }

  isNearby(): boolean {
    return false;
  }

  async serve(item: SwarmItem): Promise<void> {
    this.served.push(item);
  }
}

async function aborted(signal: AbortSignal): Promise<never> {
  const end = Promise.withResolvers<never>();
  signal.addEventListener("abort", () => end.reject(signal.reason), { once: true });
  return end.promise;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
