/** Who talks to whom in a simulated site: what node/swarm/neighbourhood.ts does, in virtual time. */
import {
  neighbourCount,
  REDIAL_MAX_MS,
  REDIAL_MIN_MS,
  SECOND_MOVE_MS,
} from "../../node/core/exchange/rendezvous.ts";
import type { EventQueue } from "./event-queue.ts";
import type { Random } from "./random.ts";
import type { PeerSession, SimulatedNode } from "./simulated-node.ts";
import type { SiteCourse } from "./site-course.ts";

/** Handshake, HELLO both ways. */
const DIAL_MS = 15;

export interface SimulatedSessionsPorts {
  readonly queue: EventQueue;
  readonly course: SiteCourse;
  readonly random: Random;
  /** For each end that fetches. */
  readonly onOpen: (node: SimulatedNode, session: PeerSession) => void;
}

export class SimulatedSessions {
  private readonly list: readonly SimulatedNode[];
  private readonly ports: SimulatedSessionsPorts;
  private isSplit: boolean;

  constructor(list: readonly SimulatedNode[], ports: SimulatedSessionsPorts) {
    this.list = list;
    this.ports = ports;
    this.isSplit = ports.course.isSplit ?? false;
  }

  /** Dials the DPs and as many others as a node of such a site dials. */
  reach(node: SimulatedNode): void {
    const others = this.ports.random.shuffled(this.list.filter((other) => other !== node));
    const count = neighbourCount(this.list.length);
    node.strangers = others.slice(count);
    const dps = this.list.filter(({ casting }) => casting.place.role === "dp");
    for (const peer of new Set([...dps, ...others.slice(0, count)])) {
      if (peer !== node) this.dialFirst(node, peer);
    }
  }

  /** Somebody else for a neighbour that is banned or cannot be reached. */
  reachAnother(node: SimulatedNode): void {
    const peer = node.strangers.shift();
    if (peer !== undefined) this.dialFirst(node, peer);
  }

  close(session: PeerSession): void {
    if (!session.isOpen) return;
    session.isOpen = false;
    const [one, other] = session.ends;
    one.sessions.delete(other.id);
    other.sessions.delete(one.id);
    this.ports.queue.planIn(this.ports.course.lanLatencyMs, () => {
      one.peerLeft(other);
      other.peerLeft(one);
    });
  }

  /** From now on everyone reaches everyone. */
  heal(): void {
    this.isSplit = false;
  }

  private dialFirst(node: SimulatedNode, peer: SimulatedNode): void {
    this.dial(node, peer, node.id < peer.id ? 0 : SECOND_MOVE_MS, REDIAL_MIN_MS);
  }

  private dial(node: SimulatedNode, peer: SimulatedNode, delayMs: number, pauseMs: number): void {
    const { queue } = this.ports;
    queue.planIn(delayMs, () => {
      const isDone = !node.isFetching || node.sessions.has(peer.id);
      if (isDone || node.state !== "up" || node.banned.has(peer.id)) return;
      queue.planIn(DIAL_MS, () => {
        if (node.sessions.has(peer.id)) return;
        const isOpen = peer.state === "up" && !peer.banned.has(node.id);
        if (node.state === "up" && isOpen && !this.isApart(node, peer)) {
          this.open(node, peer);
          return;
        }
        if (pauseMs === REDIAL_MIN_MS) this.reachAnother(node);
        if (peer.state === "dead") return;
        this.dial(node, peer, pauseMs, Math.min(2 * pauseMs, REDIAL_MAX_MS));
      });
    });
  }

  /** The first half of the site and the rest do not reach each other while it is split. */
  private isApart(one: SimulatedNode, other: SimulatedNode): boolean {
    const isFirst = (node: SimulatedNode): boolean =>
      2 * this.list.indexOf(node) < this.list.length;
    return this.isSplit && isFirst(one) !== isFirst(other);
  }

  private open(node: SimulatedNode, peer: SimulatedNode): void {
    const session: PeerSession = { isOpen: true, ends: [node, peer] };
    node.sessions.set(peer.id, session);
    peer.sessions.set(node.id, session);
    for (const end of session.ends) if (end.isFetching) this.ports.onOpen(end, session);
  }
}
