/**
 * One package in the exchange: drives the scheduler with what peers, the origin and the disk answer, and
 * carries out what it decides. Every fragment is hashed before it is announced, served or stored.
 */
import { createHash } from "node:crypto";
import type { SourceBytes } from "../../protocol/check-in.ts";
import { DeployError } from "../../protocol/errors.ts";
import type { ControlMessage } from "../../protocol/exchange.ts";
import type { Digest, EndpointId } from "../../protocol/ids.ts";
import type { FetchProgress, FragmentStore, Origin, Refusal, SwarmItem } from "../content/ports.ts";
import {
  Scheduler,
  type FragmentSource,
  type SchedulerEffect,
  type SchedulerEvent,
} from "../core/scheduler.ts";
import type { LeaseWish, WanPlace } from "../core/wan-policy.ts";
import type { BulkAnswer } from "./bulk-client.ts";
import { FragmentCatalog } from "./fragment-catalog.ts";
import type { RecentFragments } from "./recent-fragments.ts";
import { TaskSet } from "./task-set.ts";

const TICK_MS = 50;
/** First offers are still widened for this long after the last fragment. */
const LINGER_MS = 1500;
/** Verified bytes that may wait for the disk. */
const UNWRITTEN_MAX_BYTES = 32 * 1024 * 1024;

/** What a package needs of the swarm around it. */
export interface PackagePorts {
  readonly store: FragmentStore;
  readonly origin: Origin;
  readonly recent: RecentFragments;
  readonly ask: (peer: EndpointId, index: number) => Promise<BulkAnswer>;
  readonly send: (peer: EndpointId, message: ControlMessage) => void;
  readonly isDp: (peer: EndpointId) => boolean;
  readonly ban: (peer: EndpointId) => void;
  readonly onRefusal: (refusal: Refusal) => void;
  readonly nowMs: () => number;
}

interface Waiter {
  /** Totals when it began; undefined where another waiter already counts what is fetched. */
  readonly before: SourceBytes | undefined;
  readonly onProgress: (progress: FetchProgress) => void;
  readonly resolve: (progress: FetchProgress) => void;
  readonly reject: (error: unknown) => void;
}

export class PackageSwarm {
  readonly item: SwarmItem;
  private readonly ports: PackagePorts;
  private readonly catalog: FragmentCatalog;
  private readonly scheduler: Scheduler;
  private readonly stop = new AbortController();
  private readonly tasks = new TaskSet((error) => this.fail(error));
  private readonly waiters = new Set<Waiter>();
  private readonly bytes = { local: 0, peer: 0, dp: 0, origin: 0 };
  private readonly writes = new Set<Promise<void>>();
  private unwrittenBytes = 0;
  private doneBytes = 0;
  private isWanted = false;
  private isComplete = false;
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
    this.scheduler = new Scheduler(this.catalog.count, place, seed, ports.nowMs());
  }

  get have() {
    return this.scheduler.have;
  }

  /** Peers that hold or fetch the package. */
  get neighbours(): readonly EndpointId[] {
    return this.scheduler.peers;
  }

  get isFetching(): boolean {
    return this.waiters.size > 0 && !this.isComplete;
  }

  /** Takes stock of the fragment store. Must be awaited once before anything else. */
  async open(): Promise<void> {
    this.takeStock(range(0, this.catalog.pageCount));
    await this.loadIndex();
  }

  async fetch(
    signal: AbortSignal,
    onProgress: (progress: FetchProgress) => void,
  ): Promise<FetchProgress> {
    signal.throwIfAborted();
    if (this.isComplete) this.missVanished();
    if (this.isComplete) return this.progress(undefined);
    this.isWanted = true;
    this.wish();
    this.timer ??= setInterval(() => this.step({ type: "tick" }), TICK_MS);
    return new Promise<FetchProgress>((resolve, reject) => {
      const isCounted = [...this.waiters].some((other) => other.before !== undefined);
      const before = isCounted ? undefined : { ...this.bytes };
      const waiter: Waiter = { before, onProgress, resolve, reject };
      this.waiters.add(waiter);
      const onAbort = () => {
        this.waiters.delete(waiter);
        reject(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      onProgress(this.progress(before));
    });
  }

  step(event: SchedulerEvent): void {
    if (this.stop.signal.aborted) return;
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
      case "complete":
        this.tasks.run(async () => this.finish());
        break;
      // The answer of a cancelled request is still welcome when it comes.
      case "cancel":
        break;
      default:
        effect satisfies never;
    }
  }

  private async fromPeer(peer: EndpointId, index: number): Promise<void> {
    const answer = await this.unlessStopped(this.ports.ask(peer, index));
    if (answer.kind !== "ok") {
      this.step({ type: "failed", index, source: peer, reason: answer.kind });
      return;
    }
    if (!this.matches(index, answer.bytes)) {
      const digest = this.catalog.digestOf(index);
      this.ports.onRefusal({
        code: "EXCHANGE_FRAGMENT_CORRUPT",
        detail: `peer ${peer} sent bytes that do not match fragment ${digest ?? index}`,
        accused: peer,
        ...(digest === undefined ? {} : { fragment: digest }),
      });
      this.step({ type: "failed", index, source: peer, reason: "corrupt" });
      return;
    }
    await this.keep(index, answer.bytes, peer);
  }

  /** A frozen peer answers never: what waits for it must not keep the package from closing. */
  private async unlessStopped(answer: Promise<BulkAnswer>): Promise<BulkAnswer> {
    const { signal } = this.stop;
    const stopped = Promise.withResolvers<BulkAnswer>();
    const onStop = (): void => stopped.resolve({ kind: "lost" });
    signal.addEventListener("abort", onStop, { once: true });
    try {
      return await Promise.race([answer, stopped.promise]);
    } finally {
      signal.removeEventListener("abort", onStop);
    }
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
    const request = {
      manifest: this.item.manifestDigest,
      ...wish,
      want: [...wish.want],
      release: [...wish.release],
    };
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
    this.count(bytes.length, source);
    this.step({ type: "arrived", index, source });
    await writing;
    if (index < this.catalog.pageCount) await this.loadIndex();
    for (const waiter of this.waiters) waiter.onProgress(this.progress(waiter.before));
  }

  private async write(digest: Digest, bytes: Buffer): Promise<void> {
    const writing = this.ports.store.write(digest, bytes);
    this.writes.add(writing);
    this.unwrittenBytes += bytes.length;
    try {
      await writing;
    } finally {
      this.writes.delete(writing);
      this.unwrittenBytes -= bytes.length;
    }
  }

  private count(sizeBytes: number, source: FragmentSource): void {
    this.doneBytes += sizeBytes;
    if (source === "origin") this.bytes.origin += sizeBytes;
    else if (this.ports.isDp(source)) this.bytes.dp += sizeBytes;
    else this.bytes.peer += sizeBytes;
  }

  private matches(index: number, bytes: Buffer): boolean {
    return createHash("sha256").update(bytes).digest("hex") === this.catalog.digestOf(index);
  }

  private async loadIndex(): Promise<void> {
    const indices = this.catalog.fragmentPageIndices;
    if (this.catalog.isLoaded || !indices.every((index) => this.have.has(index))) return;
    const pages: Buffer[] = [];
    for (const index of indices) {
      const page = await this.read(index);
      if (page === undefined) return;
      pages.push(page);
    }
    // Another fragment page may have arrived while these were read.
    if (this.catalog.isLoaded) return;
    this.catalog.load(pages);
    this.takeStock(range(this.catalog.pageCount, this.catalog.count));
    this.wish();
  }

  /** What has a digest may be fetched; a package that is only served wants nothing. */
  private wish(): void {
    if (!this.isWanted) return;
    const end = this.catalog.isLoaded ? this.catalog.count : this.catalog.pageCount;
    this.step({ type: "known", indices: range(0, end) });
  }

  private takeStock(indices: Iterable<number>): void {
    const found = [...indices].filter((index) => {
      const digest = this.catalog.digestOf(index);
      return digest !== undefined && this.ports.store.has(digest) && !this.have.has(index);
    });
    for (const index of found) {
      this.bytes.local += this.catalog.sizeOf(index);
      this.doneBytes += this.catalog.sizeOf(index);
    }
    this.step({ type: "found", indices: found });
  }

  /** What was complete may have rotted on disk since (trust S11): that is fetched again. */
  private missVanished(): void {
    const vanished = [...range(0, this.catalog.count)].filter((index) => {
      const digest = this.catalog.digestOf(index);
      return digest !== undefined && !this.ports.store.has(digest);
    });
    if (vanished.length === 0) return;
    for (const index of vanished) this.doneBytes -= this.catalog.sizeOf(index);
    this.isComplete = false;
    clearInterval(this.timer);
    this.timer = undefined;
    this.step({ type: "vanished", indices: vanished });
  }

  private async finish(): Promise<void> {
    // All fragments count as stored only after the last writes.
    await Promise.all(this.writes);
    this.isComplete = true;
    for (const waiter of this.waiters) waiter.resolve(this.progress(waiter.before));
    this.waiters.clear();
    const { timer } = this;
    setTimeout(() => clearInterval(timer), LINGER_MS).unref();
  }

  private fail(error: unknown): void {
    for (const waiter of this.waiters) waiter.reject(error);
    this.waiters.clear();
  }

  /** Bytes fetched since `before`; all that was here by then is local. Each byte counts for one job. */
  private progress(before: SourceBytes | undefined): FetchProgress {
    const { doneBytes } = this;
    if (before === undefined) {
      return { doneBytes, bytes: { local: doneBytes, peer: 0, dp: 0, origin: 0 } };
    }
    const peer = this.bytes.peer - before.peer;
    const dp = this.bytes.dp - before.dp;
    const origin = this.bytes.origin - before.origin;
    return { doneBytes, bytes: { local: doneBytes - peer - dp - origin, peer, dp, origin } };
  }
}

function* range(from: number, to: number): Generator<number> {
  for (let index = from; index < to; index++) yield index;
}
