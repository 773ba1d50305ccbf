/**
 * Parts for tests of the exchange: a fragment store in memory, a package of random bytes, and an origin
 * that enforces leases and counts what it sends. The gate is the coordinator's own.
 */
import { createHash } from "node:crypto";
import { canonicalBytes } from "../../protocol/json.ts";
import { encodeFragmentPage, type FragmentEntry } from "../../protocol/fragment-index.ts";
import { parseDigest, parseSwarmTag, type Digest, type EndpointId } from "../../protocol/ids.ts";
import type { LeaseAnswer, LeaseRequest } from "../../protocol/lease.ts";
import { parseManifest } from "../../protocol/manifest.ts";
import type { FragmentStore, Origin, SwarmItem } from "../../node/content/ports.ts";
import type { PackagePorts } from "../../node/swarm/package-swarm.ts";

/** Ports of a package on a node that nobody hears. */
export const LONELY_PORTS = {
  cancel: () => undefined,
  send: () => undefined,
  isDp: () => false,
  ban: () => undefined,
  convict: () => undefined,
  onRefusal: () => undefined,
} as const satisfies Partial<PackagePorts>;

export class MemoryFragments implements FragmentStore {
  readonly map = new Map<Digest, Buffer>();

  has(digest: Digest): boolean {
    return this.map.has(digest);
  }

  async read(digest: Digest): Promise<Buffer | undefined> {
    return this.map.get(digest);
  }

  async write(digest: Digest, bytes: Uint8Array): Promise<void> {
    this.map.set(digest, Buffer.from(bytes));
  }

  async delete(digest: Digest): Promise<void> {
    this.map.delete(digest);
  }
}

export interface TestPackage {
  readonly item: SwarmItem;
  /** Wire bytes by swarm index. */
  readonly fragments: readonly { readonly digest: Digest; readonly bytes: Buffer }[];
}

export function digestOf(bytes: Uint8Array): Digest {
  return parseDigest(createHash("sha256").update(bytes).digest("hex"));
}

/** A package of `count` fragments of pseudo-random bytes; the same seed gives the same package. */
export function testPackage(count: number, sizeBytes: number, seed = "x"): TestPackage {
  const contents = Array.from({ length: count }, (_none, index) => {
    const block = createHash("sha512").update(`${seed}${index}`).digest();
    return Buffer.alloc(sizeBytes, block);
  });
  const entries: FragmentEntry[] = contents.map((bytes) => ({
    digest: digestOf(bytes),
    rawHint: "00".repeat(16),
    wireBytes: bytes.length,
    rawBytes: bytes.length,
  }));
  const pages: Buffer[] = [];
  for (let at = 0; at < entries.length; at += 1024)
    pages.push(encodeFragmentPage(entries.slice(at, at + 1024)));
  const fragments = [...pages, ...contents].map((bytes) => ({ digest: digestOf(bytes), bytes }));
  const wireBytes = fragments.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const manifest = parseManifest({
    v: 1,
    name: "acme/test",
    version: "1",
    epoch: 1,
    level: 5,
    action: { kind: "store", path: "x" },
    content: {
      fragmentCount: count,
      fileCount: 1,
      wireBytes,
      fileBytes: count * sizeBytes,
      fragmentPages: pages.map((page) => ({ digest: digestOf(page), sizeBytes: page.length })),
      filePages: [],
    },
  });
  const manifestDigest = digestOf(canonicalBytes(manifest));
  return { item: { swarm: parseSwarmTag(manifestDigest), manifestDigest, manifest }, fragments };
}

/** One site's view of the origin: exclusive leases, counted bytes. */
export class TestOrigin {
  readonly sent: { readonly index: number; readonly endpoint: EndpointId }[] = [];
  private readonly held = new Map<number, { holder: EndpointId; isServed: boolean }>();
  private readonly pack: TestPackage;
  private readonly delayMs: number;
  /** Grants nothing while set. */
  isDown = false;

  /** With a delay for each fragment neighbours have time to ask each other; no test counts on how much. */
  constructor(pack: TestPackage, delayMs = 0) {
    this.pack = pack;
    this.delayMs = delayMs;
  }

  for(endpoint: EndpointId): Origin {
    return {
      lease: async (request) => this.lease(endpoint, request),
      fragment: async (digest, token) => {
        if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
        const index = Number(token);
        if (this.held.get(index)?.holder !== endpoint) throw new Error("not the holder");
        this.held.set(index, { holder: endpoint, isServed: true });
        this.sent.push({ index, endpoint });
        const fragment = this.pack.fragments.find((entry) => entry.digest === digest);
        return fragment!.bytes;
      },
    };
  }

  private async lease(endpoint: EndpointId, request: LeaseRequest): Promise<LeaseAnswer> {
    const answer: LeaseAnswer = { grants: [], leased: [], retryAfterMs: 0 };
    if (this.isDown) return { ...answer, retryAfterMs: 100 };
    for (const index of request.release) this.held.delete(index);
    for (const index of request.want) {
      const before = this.held.get(index);
      const isRefused = before !== undefined && (before.holder !== endpoint || before.isServed);
      if (isRefused && request.force === undefined) {
        answer.leased.push({ index, holder: before.holder, isServed: before.isServed });
      } else if (answer.grants.length < 4) {
        this.held.set(index, { holder: endpoint, isServed: false });
        const { digest } = this.pack.fragments[index]!;
        answer.grants.push({ index, digest, token: String(index), ttlMs: 15_000 });
      }
    }
    return answer;
  }
}
