/**
 * One site in virtual time: production schedulers on a LAN of first-in-first-out ports, behind one WAN
 * line with the production lease gate. Does for each node what node/swarm does around the scheduler.
 */
import type { SchedulerEffect } from "../../node/core/exchange/scheduler.ts";
import type { Bitmap } from "../../protocol/bitmap.ts";
import type { EndpointId } from "../../protocol/ids.ts";
import { EventQueue, START_MS } from "./event-queue.ts";
import { indicesFrom } from "./package-shape.ts";
import { Random } from "./random.ts";
import { otherEnd, SimulatedNode, type PeerSession } from "./simulated-node.ts";
import { SimulatedSessions } from "./simulated-sessions.ts";
import type { Incident, SiteCourse, Strike } from "./site-course.ts";
import { SiteOrigin } from "./site-origin.ts";

/** A JOIN of an unknown package makes a node check in at once: jitter, check-in, manifest. */
const NEWS_MIN_MS = 100;
const NEWS_MAX_MS = 400;
const HOLDER_RETRY_MS = 50;
/** From a ban to the bar: a report, and the news of it to the site. */
const BAR_MS = 1500;
/** From the kill of all programs to the first that runs again. */
const RESTART_MS = 2000;

export class SiteSimulation {
  readonly queue = new EventQueue();
  readonly origin: SiteOrigin;
  readonly nodes: ReadonlyMap<EndpointId, SimulatedNode>;
  /** Laptops that were away at any time, with the instant of their return. */
  readonly returnedMs = new Map<EndpointId, number>();
  banCount = 0;
  private readonly course: SiteCourse;
  private readonly random: Random;
  private readonly list: readonly SimulatedNode[];
  private readonly open: Set<SimulatedNode>;
  private incidents: Incident[];
  private readonly sessions: SimulatedSessions;

  constructor(course: SiteCourse) {
    this.course = course;
    this.random = new Random(course.seed);
    const { shape, cast } = course;
    this.list = cast.map(
      (casting) =>
        new SimulatedNode(this.queue, casting, shape.sizes, (node, effect) =>
          this.perform(node, effect),
        ),
    );
    this.nodes = new Map(this.list.map((node) => [node.id, node]));
    this.origin = new SiteOrigin(this.queue, {
      shape,
      bytesPerMs: course.wanBytesPerMs,
      latencyMs: course.wanLatencyMs,
      onCarried: () => this.runIncidents(),
      dps: cast.filter(({ place }) => place.role === "dp").map(({ id }) => id),
    });
    this.open = new Set(this.list.filter((node) => node.isHonest));
    this.sessions = new SimulatedSessions(this.list, {
      queue: this.queue,
      course,
      random: this.random,
      onOpen: (node, session) => this.sendJoin(node, session, false),
    });
    this.incidents = course.incidents.toSorted((a, b) => a.atFraction - b.atFraction);
    for (const node of this.list) {
      this.queue.planAt(START_MS + node.casting.startMs, () => this.start(node));
    }
  }

  plan(incident: Incident, atMs: number): void {
    this.queue.planAt(START_MS + atMs, () => this.happen(incident));
  }

  /** Runs until every node that can finish has, or until the limit. */
  run(limitMs = this.course.limitMs): void {
    const endMs = START_MS + limitMs;
    while (this.open.size > 0 && this.queue.nowMs < endMs && this.queue.runNext());
  }

  /** Honest nodes that lack something and are neither dead nor frozen. */
  unfinished(): readonly EndpointId[] {
    return [...this.open].map(({ id }) => id);
  }

  private start(node: SimulatedNode): void {
    if (node.isStarted || node.state !== "up") return;
    node.isStarted = true;
    const { casting, sessions } = node;
    const { pageCount, count } = this.course.shape;
    if (casting.hasPackage) node.step({ type: "found", indices: indicesFrom(0, count) });
    node.step({ type: "known", indices: indicesFrom(0, pageCount) });
    if (!node.isFetching) return;
    for (const session of sessions.values()) this.sendJoin(node, session, false);
    this.sessions.reach(node);
  }

  private sendJoin(from: SimulatedNode, session: PeerSession, isAnswer: boolean): void {
    const to = otherEnd(session, from);
    const have = from.claims();
    this.send(session, to, () => {
      if (!to.isStarted && !to.casting.isSilent) {
        this.queue.planIn(this.random.between(NEWS_MIN_MS, NEWS_MAX_MS), () => this.start(to));
        return;
      }
      if (!isAnswer) this.sendJoin(to, session, true);
      to.peerJoined(from, have);
    });
  }

  private send(session: PeerSession, to: SimulatedNode, receive: () => void): void {
    const { life } = to;
    this.queue.planIn(this.course.lanLatencyMs, () => {
      if (session.isOpen && to.life === life && to.state === "up") receive();
    });
  }

  private perform(node: SimulatedNode, effect: SchedulerEffect): void {
    switch (effect.type) {
      case "request":
        this.request(node, effect.peer, effect.index);
        break;
      case "fetchOrigin":
        this.fetchOrigin(node, effect.index);
        break;
      case "askLease": {
        const { life } = node;
        node.isAskingLease = true;
        this.origin.ask(node.id, effect.wish, (answer) => {
          if (node.life !== life || node.state !== "up") return;
          node.isAskingLease = false;
          node.step({ type: "leased", answer });
        });
        break;
      }
      case "announce":
        this.announce(node, effect.peers, effect.indices);
        break;
      case "ban": {
        this.banCount++;
        node.banned.add(effect.peer);
        const session = node.sessions.get(effect.peer);
        if (session !== undefined) this.sessions.close(session);
        this.sessions.reachAnother(node);
        this.queue.planIn(BAR_MS, () => this.convicted(effect.peer));
        break;
      }
      case "complete":
        node.completeMs = this.queue.nowMs;
        this.open.delete(node);
        break;
      case "cancel":
        this.cancel(node, effect.peer, effect.index);
        break;
      default:
        effect satisfies never;
    }
  }

  // One event for all receivers: they hear it at the same moment.
  private announce(
    node: SimulatedNode,
    peers: readonly EndpointId[],
    indices: readonly number[],
  ): void {
    const sessions = peers.flatMap((peer) => node.sessions.get(peer) ?? []);
    this.queue.planIn(this.course.lanLatencyMs, () => {
      for (const session of sessions) {
        if (!session.isOpen) continue;
        otherEnd(session, node).step({ type: "peerHas", peer: node.id, indices });
      }
    });
  }

  private request(node: SimulatedNode, peer: EndpointId, index: number): void {
    const session = node.sessions.get(peer);
    const server = this.nodes.get(peer);
    if (session === undefined || server === undefined) {
      this.queue.planIn(0, () =>
        node.step({ type: "failed", index, source: peer, reason: "lost" }),
      );
      return;
    }
    this.send(session, server, () => {
      if (server.casting.isSilent) return;
      if (server.scheduler.have.has(index)) this.upload(server, node, session, index);
      else {
        const failed = { type: "failed", index, source: peer, reason: "absent" } as const;
        this.send(session, node, () => node.step(failed));
      }
    });
  }

  private upload(
    server: SimulatedNode,
    node: SimulatedNode,
    session: PeerSession,
    index: number,
  ): void {
    const sizeBytes = this.course.shape.sizes[index] ?? 0;
    const isCorrupt = this.random.next() < server.casting.corruptShare;
    const { life } = server;
    const onSent = (): void => {
      if (!session.isOpen || server.life !== life) return;
      server.uploadedBytes += sizeBytes;
      // The receiver's port takes the bytes while they come, unless it is busy with others.
      const tookMs = sizeBytes / node.casting.downloadBytesPerMs;
      node.downloadFreeMs = Math.max(node.downloadFreeMs, this.queue.nowMs - tookMs) + tookMs;
      this.queue.planAt(node.downloadFreeMs, () => {
        this.send(session, node, () => this.receive(node, server, index, isCorrupt));
      });
    };
    const tookMs = sizeBytes / server.casting.uploadBytesPerMs;
    server.uploads.send({ to: node.id, index, tookMs, onSent });
  }

  // What is on its way arrives all the same, and is welcome or not.
  private cancel(node: SimulatedNode, peer: EndpointId, index: number): void {
    const session = node.sessions.get(peer);
    const server = this.nodes.get(peer);
    if (session === undefined || server === undefined) return;
    this.send(session, server, () => server.uploads.cancel(node.id, index));
  }

  private receive(
    node: SimulatedNode,
    server: SimulatedNode,
    index: number,
    isCorrupt: boolean,
  ): void {
    const source = server.id;
    if (isCorrupt) node.step({ type: "failed", index, source, reason: "corrupt" });
    else this.keep(node, index, source);
  }

  private fetchOrigin(node: SimulatedNode, index: number): void {
    const { life } = node;
    node.awaited.add(index);
    this.origin.fetch(node.id, index, (isWhole) => {
      if (node.life !== life || node.state !== "up") return;
      node.awaited.delete(index);
      if (isWhole) this.keep(node, index, "origin");
      else node.step({ type: "failed", index, source: "origin", reason: "lost" });
    });
  }

  private keep(node: SimulatedNode, index: number, source: EndpointId | "origin"): void {
    const { have } = node.scheduler;
    if (have.has(index)) return;
    node.step({ type: "arrived", index, source });
    const { pageCount, count } = this.course.shape;
    if (index >= pageCount) return;
    for (let page = 0; page < pageCount; page++) if (!have.has(page)) return;
    node.step({ type: "known", indices: indicesFrom(0, count) });
  }

  private runIncidents(): void {
    const fraction = this.origin.line.carriedBytes / this.course.shape.sizeBytes;
    for (;;) {
      const [next] = this.incidents;
      if (next === undefined || next.atFraction > fraction) return;
      this.incidents.shift();
      this.happen(next);
    }
  }

  private happen(incident: Incident): void {
    if (incident.kind === "heal") this.sessions.heal();
    else if (incident.kind === "restart") this.restart(incident.awayMs);
    else this.strike(incident);
  }

  private strike(incident: Strike): void {
    const victim = incident.who === "holder" ? this.holder() : this.nodes.get(incident.who);
    if (victim === undefined) {
      if (this.open.size > 0) this.queue.planIn(HOLDER_RETRY_MS, () => this.happen(incident));
      return;
    }
    if (victim.state !== "up") return;
    victim.life++;
    switch (incident.kind) {
      case "kill":
        this.take(victim);
        break;
      case "freeze":
        // The machine's kernel goes on taking what is on its way: the origin sees it served.
        victim.state = "frozen";
        this.open.delete(victim);
        break;
      case "away":
        victim.state = "away";
        this.origin.dropEndpoint(victim.id, false);
        this.queue.planIn(incident.awayMs, () => this.comeBack(victim));
        break;
      default:
        incident.kind satisfies never;
    }
  }

  /** Out of the site for good. */
  private take(victim: SimulatedNode): void {
    victim.state = "dead";
    this.open.delete(victim);
    for (const session of victim.sessions.values()) {
      this.sessions.close(session);
      this.sessions.reachAnother(otherEnd(session, victim));
    }
    this.origin.dropEndpoint(victim.id, true);
  }

  /** What it signed convicts it: it is barred, and fetches for itself when the others have what they need. */
  private convicted(peer: EndpointId): void {
    const guilty = this.nodes.get(peer);
    if (guilty === undefined || guilty.state !== "up") return;
    guilty.life++;
    this.take(guilty);
  }

  /** All programs are killed; one after the other starts again within `spreadMs`. */
  private restart(spreadMs: number): void {
    for (const [at, node] of this.random.shuffled(this.list).entries()) {
      node.life++;
      node.state = "away";
      for (const session of node.sessions.values()) this.sessions.close(session);
      this.origin.dropEndpoint(node.id, true);
      const delayMs = RESTART_MS + (at * spreadMs) / this.list.length;
      this.queue.planIn(delayMs, () => {
        this.origin.returned(node.id);
        this.know(node, node.restart());
        if (node.isFetching) this.sessions.reach(node);
      });
    }
  }

  private know(node: SimulatedNode, have: Bitmap): void {
    const { pageCount, count } = this.course.shape;
    const held = [...indicesFrom(0, count)].filter((index) => have.has(index));
    const hasPages = held[pageCount - 1] === pageCount - 1;
    node.step({ type: "found", indices: held });
    node.step({ type: "known", indices: indicesFrom(0, hasPages ? count : pageCount) });
  }

  private comeBack(node: SimulatedNode): void {
    node.state = "up";
    this.origin.returned(node.id);
    if (node.completeMs === undefined) this.returnedMs.set(node.id, this.queue.nowMs);
    for (const session of node.sessions.values()) this.sessions.close(session);
    node.wake();
    if (!node.isStarted) {
      this.start(node);
      return;
    }
    if (node.isAskingLease) node.step({ type: "leaseFailed" });
    node.isAskingLease = false;
    for (const index of node.awaited) {
      node.step({ type: "failed", index, source: "origin", reason: "lost" });
    }
    node.awaited.clear();
    if (node.isFetching) this.sessions.reach(node);
  }

  private holder(): SimulatedNode | undefined {
    return this.origin
      .receivers()
      .flatMap((id) => this.nodes.get(id) ?? [])
      .find(({ casting }) => casting.place.role !== "dp");
  }
}
