/**
 * Whom this node talks to: sessions with admitted peers, and the policy that dials them. Peers come from
 * the coordinator's roster, from the tracker (the DP), and from mDNS; only members of the same site stay.
 */
import type { Connection, Stream } from "@libp2p/interface";
import { DeployError } from "../../protocol/errors.ts";
import type { EndpointId } from "../../protocol/ids.ts";
import type { ControlMessage } from "../../protocol/exchange.ts";
import type { Refusal, SwarmPlace } from "../content/ports.ts";
import {
  chosenNeighbours,
  neighbourCount,
  REDIAL_MAX_MS,
  REDIAL_MIN_MS,
  SECOND_MOVE_MS,
} from "../core/exchange/rendezvous.ts";
import { Session, type OwnHello } from "./session.ts";
import { TaskSet } from "./task-set.ts";

/** DPs and two neighbours at once, the others so much apart: handshakes of a whole site keep its content back. */
const DIAL_STEP_MS = 150;
const FIRST_DIALS = 3;

export interface NeighbourhoodPorts {
  readonly self: EndpointId;
  readonly dial: (
    peer: EndpointId,
    addresses: readonly string[],
  ) => Promise<{ stream: Stream; connection: Connection }>;
  readonly hello: (place: SwarmPlace) => OwnHello;
  readonly onOpen: (session: Session) => void;
  readonly onMessage: (session: Session, message: ControlMessage) => void;
  readonly onClose: (peer: EndpointId) => void;
  readonly onRefusal: (refusal: Refusal) => void;
  readonly nowMs: () => number;
}

interface DialState {
  isDialling: boolean;
  /** The last try found nobody. */
  isFailing: boolean;
  nextMs: number;
  pauseMs: number;
}

export class Neighbourhood {
  private readonly ports: NeighbourhoodPorts;
  private readonly sessions = new Map<EndpointId, Session>();
  private readonly dials = new Map<EndpointId, DialState>();
  private readonly found = new Map<EndpointId, readonly string[]>();
  private readonly banned = new Set<EndpointId>();
  private readonly tasks: TaskSet;
  private place: SwarmPlace | undefined;

  constructor(ports: NeighbourhoodPorts) {
    this.ports = ports;
    // A session that breaks is an everyday event; its end has been told by onClose already.
    this.tasks = new TaskSet(() => undefined);
  }

  /** Sessions with peers that are no longer of this site end here (BR-6). */
  placed(place: SwarmPlace): void {
    this.place = place;
    for (const session of this.sessions.values()) {
      if (session.membership.site !== place.roster.site) session.close("another site");
      else if (this.isBarred(session.peer)) session.close("barred");
    }
  }

  session(peer: EndpointId): Session | undefined {
    const session = this.sessions.get(peer);
    return session?.isOpen === true ? session : undefined;
  }

  all(): readonly Session[] {
    return [...this.sessions.values()].filter((session) => session.isOpen);
  }

  /** The tracker or mDNS named a peer. Its membership is checked when it is dialled. */
  heardOf(peer: EndpointId, addresses: readonly string[]): void {
    if (peer !== this.ports.self && addresses.length > 0) this.found.set(peer, addresses);
  }

  ban(peer: EndpointId): void {
    this.banned.add(peer);
    this.sessions.get(peer)?.close("banned");
  }

  /** Banned by this node, or barred by the coordinator from the whole site. */
  private isBarred(peer: EndpointId): boolean {
    return this.banned.has(peer) || this.place?.roster.barred?.includes(peer) === true;
  }

  /**
   * Dials whom a fetching node should know and does not yet: for everyone who cannot be reached, and for
   * everyone who is barred, somebody else. Called some times a second.
   */
  reach(): void {
    const { place } = this;
    if (place?.roster.site === undefined) return;
    const known = this.knownAddresses(place);
    const peers = [...known.keys()].filter((peer) => !this.isBarred(peer));
    const count = neighbourCount(peers.length + 1);
    const inOrder = chosenNeighbours(this.ports.self, peers, peers.length);
    const reachable = inOrder.filter((peer) => this.dials.get(peer)?.isFailing !== true);
    const dps = place.roster.dps.map(({ endpoint }) => endpoint);
    const wanted = new Set([...dps, ...inOrder.slice(0, count), ...reachable.slice(0, count)]);
    for (const [at, peer] of [...wanted].entries()) {
      const addresses = known.get(peer);
      const delayMs = DIAL_STEP_MS * Math.max(0, at - FIRST_DIALS);
      if (addresses !== undefined) this.reachOne(peer, addresses, delayMs);
    }
  }

  /** A peer opened a control stream. */
  accept(stream: Stream, connection: Connection): void {
    const { place } = this;
    if (place?.roster.site === undefined) {
      stream.abort(new Error("this node is at no site"));
      return;
    }
    this.tasks.run(async () => this.establish(stream, connection, place));
  }

  async close(): Promise<void> {
    for (const session of this.sessions.values()) session.close("the node stops");
    await this.tasks.settled();
  }

  private knownAddresses(place: SwarmPlace): ReadonlyMap<EndpointId, readonly string[]> {
    const known = new Map(this.found);
    for (const { endpoint, addresses } of [...place.roster.peers, ...place.roster.dps]) {
      if (addresses.length > 0) known.set(endpoint, addresses);
    }
    known.delete(this.ports.self);
    return known;
  }

  private reachOne(peer: EndpointId, addresses: readonly string[], delayMs: number): void {
    const { place } = this;
    if (place === undefined || this.isBarred(peer) || this.session(peer) !== undefined) return;
    const nowMs = this.ports.nowMs();
    const state = this.dials.get(peer) ?? this.firstDial(peer, place, nowMs + delayMs);
    if (state.isDialling || nowMs < state.nextMs) return;
    state.isDialling = true;
    this.tasks.run(async () => {
      try {
        const { stream, connection } = await this.ports.dial(peer, addresses);
        state.isFailing = false;
        state.pauseMs = REDIAL_MIN_MS;
        this.tasks.run(async () => this.establish(stream, connection, place));
      } catch (error) {
        state.isFailing = true;
        throw error;
      } finally {
        state.isDialling = false;
        state.nextMs = this.ports.nowMs() + state.pauseMs;
        state.pauseMs = Math.min(state.pauseMs * 2, REDIAL_MAX_MS);
      }
    });
  }

  private firstDial(peer: EndpointId, place: SwarmPlace, fromMs: number): DialState {
    const isToDp = place.roster.dps.some(({ endpoint }) => endpoint === peer);
    const isOfDp = place.role === "dp";
    const isFirstMover = isToDp === isOfDp ? this.ports.self < peer : isToDp;
    const state: DialState = {
      isDialling: false,
      isFailing: false,
      nextMs: isFirstMover ? fromMs : fromMs + SECOND_MOVE_MS,
      pauseMs: REDIAL_MIN_MS,
    };
    this.dials.set(peer, state);
    return state;
  }

  private async establish(
    stream: Stream,
    connection: Connection,
    place: SwarmPlace,
  ): Promise<void> {
    const session = await this.greeted(stream, connection, place);
    if (session.membership.site !== place.roster.site || this.isBarred(session.peer)) {
      this.found.delete(session.peer);
      session.close("not of this site");
      return;
    }
    if (!this.admits(session)) {
      session.close("another session is open");
      return;
    }
    const before = this.sessions.get(session.peer);
    this.sessions.set(session.peer, session);
    before?.close("replaced by the session of the smaller id");
    this.ports.onOpen(session);
    await this.listen(session);
  }

  /** A stranger is reported; a silent or broken peer is an everyday event. */
  private async greeted(
    stream: Stream,
    connection: Connection,
    place: SwarmPlace,
  ): Promise<Session> {
    try {
      return await Session.establish(stream, connection, this.ports.hello(place));
    } catch (error) {
      if (error instanceof DeployError) {
        const detail = `${connection.remotePeer.toString()}: ${error.message}`;
        this.ports.onRefusal({ code: "EXCHANGE_PEER_REFUSED", detail });
      }
      throw error;
    }
  }

  // Both ends see the same two sessions and keep the same one.
  private admits(session: Session): boolean {
    const before = this.session(session.peer);
    return before === undefined || session.opener < before.opener;
  }

  private async listen(session: Session): Promise<void> {
    try {
      for await (const message of session.messages()) this.ports.onMessage(session, message);
    } finally {
      if (this.sessions.get(session.peer) === session) {
        this.sessions.delete(session.peer);
        this.ports.onClose(session.peer);
      }
      session.close("over");
    }
  }
}
