/**
 * One endpoint in virtual time: the production scheduler, the ports of its LAN card, and the sessions
 * with its neighbours. Ticks follow need: 50 ms like the product while something happens, else rarer.
 */
import type { LanSettings } from "../../node/core/exchange/lan-requests.ts";
import { rankInSite } from "../../node/core/exchange/rendezvous.ts";
import {
  Scheduler,
  type SchedulerEffect,
  type SchedulerEvent,
} from "../../node/core/exchange/scheduler.ts";
import type { WanPlace } from "../../node/core/exchange/wan-policy.ts";
import type { FragmentSizes } from "../../node/core/exchange/wanted-fragments.ts";
import { Bitmap } from "../../protocol/bitmap.ts";
import type { EndpointId } from "../../protocol/ids.ts";
import type { EventQueue } from "./event-queue.ts";
import { UploadPort } from "./upload-port.ts";

const TICK_MS = 50;
const IDLE_TICK_MS = 250;
/** First offers are still widened for this long after the last fragment. */
const LINGER_MS = 1500;

/** The part one endpoint plays. `place.rank` is its position in the hash order of the whole site. */
export interface Casting {
  readonly id: EndpointId;
  readonly place: WanPlace;
  readonly startMs: number;
  readonly uploadBytesPerMs: number;
  readonly downloadBytesPerMs: number;
  /** Of the fragments it sends, how many are damaged. */
  readonly corruptShare: number;
  /** Claims everything and answers no request; fetches nothing. */
  readonly isSilent: boolean;
  readonly hasPackage: boolean;
  /** How it waits for neighbours; absent: as the product does. */
  readonly lan?: LanSettings;
  readonly seed: number;
}

export interface PeerSession {
  isOpen: boolean;
  readonly ends: readonly [SimulatedNode, SimulatedNode];
}

/** `away` is a laptop with its lid closed; `frozen` is a stopped process on a machine that still answers. */
export type NodeState = "up" | "away" | "frozen" | "dead";

export class SimulatedNode {
  readonly casting: Casting;
  scheduler: Scheduler;
  readonly sessions = new Map<EndpointId, PeerSession>();
  readonly banned = new Set<EndpointId>();
  /** Whom it dials next, where a neighbour cannot be reached. */
  strangers: SimulatedNode[] = [];
  /** Who fetches the package with it, as far as it knows. */
  private readonly joined = new Map<EndpointId, SimulatedNode>();
  /** Fragments it awaits from the origin. */
  readonly awaited = new Set<number>();
  isAskingLease = false;
  state: NodeState = "up";
  /** Rises when the machine goes away or dies: what was sent to an earlier life does not arrive. */
  life = 0;
  isStarted = false;
  completeMs: number | undefined;
  uploadedBytes = 0;
  readonly uploads: UploadPort;
  downloadFreeMs = 0;
  private readonly queue: EventQueue;
  private readonly sizes: FragmentSizes;
  private readonly perform: (node: SimulatedNode, effect: SchedulerEffect) => void;
  private tickMs = Infinity;
  private wasBusy = false;

  constructor(
    queue: EventQueue,
    casting: Casting,
    sizes: FragmentSizes,
    perform: (node: SimulatedNode, effect: SchedulerEffect) => void,
  ) {
    this.queue = queue;
    this.casting = casting;
    this.perform = perform;
    this.uploads = new UploadPort(queue);
    const { place, seed, lan } = casting;
    this.sizes = sizes;
    this.scheduler = new Scheduler(sizes, place, seed, queue.nowMs, lan);
  }

  get id(): EndpointId {
    return this.casting.id;
  }

  /** What becomes of one that sends damaged bytes is not the site's concern. */
  get isHonest(): boolean {
    return !this.casting.isSilent && this.casting.corruptShare === 0;
  }

  /** Fetching: it sends JOIN and dials neighbours. */
  get isFetching(): boolean {
    return this.isStarted && this.completeMs === undefined && !this.casting.isSilent;
  }

  /** What it says it has. */
  claims(): Bitmap {
    const { claims } = this.scheduler;
    const copy = new Bitmap(claims.size);
    for (let index = 0; index < claims.size; index++) {
      if (this.casting.isSilent || claims.has(index)) copy.add(index);
    }
    return copy;
  }

  /** As in the product, a node ranks itself among those that it shares the package with. */
  peerJoined(peer: SimulatedNode, have: Bitmap): void {
    const isDp = peer.casting.place.role === "dp";
    this.step({ type: "peerJoined", peer: peer.id, isDp, have });
    this.joined.set(peer.id, peer);
    this.rank();
  }

  peerLeft(peer: SimulatedNode): void {
    this.step({ type: "peerLeft", peer: peer.id });
    this.joined.delete(peer.id);
    if (this.isFetching) this.rank();
  }

  step(event: SchedulerEvent): void {
    if (this.state !== "up" || this.casting.isSilent) return;
    if (event.type !== "tick") this.wasBusy = true;
    for (const effect of this.scheduler.step(event, this.queue.nowMs)) this.perform(this, effect);
    this.planTick();
  }

  /** A new program that has not looked at its disk yet, and knows nobody. Returns what is there. */
  restart(): Bitmap {
    const { casting, queue } = this;
    const { have } = this.scheduler;
    const place = { ...casting.place, rank: 0 };
    const seed = casting.seed + this.life;
    this.scheduler = new Scheduler(this.sizes, place, seed, queue.nowMs, casting.lan);
    this.joined.clear();
    this.awaited.clear();
    this.isAskingLease = false;
    this.isStarted = true;
    this.state = "up";
    this.wake();
    return have;
  }

  /** After a time away: timers run again. */
  wake(): void {
    this.tickMs = Infinity;
    this.planTick();
  }

  private rank(): void {
    const { place } = this.casting;
    const before = [...this.joined.values()].filter(
      ({ casting }) => casting.place.rank < place.rank,
    );
    const rank = rankInSite(before.length, this.joined.size, place.siteSize);
    this.step({ type: "placed", place: { ...place, rank } });
  }

  private planTick(): void {
    if (!this.isStarted) return;
    const { nowMs } = this.queue;
    if (this.completeMs !== undefined && nowMs - this.completeMs > LINGER_MS) return;
    const dueMs = nowMs + (this.wasBusy ? TICK_MS : IDLE_TICK_MS);
    if (this.tickMs <= dueMs) return;
    this.tickMs = dueMs;
    this.queue.planAt(dueMs, () => {
      if (this.tickMs !== dueMs) return;
      this.tickMs = Infinity;
      this.wasBusy = false;
      this.step({ type: "tick" });
    });
  }
}

export function otherEnd({ ends: [one, other] }: PeerSession, end: SimulatedNode): SimulatedNode {
  return one === end ? other : one;
}
