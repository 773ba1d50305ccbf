/**
 * The node's side of the exchange over real libp2p: TCP, TLS or noise, yamux. The only room that imports libp2p.
 * Decisions are the scheduler's; sessions are the neighbourhood's; packages drive themselves.
 */
import { createHash } from "node:crypto";
import { multiaddr } from "@multiformats/multiaddr";
import type { Libp2p } from "libp2p";
import { BULK_PROTOCOL, CONTROL_PROTOCOL, type ControlMessage } from "../../protocol/exchange.ts";
import { parseEndpointId, type EndpointId, type SwarmTag } from "../../protocol/ids.ts";
import type {
  ExchangeManners,
  FetchProgress,
  Swarm,
  SwarmItem,
  SwarmPlace,
  SwarmSettings,
} from "../content/ports.ts";
import { rankInSite, rendezvousRank } from "../core/exchange/rendezvous.ts";
import type { WanPlace } from "../core/exchange/wan-policy.ts";
import { PackageNews } from "../core/package-news.ts";
import { BulkServer } from "./bulk-server.ts";
import { leaveEvicted, type GoneDigests } from "./evicted-packages.ts";
import { convict, servedSeals, type SealsOf } from "./fragment-seals.ts";
import { guardedPorts, NO_LIMITS, OwedFragments } from "./guarded-ports.ts";
import { SiteDiscovery } from "./mdns.ts";
import { Neighbourhood } from "./neighbourhood.ts";
import { PackageSwarm, type PackagePorts } from "./package-swarm.ts";
import { RecentFragments } from "./recent-fragments.ts";
import type { Session } from "./session.ts";
import { createSiteHost } from "./site-host.ts";
import { TaskSet } from "./task-set.ts";

const REACH_EVERY_MS = 250;
const DIAL_TIMEOUT_MS = 10_000;
/** Peers that a tracker names in one answer. */
const TRACKER_PEERS = 12;

/** Starts libp2p and listens. The node is at no site until `place` is called. `sealsOf`: a liar's own. */
export async function createSwarm(
  settings: SwarmSettings,
  sealsOf: SealsOf = servedSeals,
): Promise<Swarm> {
  return new LibSwarm(settings, await createSiteHost(settings), sealsOf);
}

class LibSwarm implements Swarm {
  private readonly settings: SwarmSettings;
  private readonly sealsOf: SealsOf;
  private readonly libp2p: Libp2p;
  private readonly self: EndpointId;
  private readonly packages = new Map<SwarmTag, PackageSwarm>();
  private readonly opening = new Map<SwarmTag, Promise<PackageSwarm>>();
  private readonly recent = new RecentFragments();
  private readonly neighbourhood: Neighbourhood;
  private readonly discovery: SiteDiscovery;
  private readonly tasks = new TaskSet(() => undefined);
  private readonly ready: Promise<void>;
  private readonly timer: NodeJS.Timeout;
  private readonly news = new PackageNews();
  private readonly owed = new OwedFragments();
  private readonly manners: ExchangeManners;
  private current: SwarmPlace | undefined;

  constructor(settings: SwarmSettings, libp2p: Libp2p, sealsOf: SealsOf) {
    this.settings = settings;
    this.sealsOf = sealsOf;
    this.manners = settings.manners ?? NO_LIMITS;
    this.libp2p = libp2p;
    this.self = parseEndpointId(libp2p.peerId.toString());
    this.neighbourhood = new Neighbourhood({
      self: this.self,
      dial: async (_peer, addresses) => this.dial(_peer, addresses),
      hello: (place) => ({
        self: this.self,
        membership: place.membership,
        addresses: this.addresses(),
        verify: settings.verifyMembership,
      }),
      onOpen: (session) => this.sessionOpened(session),
      onMessage: (session, message) => this.message(session, message),
      onClose: (peer) => {
        for (const swarm of this.packages.values()) {
          swarm.step({ type: "peerLeft", peer });
          if (swarm.isFetching) this.rank(swarm);
        }
      },
      onRefusal: settings.onRefusal,
      nowMs: monotonicMs,
    });
    this.discovery = new SiteDiscovery({
      serviceName: () => this.serviceName,
      isTracker: () => this.isTracker,
      addresses: () => this.addresses(),
      onFound: (address) => this.found(address),
      nowMs: monotonicMs,
    });
    this.ready = this.handleProtocols();
    this.timer = setInterval(() => this.reach(), REACH_EVERY_MS);
  }

  addresses(): readonly string[] {
    return this.libp2p.getMultiaddrs().map(String);
  }

  async place(place: SwarmPlace): Promise<void> {
    await this.ready;
    this.current = place;
    this.neighbourhood.placed(place);
    for (const swarm of this.packages.values()) this.rank(swarm);
    this.reach();
  }

  async fetch(
    item: SwarmItem,
    signal: AbortSignal,
    onProgress: (progress: FetchProgress) => void,
  ): Promise<FetchProgress> {
    let swarm = await this.opened(item);
    // Left in the meantime, because something of it was evicted: nothing would come there any more.
    while (this.packages.get(item.swarm) !== swarm) swarm = await this.opened(item);
    const result = swarm.fetch(item, signal, onProgress);
    for (const session of this.neighbourhood.all()) this.join(session, swarm, false);
    this.reach();
    try {
      return await result;
    } catch (error) {
      // Given up: nothing of it may use the line any more. A later fetch resumes from the disk.
      if (!swarm.isFetching && !swarm.isSated) await this.leave(swarm);
      throw error;
    }
  }

  isNearby(item: SwarmItem, index: number): boolean {
    return this.packages.get(item.swarm)?.isNearby(index) ?? false;
  }

  async serve(item: SwarmItem): Promise<void> {
    await this.opened(item);
  }

  evicted(gone: GoneDigests): void {
    const leave = async (swarm: PackageSwarm): Promise<void> => this.leave(swarm);
    const ports = { leave, origin: this.settings.origin };
    this.tasks.run(async () => leaveEvicted(this.packages.values(), gone, ports));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.timer);
    await Promise.all([...this.packages.values()].map(async (swarm) => swarm.close()));
    await this.neighbourhood.close();
    await this.discovery.close();
    await this.libp2p.stop();
    await this.tasks.settled();
  }

  private async handleProtocols(): Promise<void> {
    const { manners, owed, settings } = this;
    const sealsFor = this.sealsOf(settings.seed, (swarm) => this.packages.get(swarm)?.catalog);
    const server = new BulkServer(
      async ({ swarm, index }) => this.packages.get(swarm)?.read(index),
      {
        get uploadSlots() {
          return manners.uploadSlots;
        },
        upload: async (sizeBytes) => manners.upload(sizeBytes),
        isOwed: (request) => owed.has(request),
      },
      monotonicMs,
    );
    await this.libp2p.handle(
      CONTROL_PROTOCOL,
      (stream, connection) => this.neighbourhood.accept(stream, connection),
      { maxInboundStreams: 4 },
    );
    await this.libp2p.handle(
      BULK_PROTOCOL,
      (stream, connection) => {
        const peer = parseEndpointId(connection.remotePeer.toString());
        if (this.neighbourhood.session(peer) === undefined) {
          stream.abort(new Error("no session"));
          return;
        }
        this.tasks.run(async () => server.serve(stream, sealsFor(peer)));
      },
      { maxInboundStreams: 8 },
    );
  }

  private async dial(peer: EndpointId, addresses: readonly string[]) {
    const targets = addresses.map((text) =>
      multiaddr(text.includes("/p2p/") ? text : `${text}/p2p/${peer}`),
    );
    const signal = AbortSignal.timeout(DIAL_TIMEOUT_MS);
    const connection = await this.libp2p.dial(targets, { signal });
    const stream = await connection.newStream(CONTROL_PROTOCOL, { maxOutboundStreams: 4, signal });
    return { stream, connection };
  }

  private async opened(item: SwarmItem): Promise<PackageSwarm> {
    const before = this.opening.get(item.swarm);
    if (before !== undefined) return before;
    const opening = this.open(item);
    this.opening.set(item.swarm, opening);
    try {
      return await opening;
    } catch (error) {
      this.opening.delete(item.swarm);
      throw error;
    }
  }

  private async leave(swarm: PackageSwarm): Promise<void> {
    const tag = swarm.item.swarm;
    if (this.packages.get(tag) !== swarm) return;
    this.packages.delete(tag);
    this.opening.delete(tag);
    for (const session of this.neighbourhood.all()) session.send({ type: "leave", swarm: tag });
    await swarm.close();
  }

  private async open(item: SwarmItem): Promise<PackageSwarm> {
    const place: WanPlace =
      this.current === undefined
        ? { role: "agent", dp: undefined, rank: 0, siteSize: 1 }
        : this.wanPlace(this.current, item.swarm, []);
    const seed =
      Buffer.from(this.self).readUInt32BE(20) ^ Buffer.from(item.swarm, "hex").readUInt32BE(0);
    const swarm = new PackageSwarm(item, place, seed, this.portsOf(item));
    await swarm.open();
    this.packages.set(item.swarm, swarm);
    return swarm;
  }

  private portsOf(item: SwarmItem): PackagePorts {
    const { store, origin, onRefusal } = this.settings;
    const ports: PackagePorts = {
      store,
      origin,
      recent: this.recent,
      ask: async (peer, index) =>
        (await this.neighbourhood.session(peer)?.bulk.ask(item.swarm, index)) ?? { kind: "lost" },
      cancel: (peer, index) => this.neighbourhood.session(peer)?.bulk.cancel(item.swarm, index),
      send: (peer, message) => this.neighbourhood.session(peer)?.send(message),
      isDp: (peer) => this.isDp(peer),
      ban: (peer) => this.neighbourhood.ban(peer),
      convict: (wrong) => convict({ ...wrong, item, receiver: this.self }),
      onRefusal,
      nowMs: monotonicMs,
    };
    const isHere = (index: number): boolean =>
      this.packages.get(item.swarm)?.have.has(index) ?? false;
    return guardedPorts(item, ports, { manners: this.manners, owed: this.owed, isHere });
  }

  /** Ranked among those that fetch with it: who is absent or asleep keeps nobody waiting. */
  private wanPlace(place: SwarmPlace, topic: string, joined: readonly EndpointId[]): WanPlace {
    const siteSize = place.roster.peers.length + 1;
    const rank = rankInSite(this.leaseRank(place, topic, joined), joined.length, siteSize);
    return { role: place.role, dp: place.dp?.endpoint, rank, siteSize };
  }

  /** Whoever can pass on what it fetches comes first. */
  private leaseRank(place: SwarmPlace, topic: string, joined: readonly EndpointId[]): number {
    if (this.manners.uploadSlots === 0) return joined.length;
    const silent = new Set(
      place.roster.peers.filter((peer) => peer.isSharing === false).map((peer) => peer.endpoint),
    );
    const sharing = joined.filter((peer) => !silent.has(peer));
    return rendezvousRank(this.self, sharing, `${topic}\n${place.roster.epoch}`);
  }

  private rank(swarm: PackageSwarm): void {
    if (this.current === undefined) return;
    const place = this.wanPlace(this.current, swarm.item.swarm, swarm.neighbours);
    swarm.step({ type: "placed", place });
  }

  // The DP keeps track; without one, the first of the rendezvous order does.
  private get isTracker(): boolean {
    const { current } = this;
    if (current?.roster.site === undefined) return false;
    if (current.role === "dp") return true;
    const peers = current.roster.peers.map(({ endpoint }) => endpoint);
    return (
      current.roster.dps.length === 0 && rendezvousRank(this.self, peers, current.roster.site) === 0
    );
  }

  // Nodes of other sites and fleets on the same LAN neither answer nor learn which site this is.
  private get serviceName(): string | undefined {
    const { current } = this;
    if (current?.roster.site === undefined) return undefined;
    const name = createHash("sha256").update(`${this.settings.fleet}\n${current.roster.site}`);
    return `${name.digest("hex").slice(0, 16)}._branchline._tcp.local`;
  }

  // The roster, not the membership in the peer's HELLO: a DP may be enabled while sessions are open.
  private isDp(peer: EndpointId): boolean {
    return this.current?.roster.dps.some(({ endpoint }) => endpoint === peer) ?? false;
  }

  private reach(): void {
    const isNeeded = [...this.packages.values()].some((swarm) => swarm.isFetching);
    if (!isNeeded || this.current?.roster.site === undefined) return;
    this.neighbourhood.reach();
    this.discovery.ask();
  }

  private found(address: string): void {
    const at = address.lastIndexOf("/p2p/");
    if (at < 0) return;
    try {
      multiaddr(address);
      this.neighbourhood.heardOf(parseEndpointId(address.slice(at + 5)), [address]);
    } catch {
      // Anyone on the LAN can multicast anything: what is no address is ignored.
    }
  }

  private sessionOpened(session: Session): void {
    for (const swarm of this.packages.values()) {
      if (swarm.isFetching) this.join(session, swarm, false);
    }
  }

  private join(session: Session, swarm: PackageSwarm, isAnswer: boolean): void {
    session.send({ type: "join", swarm: swarm.item.swarm, isAnswer, have: swarm.claims });
  }

  private message(session: Session, message: ControlMessage): void {
    if (message.type === "hello") throw new Error("a second HELLO");
    const swarm = this.packages.get(message.swarm);
    if (message.type === "peers") {
      for (const { endpoint, addresses } of message.peers)
        this.neighbourhood.heardOf(endpoint, addresses);
      return;
    }
    if (swarm === undefined) {
      const isNews = message.type === "join" && this.news.isNews(message.swarm, monotonicMs());
      if (isNews) this.settings.onNews();
      return;
    }
    const { peer } = session;
    switch (message.type) {
      case "join": {
        if (!message.isAnswer) {
          this.join(session, swarm, true);
          if (this.isTracker) this.track(session, swarm);
        }
        swarm.step({ type: "peerJoined", peer, isDp: this.isDp(peer), have: message.have });
        this.rank(swarm);
        break;
      }
      case "have":
        swarm.step({ type: "peerHas", peer, indices: message.indices });
        break;
      case "leave":
        swarm.step({ type: "peerLeft", peer });
        break;
      default:
        message satisfies never;
    }
  }

  /** Names other members of the site to the one who joined. */
  private track(session: Session, swarm: PackageSwarm): void {
    const peers = this.neighbourhood
      .all()
      .filter(({ peer, addresses }) => peer !== session.peer && addresses.length > 0)
      .slice(0, TRACKER_PEERS)
      .map(({ peer, addresses }) => ({ endpoint: peer, addresses }));
    if (peers.length > 0) session.send({ type: "peers", swarm: swarm.item.swarm, peers });
  }
}

// Deadlines and rates must not jump with the system's clock.
function monotonicMs(): number {
  return performance.now();
}
