/**
 * A member of the fleet that turned hostile: it joins with a real token and checks in with the node's own
 * uplink, and serves whatever its site is assigned with wrong bytes in place of the content.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { pino } from "pino";
import { dataLayout } from "../../coordinator/data-layout.ts";
import { openJournalFile } from "../../node/content/journal-file.ts";
import { Journal } from "../../node/content/journal.ts";
import type { FragmentStore, Swarm } from "../../node/content/ports.ts";
import { createSwarm } from "../../node/swarm/swarm.ts";
import { TrustStore } from "../../node/trust/trust-store.ts";
import type { VerifiedInstruction } from "../../node/trust/verified-instruction.ts";
import { newsSpreadMs } from "../../node/core/backoff.ts";
import { CheckIn, type CheckInSettings } from "../../node/uplink/check-in.ts";
import { createCoordinatorClient } from "../../node/uplink/coordinator-client.ts";
import { readFacts } from "../../node/uplink/facts.ts";
import { openIdentity } from "../../node/uplink/identity.ts";
import { joinFleet } from "../../node/uplink/join.ts";
import { createOrigin } from "../../node/uplink/origin.ts";
import { Session } from "../../node/uplink/session.ts";
import type { Digest, EndpointId, SwarmTag } from "../../protocol/ids.ts";
import { parseManifest } from "../../protocol/manifest.ts";
import { liarsSeals } from "./liars-seals.ts";
import type { Fleet } from "./processes.ts";

const ZSTD_MAGIC = 0xfd2fb528;
const SILENT = pino({ level: "silent" });

/** Words of a package, and what a liar says in their place. */
export interface Lie {
  readonly from: string;
  readonly to: string;
}

/**
 * What it does with content: says other words, sends half of each fragment, never answers, or fetches like
 * everybody and then flips a byte in every tenth fragment that it passes on. One that `signs` says other
 * words too, and seals them with the digest that they have.
 */
export type Behaviour =
  | (Lie & { readonly kind: "lies" | "signs" })
  | { readonly kind: "truncates" }
  | { readonly kind: "silent" }
  | { readonly kind: "flips" };

export interface HostilePeerOptions {
  readonly name: string;
  readonly site: string;
  readonly host: string;
  readonly behaviour: Behaviour;
  /** How often it checks in. */
  readonly intervalMs?: number;
}

/** What it needs of the fleet that it is a member of. */
export type HostileHome = Pick<Fleet, "url" | "dataFolder" | "nodeFolder" | "json">;

interface HostileStore extends FragmentStore {
  /** Digests that are served as they are, or nobody would ask for more. */
  readonly truths: Set<Digest>;
  /** Digests of fragments served wrong, in order. */
  readonly lies: Digest[];
}

/** Has every fragment there is, and tells the truth about pages alone. */
class LyingFragments implements HostileStore {
  readonly truths = new Set<Digest>();
  readonly lies: Digest[] = [];
  readonly #folder: string;
  readonly #behaviour: Behaviour;

  constructor(folder: string, behaviour: Behaviour) {
    this.#folder = folder;
    this.#behaviour = behaviour;
  }

  has(digest: Digest): boolean {
    return existsSync(this.#pathOf(digest));
  }

  async read(digest: Digest): Promise<Buffer> {
    const bytes = await readFile(this.#pathOf(digest));
    if (this.truths.has(digest)) return bytes;
    this.lies.push(digest);
    const behaviour = this.#behaviour;
    if (behaviour.kind === "lies" || behaviour.kind === "signs")
      return forgedFragment(bytes, behaviour);
    if (behaviour.kind === "truncates") return bytes.subarray(0, Math.ceil(bytes.length / 2));
    return new Promise(() => undefined);
  }

  async write(): Promise<void> {
    throw new Error("a liar fetches nothing");
  }

  async delete(): Promise<void> {
    throw new Error("a liar deletes nothing");
  }

  #pathOf(digest: Digest): string {
    return join(this.#folder, digest.slice(0, 2), digest);
  }
}

/** Fetches what it serves. The exchange passes on the very buffer that it gives to the store. */
class FlippingFragments implements HostileStore {
  readonly truths = new Set<Digest>();
  readonly lies: Digest[] = [];
  readonly #held = new Map<Digest, Buffer>();

  has(digest: Digest): boolean {
    return this.#held.has(digest);
  }

  async read(digest: Digest): Promise<Buffer | undefined> {
    return this.#held.get(digest);
  }

  async write(digest: Digest, bytes: Buffer): Promise<void> {
    if (!this.truths.has(digest) && Number.parseInt(digest.slice(0, 4), 16) % 10 === 0) {
      bytes[0] = (bytes[0] ?? 0) ^ 1;
      this.lies.push(digest);
    }
    this.#held.set(digest, bytes);
  }

  async delete(digest: Digest): Promise<void> {
    this.#held.delete(digest);
  }
}

type Uplink = Pick<
  CheckInSettings,
  "client" | "url" | "identity" | "session" | "trust" | "journal" | "facts" | "intervalMs" | "log"
>;

export class HostilePeer implements AsyncDisposable {
  readonly endpoint: EndpointId;
  /** Swarm tags of the packages that it serves, by package name. */
  readonly serving = new Map<string, SwarmTag>();
  readonly #stack: AsyncDisposableStack;
  readonly #fragments: HostileStore;
  readonly #manifests: string;
  readonly #stop = new AbortController();
  readonly #fetching: Promise<unknown>[] = [];

  private constructor(
    endpoint: EndpointId,
    fragments: HostileStore,
    manifests: string,
    stack: AsyncDisposableStack,
  ) {
    this.endpoint = endpoint;
    this.#fragments = fragments;
    this.#manifests = manifests;
    this.#stack = stack;
  }

  /** Joined and checking in every half second; made a DP, it holds what the site is assigned. */
  static async join(fleet: HostileHome, options: HostilePeerOptions): Promise<HostilePeer> {
    const { host: localAddress } = options;
    await using stack = new AsyncDisposableStack();
    const { dataDir, identity, joined } = await enrolled(fleet, options);
    const trust = stack.use(await TrustStore.open(join(dataDir, "trust")));
    await trust.pin(joined.fleet);
    const journalFile = await openJournalFile(join(dataDir, "journal.jsonl"));
    const journal = stack.use(await Journal.open(journalFile, SILENT));
    const client = stack.use(
      createCoordinatorClient({ url: fleet.url, fleet: joined.fleet, localAddress }),
    );
    const session = new Session(client);
    const { fragments, manifests } = dataLayout(fleet.dataFolder);
    const { behaviour } = options;
    const isFetching = behaviour.kind === "flips";
    const store = isFetching ? new FlippingFragments() : new LyingFragments(fragments, behaviour);
    const swarm = stack.use(
      await createSwarm(
        {
          seed: identity.seed,
          fleet: joined.fleet.fleet,
          listen: [`/ip4/${localAddress}/tcp/0`],
          store,
          origin: createOrigin(session, fleet.url),
          verifyMembership: (envelope, peer) => trust.verifyMembership(envelope, peer, Date.now()),
          onRefusal: () => undefined,
          onNews: () => undefined,
        },
        behaviour.kind === "signs" ? liarsSeals : undefined,
      ),
    );
    const peer = new HostilePeer(identity.endpoint, store, manifests, stack.move());
    const uplink = { client, url: fleet.url, identity, session, trust, journal, log: SILENT };
    const { intervalMs = 500 } = options;
    const facts = async () => readFacts(localAddress);
    peer.#run({ ...uplink, intervalMs, facts }, trust, swarm);
    return peer;
  }

  /** Digests of the fragments that it was asked for and served wrong, in order. */
  get lies(): readonly Digest[] {
    return this.#fragments.lies;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  #run(uplink: Uplink, trust: TrustStore, swarm: Swarm): void {
    const checkIn = new CheckIn({
      ...uplink,
      listen: () => swarm.addresses(),
      nodeVersion: "hostile",
      // In no greater hurry than the others: who fetches first holds what nobody else has.
      newsSpreadMs: () => newsSpreadMs(trust.roster()?.peers.length ?? 0),
      onAccepted: async ({ instructions }) => {
        await place(trust, swarm);
        for (const one of instructions) await this.#serve(swarm, one);
      },
      onRefusal: () => undefined,
      now: Date.now,
      random: Math.random,
    });
    const running = checkIn.run(this.#stop.signal);
    this.#stack.defer(async () => {
      this.#stop.abort();
      await Promise.allSettled([running, ...this.#fetching]);
    });
  }

  async #serve(swarm: Swarm, instruction: VerifiedInstruction): Promise<void> {
    const { manifestDigest, swarm: tag, ref } = instruction;
    if (this.serving.has(ref.name)) return;
    const path = join(this.#manifests, manifestDigest.slice(0, 2), manifestDigest);
    const manifest = parseManifest(JSON.parse(await readFile(path, "utf8")));
    if (manifest.content === undefined) return;
    for (const page of [...manifest.content.fragmentPages, ...manifest.content.filePages]) {
      this.#fragments.truths.add(page.digest);
    }
    const item = { swarm: tag, manifestDigest, manifest };
    this.serving.set(ref.name, tag);
    if (this.#fragments instanceof LyingFragments) await swarm.serve(item);
    else this.#fetching.push(swarm.fetch(item, this.#stop.signal, () => undefined));
  }
}

async function enrolled(fleet: HostileHome, { name, site, host }: HostilePeerOptions) {
  const dataDir = fleet.nodeFolder(name);
  await mkdir(dataDir, { recursive: true });
  const identity = await openIdentity(dataDir);
  const answer = await fleet.json(["token", "create", "--site", site]);
  const joined = await joinFleet({
    dataDir,
    coordinatorUrl: fleet.url,
    joinToken: (answer as { readonly token: string }).token,
    identity,
    name,
    localAddress: host,
    nowMs: Date.now(),
    signal: AbortSignal.timeout(30_000),
  });
  return { dataDir, identity, joined };
}

async function place(trust: TrustStore, swarm: Swarm): Promise<void> {
  const roster = trust.roster();
  const held = trust.membership();
  if (roster === undefined || held === undefined) return;
  const { envelope, membership } = held;
  await swarm.place({ roster, dp: undefined, role: membership.role, membership: envelope });
}

/** What a fragment would be with other words in it; where they are not in it, one byte of it is wrong. */
export function forgedFragment(bytes: Buffer, { from, to }: Lie): Buffer {
  const plain = plainBytes(bytes);
  const at = plain.indexOf(from);
  if (at < 0) {
    const wrong = Buffer.from(bytes);
    wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 1;
    return wrong;
  }
  const parts = [plain.subarray(0, at), Buffer.from(to), plain.subarray(at + from.length)];
  const forged = Buffer.concat(parts);
  return plain === bytes ? forged : zstdCompressSync(forged);
}

/** The bytes of a fragment as they are in files. */
export function plainBytes(bytes: Buffer): Buffer {
  const isFrame = bytes.length > 4 && bytes.readUInt32LE(0) === ZSTD_MAGIC;
  return isFrame ? zstdDecompressSync(bytes) : bytes;
}
