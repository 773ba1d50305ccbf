/**
 * The origin as one site sees it: the production lease gate behind a delay, and the site's WAN line.
 * Tells the gate what the coordinator's routes tell it: parts, ends and broken transfers.
 */
import { newGate, type GateState } from "../../coordinator/core/line/gate-state.ts";
import { step, type GateAnswer } from "../../coordinator/core/line/lease-gate.ts";
import type { LeaseWish } from "../../node/core/exchange/wan-policy.ts";
import { parseDigest, type EndpointId } from "../../protocol/ids.ts";
import { LEASE_TOKEN_LIFE_MS, type LeaseAnswer } from "../../protocol/lease.ts";
import type { EventQueue } from "./event-queue.ts";
import type { PackageShape } from "./package-shape.ts";
import { WanLine, type Transfer } from "./wan-line.ts";

/** The coordinator takes a DP for alive that it heard of within this time. */
const DP_SEEN_WITHIN_MS = 30_000;
/**
 * What the origin's kernel has taken counts as sent while it still waits for the line: so much of each stream
 * where three raw TCP streams share 5 Mbit/s (0.3 to 0.6 s; a single one holds up to 1 MB).
 */
const KERNEL_BYTES = 131_072;
/** Nobody looks at digests here. */
const ANY_DIGEST = parseDigest("0".repeat(64));

export interface OriginSettings {
  readonly shape: PackageShape;
  readonly bytesPerMs: number;
  readonly latencyMs: number;
  readonly dps: readonly EndpointId[];
  /** Called several times for each fragment that crosses the line. */
  readonly onCarried: () => void;
}

interface Delivery {
  readonly transfer: Transfer;
  readonly endpoint: EndpointId;
  readonly index: number;
  /** The gate was told that it is sent. */
  isSent: boolean;
}

export class SiteOrigin {
  readonly gate: GateState = newGate();
  readonly line: WanLine;
  /** Lease requests, and the most of them within one second. */
  leaseCount = 0;
  fetchCount = 0;
  /** Tokens shown too late: somebody else had been granted the fragment. */
  refusedCount = 0;
  /** Copies of each fragment that were begun to be sent. */
  readonly copies: Uint8Array;
  private readonly queue: EventQueue;
  private readonly settings: OriginSettings;
  private readonly seenMs = new Map<EndpointId, number>();
  /** Endpoints whose machine or program is gone, and whether the origin can notice it. */
  private readonly gone = new Map<EndpointId, boolean>();
  private readonly deliveries = new Set<Delivery>();

  constructor(queue: EventQueue, settings: OriginSettings) {
    this.queue = queue;
    this.settings = settings;
    this.line = new WanLine(queue, settings.bytesPerMs);
    this.copies = new Uint8Array(settings.shape.count);
    for (const dp of settings.dps) this.seenMs.set(dp, queue.nowMs);
  }

  /** Answers after the way there and back. */
  ask(endpoint: EndpointId, wish: LeaseWish, onAnswer: (answer: LeaseAnswer) => void): void {
    const { latencyMs } = this.settings;
    this.queue.planIn(latencyMs, () => {
      this.leaseCount++;
      this.seenMs.set(endpoint, this.queue.nowMs);
      const answer = this.tell({ type: "request", endpoint, ...wish, force: wish.force });
      const grants = answer.grants.map(({ index }) => {
        return { index, digest: ANY_DIGEST, token: endpoint, ttlMs: LEASE_TOKEN_LIFE_MS };
      });
      const { leased, ...rest } = answer;
      this.queue.planIn(latencyMs, () => onAnswer({ ...rest, grants, leased: [...leased] }));
    });
  }

  fetch(endpoint: EndpointId, index: number, onEnd: (isWhole: boolean) => void): void {
    const { latencyMs, shape } = this.settings;
    this.queue.planIn(latencyMs, () => {
      const isLeased = this.tell({ type: "begin", endpoint, index }).grants.length > 0;
      if (!isLeased) {
        this.refusedCount++;
        this.queue.planIn(latencyMs, () => onEnd(false));
        return;
      }
      this.fetchCount++;
      this.copies[index] = (this.copies[index] ?? 0) + 1;
      const tell = (type: "progress" | "served") => {
        this.seenMs.set(endpoint, this.queue.nowMs);
        this.tell({ type, endpoint, index });
      };
      const transfer: Transfer = {
        sizeBytes: shape.sizes[index] ?? 0,
        onPart: (leftBytes) => {
          take(leftBytes);
          this.settings.onCarried();
        },
        onEnd: () => {
          this.deliveries.delete(delivery);
          take(0);
          this.settings.onCarried();
          this.queue.planIn(latencyMs, () => onEnd(true));
        },
      };
      const delivery: Delivery = { transfer, endpoint, index, isSent: false };
      const take = (leftBytes: number): void => {
        if (delivery.isSent) return;
        tell("progress");
        delivery.isSent = leftBytes <= KERNEL_BYTES;
        if (delivery.isSent) tell("served");
      };
      this.deliveries.add(delivery);
      take(transfer.sizeBytes);
      this.line.begin(transfer);
      const isNoticed = this.gone.get(endpoint);
      if (isNoticed === undefined) return;
      // Its request was on the way when it went: the first bytes find nobody.
      this.queue.planIn(2 * latencyMs, () => this.breakOff(delivery, isNoticed));
    });
  }

  /** The connections of an endpoint end; where it only fell silent, the origin does not notice. */
  dropEndpoint(endpoint: EndpointId, isNoticed: boolean): void {
    this.gone.set(endpoint, isNoticed);
    for (const delivery of this.deliveries) {
      if (delivery.endpoint === endpoint) this.breakOff(delivery, isNoticed);
    }
  }

  returned(endpoint: EndpointId): void {
    this.gone.delete(endpoint);
  }

  private breakOff(delivery: Delivery, isNoticed: boolean): void {
    if (!this.deliveries.delete(delivery)) return;
    this.line.breakOff(delivery.transfer);
    const { endpoint, index } = delivery;
    if (isNoticed) this.tell({ type: "broken", endpoint, index });
  }

  /** Whom the line is carrying something to right now. */
  receivers(): readonly EndpointId[] {
    return [...this.deliveries].map(({ endpoint }) => endpoint);
  }

  private tell(
    event:
      | { type: "begin" | "progress" | "served" | "broken"; endpoint: EndpointId; index: number }
      | ({ type: "request"; endpoint: EndpointId; force: LeaseWish["force"] | undefined } & Omit<
          LeaseWish,
          "force"
        >),
  ): GateAnswer {
    const { nowMs } = this.queue;
    const dps = this.settings.dps.filter(
      (dp) => nowMs - (this.seenMs.get(dp) ?? 0) < DP_SEEN_WITHIN_MS,
    );
    return step(this.gate, { ...event, dps }, nowMs);
  }
}
