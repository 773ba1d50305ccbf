/**
 * A site in virtual time: real schedulers, an exclusive origin and a LAN with fixed delays. The origin
 * line carries one fragment at a time; time jumps from event to event.
 */
import { Bitmap } from "../../protocol/bitmap.ts";
import { parseDigest, type EndpointId } from "../../protocol/ids.ts";
import type { LeaseAnswer } from "../../protocol/lease.ts";
import { Scheduler, type SchedulerEffect, type SchedulerEvent } from "../../node/core/scheduler.ts";
import type { LeaseWish } from "../../node/core/wan-policy.ts";

export interface SiteFaults {
  readonly deadAtMs: ReadonlyMap<EndpointId, number>;
  /** Sends wrong bytes; takes no part in fetching. */
  readonly corrupt: ReadonlySet<EndpointId>;
  /** Claims everything and never answers. */
  readonly silent: ReadonlySet<EndpointId>;
}

interface Planned {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

const WAN_FRAGMENT_MS = 100;
const LAN_FRAGMENT_MS = 15;
const MESSAGE_MS = 2;
const LEASE_TTL_MS = 3000;
const TICK_MS = 50;

export class VirtualSite {
  private nowMs = 0;
  private order = 0;
  private wanFreeMs = 0;
  private readonly faults: SiteFaults;
  private readonly nodes = new Map<EndpointId, Scheduler>();
  private readonly queue: Planned[] = [];
  private readonly leases = new Map<
    number,
    { holder: EndpointId; endsMs: number; isServed: boolean }
  >();
  private readonly copies: number[];

  constructor(
    ids: readonly EndpointId[],
    count: number,
    hasDp: boolean,
    seed: number,
    faults: SiteFaults,
  ) {
    this.faults = faults;
    this.copies = Array.from({ length: count }, () => 0);
    const dp = hasDp ? ids[0] : undefined;
    const honest = ids.filter((id) => !faults.corrupt.has(id) && !faults.silent.has(id));
    for (const [rank, id] of honest.entries()) {
      const role = id === dp ? "dp" : "agent";
      const place = {
        role,
        dp: role === "dp" ? undefined : dp,
        rank,
        siteSize: ids.length,
      } as const;
      this.nodes.set(id, new Scheduler(count, place, seed + rank, 0));
    }
    for (const id of this.nodes.keys()) {
      for (const peer of ids) {
        if (peer === id) continue;
        const claims = faults.corrupt.has(peer) || faults.silent.has(peer);
        const have = claims ? fullBitmap(count) : new Bitmap(count);
        this.plan(MESSAGE_MS, () =>
          this.feed(id, { type: "peerJoined", peer, isDp: peer === dp, have }),
        );
      }
      this.plan(3, () => this.feed(id, { type: "known", indices: Array(count).keys() }));
      this.tick(id);
    }
    for (const [dead, atMs] of faults.deadAtMs) {
      for (const id of this.nodes.keys()) {
        if (id !== dead)
          this.plan(atMs + 10, () => this.feed(id, { type: "peerLeft", peer: dead }));
      }
    }
  }

  run(limitMs: number): void {
    while (this.queue.length > 0 && this.nowMs < limitMs && this.missing().length > 0) {
      let best = 0;
      for (let at = 1; at < this.queue.length; at++) {
        const one = this.queue[at]!;
        const other = this.queue[best]!;
        if (one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order))
          best = at;
      }
      const [next] = this.queue.splice(best, 1);
      this.nowMs = next!.atMs;
      next!.run();
    }
  }

  /** Live nodes that lack something. */
  missing(): EndpointId[] {
    const entries = [...this.nodes].filter(([id, node]) => !this.isDead(id) && !node.have.isFull);
    return entries.map(([id]) => id);
  }

  originCopies(): number[] {
    return this.copies;
  }

  private isDead(id: EndpointId): boolean {
    return this.nowMs >= (this.faults.deadAtMs.get(id) ?? Infinity);
  }

  private plan(inMs: number, run: () => void): void {
    this.queue.push({ atMs: this.nowMs + inMs, order: this.order++, run });
  }

  private tick(id: EndpointId): void {
    this.plan(TICK_MS, () => {
      this.feed(id, { type: "tick" });
      this.tick(id);
    });
  }

  private feed(id: EndpointId, event: SchedulerEvent): void {
    if (this.isDead(id)) return;
    for (const effect of this.nodes.get(id)!.step(event, this.nowMs)) this.perform(id, effect);
  }

  private perform(id: EndpointId, effect: SchedulerEffect): void {
    if (effect.type === "request") this.request(id, effect.peer, effect.index);
    else if (effect.type === "askLease") {
      this.plan(MESSAGE_MS * 5, () =>
        this.feed(id, { type: "leased", answer: this.lease(id, effect.wish) }),
      );
    } else if (effect.type === "fetchOrigin") this.fetch(id, effect.index);
    else if (effect.type === "announce") {
      for (const peer of effect.peers) {
        if (!this.nodes.has(peer)) continue;
        this.plan(MESSAGE_MS, () =>
          this.feed(peer, { type: "peerHas", peer: id, indices: effect.indices }),
        );
      }
    }
  }

  private request(id: EndpointId, peer: EndpointId, index: number): void {
    if (this.faults.silent.has(peer)) return;
    this.plan(LAN_FRAGMENT_MS, () => {
      if (this.isDead(peer)) return;
      if (this.faults.corrupt.has(peer)) {
        this.feed(id, { type: "failed", index, source: peer, reason: "corrupt" });
      } else if (this.nodes.get(peer)!.have.has(index)) {
        this.feed(id, { type: "arrived", index, source: peer });
      } else this.feed(id, { type: "failed", index, source: peer, reason: "absent" });
    });
  }

  private fetch(id: EndpointId, index: number): void {
    this.wanFreeMs = Math.max(this.wanFreeMs, this.nowMs) + WAN_FRAGMENT_MS;
    this.plan(this.wanFreeMs - this.nowMs, () => {
      if (this.isDead(id)) return;
      this.copies[index] = (this.copies[index] ?? 0) + 1;
      this.leases.set(index, { holder: id, endsMs: Infinity, isServed: true });
      this.feed(id, { type: "arrived", index, source: "origin" });
    });
  }

  private lease(id: EndpointId, wish: LeaseWish): LeaseAnswer {
    const answer: LeaseAnswer = { grants: [], leased: [], retryAfterMs: 0 };
    for (const index of wish.release) {
      if (this.leases.get(index)?.isServed === false) this.leases.delete(index);
    }
    for (const index of wish.want) {
      const lease = this.leases.get(index);
      const isHeld = lease !== undefined && lease.holder !== id && lease.endsMs > this.nowMs;
      if (isHeld && wish.force === undefined) {
        answer.leased.push({ index, holder: lease.holder, isServed: lease.isServed });
      } else if (answer.grants.length < 4) {
        this.leases.set(index, { holder: id, endsMs: this.nowMs + LEASE_TTL_MS, isServed: false });
        const digest = parseDigest(String(index).padStart(64, "0"));
        answer.grants.push({ index, digest, token: String(index), ttlMs: LEASE_TTL_MS });
      }
    }
    return answer;
  }
}

function fullBitmap(count: number): Bitmap {
  const bitmap = new Bitmap(count);
  for (let index = 0; index < count; index++) bitmap.add(index);
  return bitmap;
}
