/**
 * One package in the exchange: drives the scheduler with what peers, the origin and the disk answer, and
 * carries out what it decides. Every fragment is hashed before it is announced, served or stored.
 */
import { hash } from "node:crypto";
import { Bitmap } from "../../protocol/bitmap.ts";
import type { SourceBytes } from "../../protocol/check-in.ts";
import { DeployError } from "../../protocol/errors.ts";
import type { ControlMessage } from "../../protocol/exchange.ts";
import type { FragmentProof } from "../../protocol/fragment-proof.ts";
import type { Digest, EndpointId } from "../../protocol/ids.ts";
import type { FetchProgress, FragmentStore, Origin, Refusal, SwarmItem } from "../content/ports.ts";
import {
  Scheduler,
  type FragmentSource,
  type SchedulerEffect,
  type SchedulerEvent,
} from "../core/exchange/scheduler.ts";
import type { LeaseWish, WanPlace } from "../core/exchange/wan-policy.ts";
import { lostOnAbort, type BulkAnswer } from "./bulk-client.ts";
import { ByteTally } from "./byte-tally.ts";
import { FragmentCatalog } from "./fragment-catalog.ts";
import { accusation, type WrongFragment } from "./fragment-seals.ts";
import { FragmentWish } from "./fragment-wish.ts";
import type { RecentFragments } from "./recent-fragments.ts";
import { TaskSet } from "./task-set.ts";

const TICK_MS = 50;
/** First offers are still widened for this long after the last fragment. */
const LINGER_MS = 1500;
/** Verified bytes that may wait for the disk. */
const UNWRITTEN_MAX_BYTES = 8 * 1024 * 1024;

/** What a package needs of the swarm around it. */
export interface PackagePorts {
  readonly store: FragmentStore;
  readonly origin: Origin;
  readonly recent: RecentFragments;
  readonly ask: (peer: EndpointId, index: number) => Promise<BulkAnswer>;
  readonly cancel: (peer: EndpointId, index: number) => void;
  readonly send: (peer: EndpointId, message: ControlMessage) => void;
  readonly isDp: (peer: EndpointId) => boolean;
  readonly ban: (peer: EndpointId) => void;
  /** What convicts the sender of a wrong fragment to others; undefined where nothing does. */
  readonly convict: (wrong: Omit<WrongFragment, "item" | "receiver">) => FragmentProof | undefined;
  readonly onRefusal: (refusal: Refusal) => void;
  readonly nowMs: () => number;
}

interface Waiter {
  /** Totals when it began; undefined where another waiter already counts what is fetched. */
  readonly before: SourceBytes | undefined;
  readonly wish: FragmentWish;
  readonly onProgress: (progress: FetchProgress) => void;
  readonly resolve: (progress: FetchProgress) => void;
  readonly reject: (error: unknown) => void;
}

export class PackageSwarm {
  readonly item: SwarmItem;
  private readonly ports: PackagePorts;
  readonly catalog: FragmentCatalog;
  private readonly scheduler: Scheduler;
  private readonly stop = new AbortController();
  private readonly tasks = new TaskSet((error) => this.fail(error));
  private readonly waiters = new Set<Waiter>();
  private readonly bytes = new ByteTally();
  private readonly writes = new Set<Promise<void>>();
  private readonly unwritten = new Set<Digest>();
  private unwrittenBytes = 0;
  /** What any fetch so far has asked for, and what is only taken from neighbours. */
  private readonly wanted: Bitmap;
  private readonly welcome: Bitmap;
  private lingerUntilMs = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(item: SwarmItem, place: WanPlace, seed: number, ports: PackagePorts) {
    const { content } = item.manifest;
    if (content === undefined) {
      throw new DeployError("DOCUMENT_INVALID", {
        what: "the manifest",
        problem: "it has no content",
      });
    }
    this.item = item;
    this.ports = ports;
    this.catalog = new FragmentCatalog(content);
    this.wanted = new Bitmap(this.catalog.count);
    this.welcome = new Bitmap(this.catalog.count);
    this.scheduler = new Scheduler(this.catalog.sizes, place, seed, ports.nowMs());
  }

  get have() {
    return this.scheduler.have;
  }

  /** What a JOIN says: a DP offers its fragments instead of showing them. */
  get claims() {
    return this.scheduler.claims;
  }

  /** Peers that hold or fetch the package. */
  get neighbours(): readonly EndpointId[] {
    return this.scheduler.peers;
  }

  isNearby(index: number): boolean {
    return this.scheduler.isNearby(index);
  }

  get isFetching(): boolean {
    return this.waiters.size > 0;
  }

  /** Whether all that was ever asked for is here. */
  get isSated(): boolean {
    return new FragmentWish(this.wanted, this.have).isMet;
  }

  /** Takes stock of the fragment store. Must be awaited once before anything else. */
  async open(): Promise<void> {
    this.takeStock();
    await this.loadIndex();
  }

  /** Brings what `item` wants; resolves when it is on this node's disk. */
  async fetch(
    item: SwarmItem,
    signal: AbortSignal,
    onProgress: (progress: FetchProgress) => void,
  ): Promise<FetchProgress> {
    signal.throwIfAborted();
    if (!this.isFetching) this.missVanished();
    const wanted = item.wanted ?? this.catalog.allContent();
    const wish = new FragmentWish(wanted, this.have);
    this.want(wanted, item.welcome);
    if (wish.isMet) {
      // All fragments count as stored only after the last writes.
      await Promise.all(this.writes);
      return this.bytes.progress(undefined);
    }
    this.keepTicking();
    return new Promise<FetchProgress>((resolve, reject) => {
      const isCounted = [...this.waiters].some((other) => other.before !== undefined);
      const before = isCounted ? undefined : this.bytes.totals;
      const waiter: Waiter = { before, wish, onProgress, resolve, reject };
      this.waiters.add(waiter);
      const onAbort = () => {
        this.waiters.delete(waiter);
        reject(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      onProgress(this.bytes.progress(before));
    });
  }

  step(event: SchedulerEvent): void {
    if (this.stop.signal.aborted) return;
    // What others have fetched is news for a DP that only waits for it.
    const isNews = event.type === "peerHas" || event.type === "peerJoined";
    if (isNews && this.welcome.count > 0) this.keepTicking();
    for (const effect of this.scheduler.step(event, this.ports.nowMs())) this.perform(effect);
  }

  /** Wire bytes for a peer; from memory while the disk is still writing. */
  async read(index: number): Promise<Buffer | undefined> {
    const digest = this.catalog.digestOf(index);
    if (digest === undefined || !this.have.has(index)) return undefined;
    return this.ports.recent.get(digest) ?? (await this.ports.store.read(digest));
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    this.stop.abort(new Error("the swarm closes"));
    await this.tasks.settled();
  }

  private perform(effect: SchedulerEffect): void {
    switch (effect.type) {
      case "request":
        this.tasks.run(async () => this.fromPeer(effect.peer, effect.index));
        break;
      case "fetchOrigin":
        this.tasks.run(async () => this.fromOrigin(effect.index, effect.token));
        break;
      case "askLease":
        this.tasks.run(async () => this.askLease(effect.wish));
        break;
      case "announce":
        for (const peer of effect.peers) {
          this.ports.send(peer, { type: "have", swarm: this.item.swarm, indices: effect.indices });
        }
        break;
      case "ban":
        this.ports.ban(effect.peer);
        break;
      case "cancel":
        this.ports.cancel(effect.peer, effect.index);
        break;
      // Fetches end by what each of them wants.
      case "complete":
        break;
      default:
        effect satisfies never;
    }
  }

  private async fromPeer(peer: EndpointId, index: number): Promise<void> {
    const answer = await lostOnAbort(this.ports.ask(peer, index), this.stop.signal);
    if (answer.kind === "cancelled" && this.have.has(index)) return;
    if (answer.kind !== "ok") {
      const reason = answer.kind === "cancelled" ? "lost" : answer.kind;
      this.step({ type: "failed", index, source: peer, reason });
      return;
    }
    if (!this.matches(index, answer.bytes)) {
      this.accuse(peer, index, answer.seal);
      this.step({ type: "failed", index, source: peer, reason: "corrupt" });
      return;
    }
    await this.keep(index, answer.bytes, peer);
  }

  private accuse(peer: EndpointId, index: number, seal: Buffer): void {
    const digest = this.catalog.digestOf(index);
    if (digest === undefined) return;
    const proof = this.ports.convict({ sender: peer, index, digest, seal });
    this.ports.onRefusal(accusation(peer, digest, proof));
  }

  private async fromOrigin(index: number, token: string): Promise<void> {
    const digest = this.catalog.digestOf(index);
    if (digest === undefined) return;
    const bytes = await this.originBytes(digest, token);
    if (bytes === undefined || !this.matches(index, bytes)) {
      if (bytes !== undefined) {
        const detail = `the origin sent bytes that do not match fragment ${digest}`;
        this.ports.onRefusal({ code: "EXCHANGE_FRAGMENT_CORRUPT", detail, fragment: digest });
      }
      this.tellBegun();
      this.step({ type: "failed", index, source: "origin", reason: "lost" });
      return;
    }
    await this.keep(index, bytes, "origin");
  }

  private async originBytes(digest: Digest, token: string): Promise<Buffer | undefined> {
    try {
      return await this.ports.origin.fragment(digest, token, this.stop.signal);
    } catch (error) {
      if (this.stop.signal.aborted || error instanceof DeployError) return undefined;
      throw error;
    }
  }

  private async askLease(wish: LeaseWish): Promise<void> {
    const { manifestDigest: manifest } = this.item;
    const request = { manifest, ...wish, want: [...wish.want], release: [...wish.release] };
    try {
      const answer = await this.ports.origin.lease(request, this.stop.signal);
      this.step({ type: "leased", answer });
    } catch (error) {
      if (!this.stop.signal.aborted && !(error instanceof DeployError)) throw error;
      this.step({ type: "leaseFailed" });
    }
  }

  private async keep(index: number, bytes: Buffer, source: FragmentSource): Promise<void> {
    const digest = this.catalog.digestOf(index);
    if (digest === undefined || this.have.has(index)) return;
    this.ports.recent.add(digest, bytes);
    const writing = this.write(digest, bytes);
    // A disk slower than the LAN slows the exchange down here instead of filling the memory.
    if (this.unwrittenBytes > UNWRITTEN_MAX_BYTES) await writing;
    const neighbour = source !== "origin" && this.ports.isDp(source) ? "dp" : "peer";
    this.bytes.arrived(bytes.length, source === "origin" ? "origin" : neighbour);
    this.step({ type: "arrived", index, source });
    this.arrived([index]);
    await writing;
    if (!this.ports.store.has(digest)) this.missVanished();
    if (this.catalog.isFragmentPage(index)) await this.loadIndex();
    for (const waiter of this.waiters) waiter.onProgress(this.bytes.progress(waiter.before));
  }

  private async write(digest: Digest, bytes: Buffer): Promise<void> {
    const writing = this.ports.store.write(digest, bytes);
    this.writes.add(writing);
    this.unwritten.add(digest);
    this.unwrittenBytes += bytes.length;
    try {
      await writing;
    } finally {
      this.writes.delete(writing);
      this.unwritten.delete(digest);
      this.unwrittenBytes -= bytes.length;
    }
  }

  private matches(index: number, bytes: Buffer): boolean {
    return hash("sha256", bytes, "hex") === this.catalog.digestOf(index);
  }

  private async loadIndex(): Promise<void> {
    for (const section of this.catalog.unloaded) {
      const pages: Buffer[] = [];
      for (const at of section.fragmentPages.keys()) {
        const page = await this.read(section.startIndex + at);
        if (page === undefined) break;
        pages.push(page);
      }
      const isWhole = pages.length === section.fragmentPages.length;
      // Another fragment page may have arrived while these were read.
      if (!isWhole || !this.catalog.unloaded.includes(section)) continue;
      this.catalog.load(section, pages);
      this.takeStock();
      this.wish();
    }
  }

  private want(wanted: Bitmap, welcome: Bitmap | undefined): void {
    for (let index = 0; index < this.catalog.count; index++) {
      if (wanted.has(index)) this.wanted.add(index);
      if (welcome?.has(index) === true) this.welcome.add(index);
    }
    this.wish();
  }

  /** What has a digest may be fetched; a package that is only served wants nothing. */
  private wish(): void {
    this.tellBegun();
    const known = this.catalog.known.map(({ index }) => index);
    const welcome = known.filter((index) => this.welcome.has(index) && !this.wanted.has(index));
    this.step({ type: "known", indices: welcome, isLanOnly: true });
    this.step({ type: "known", indices: known.filter((index) => this.wanted.has(index)) });
  }

  private tellBegun(): void {
    const { origin } = this.ports;
    const begun = this.catalog.known.filter(({ digest }) => origin.hasBegun?.(digest) === true);
    this.step({ type: "begun", indices: begun.map(({ index }) => index) });
  }

  private takeStock(): void {
    const found = this.catalog.known
      .filter(({ index, digest }) => this.ports.store.has(digest) && !this.have.has(index))
      .map(({ index }) => index);
    for (const index of found) this.bytes.found(this.catalog.sizeOf(index));
    this.step({ type: "found", indices: found });
    this.arrived(found);
  }

  /** Ends the fetches that have all they want. */
  private arrived(indices: readonly number[]): void {
    for (const waiter of this.waiters) {
      for (const index of indices) waiter.wish.arrived(index);
      if (waiter.wish.isMet) this.tasks.run(async () => this.finish(waiter));
    }
  }

  /** Ticks while something is fetched, and a while longer. */
  private keepTicking(): void {
    this.lingerUntilMs = this.ports.nowMs() + LINGER_MS;
    this.timer ??= setInterval(() => {
      if (this.waiters.size === 0 && this.ports.nowMs() > this.lingerUntilMs) {
        clearInterval(this.timer);
        this.timer = undefined;
      }
      this.step({ type: "tick" });
    }, TICK_MS);
  }

  /** What rotted on disk or was evicted is fetched again (trust S11); during its write it cannot be told. */
  missVanished(): void {
    const vanished = this.catalog.known
      .filter(({ digest }) => !this.ports.store.has(digest) && !this.unwritten.has(digest))
      .map(({ index }) => index)
      .filter((index) => this.have.has(index));
    if (vanished.length === 0) return;
    for (const index of vanished) {
      this.bytes.lost(this.catalog.sizeOf(index));
      for (const { wish } of this.waiters) wish.lost(index);
    }
    this.step({ type: "vanished", indices: vanished });
  }

  private async finish(waiter: Waiter): Promise<void> {
    // All fragments count as stored only after the last writes, and where none was evicted during one.
    await Promise.all(this.writes);
    this.missVanished();
    // Withdrawn, ended by another arrival, or evicted again, while the disk was busy.
    if (!waiter.wish.isMet || !this.waiters.delete(waiter)) return;
    this.lingerUntilMs = this.ports.nowMs() + LINGER_MS;
    waiter.resolve(this.bytes.progress(waiter.before));
  }

  private fail(error: unknown): void {
    for (const waiter of this.waiters) waiter.reject(error);
    this.waiters.clear();
  }
}
