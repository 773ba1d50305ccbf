/**
 * The origin of a node whose site has plain HTTPS origins: leases come from the coordinator's gate as ever, the
 * bytes from the first origin that gives them, from the coordinator otherwise. The gate is told of each
 * fragment, because it does not see those bytes itself.
 */
import { hash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "pino";
import { DeployError } from "../../protocol/errors.ts";
import type { Digest } from "../../protocol/ids.ts";
import type { LeaseAnswer, LeaseRequest } from "../../protocol/lease.ts";
import {
  PLAIN_TOLD_MAX_COUNT,
  type PlainFetch,
  type PlainOrigin,
} from "../../protocol/plain-origin.ts";
import type { Origin, Refusal } from "../content/ports.ts";
import { LeaseStanding, type StandingLease } from "../core/exchange/lease-standing.ts";
import { OriginChoice } from "../core/exchange/origin-choice.ts";
import { RateLimit } from "../core/rate-limit.ts";
import type { Manners } from "./manners.ts";
import type { PlainAnswer, PlainClient } from "./plain-client.ts";

/** A lease lives five seconds without a word: two may be lost. */
const WORD_EVERY_MS = 1000;
const RETRY_MS = 2000;
/** What is left to tell when the node stops gets so long. */
const FAREWELL_MS = 2000;
/** The operator's rate of a line counts headers; bodies are so much of it. */
const BODY_SHARE = 0.95;

export interface PlainOriginsSettings {
  readonly coordinator: Origin;
  readonly client: PlainClient;
  /** Of the site, by the signed roster. */
  readonly origins: () => readonly PlainOrigin[];
  /** Most that packages may use of the site's line. */
  readonly lineBytesPerSec: () => number | undefined;
  readonly manners: Pick<Manners, "download" | "wasted">;
  readonly onRefusal: (refusal: Refusal) => void;
  readonly log: Logger;
  /** Milliseconds that never jump. */
  readonly nowMs: () => number;
}

export class PlainOrigins implements Origin, AsyncDisposable {
  readonly #settings: PlainOriginsSettings;
  readonly #standing = new LeaseStanding();
  readonly #choice = new OriginChoice();
  readonly #line = new RateLimit(undefined);
  /** What the gate has not heard yet, by manifest. */
  readonly #untold = new Map<Digest, PlainFetch[]>();
  readonly #wordMs = new Map<Digest, number>();
  readonly #stop = new AbortController();
  #telling: Promise<void> | undefined;
  #isGivingWay = false;

  constructor(settings: PlainOriginsSettings) {
    this.#settings = settings;
  }

  async lease(request: LeaseRequest, signal: AbortSignal): Promise<LeaseAnswer> {
    const { coordinator, nowMs, lineBytesPerSec } = this.#settings;
    const sentMs = nowMs();
    const answer = await coordinator.lease(request, signal);
    this.#isGivingWay = answer.isBackground === true;
    const lineRate = lineBytesPerSec();
    const share = BODY_SHARE / Math.max(1, answer.holders ?? 1);
    this.#line.set(lineRate === undefined ? undefined : lineRate * share);
    this.#standing.forgetEnded(nowMs());
    const { manifest } = request;
    for (const { index, digest, token, ttlMs } of answer.grants) {
      const lease = { manifest, index, digest, endsMs: sentMs + ttlMs };
      this.#standing.granted(token, lease, sentMs);
    }
    return answer;
  }

  async fragment(digest: Digest, token: string, signal: AbortSignal): Promise<Buffer> {
    const lease = this.#standing.find(token);
    if (lease?.digest === digest) {
      const bytes = await this.#fromAny(lease, token, signal);
      if (bytes !== undefined) return bytes;
    }
    try {
      return await this.#settings.coordinator.fragment(digest, token, signal);
    } catch (error) {
      if (lease !== undefined) this.#standing.lapse(lease.manifest);
      throw error;
    } finally {
      this.#standing.ended(token);
    }
  }

  hasBegun(digest: Digest): boolean {
    return this.#settings.coordinator.hasBegun?.(digest) ?? false;
  }

  /** Tells the gate what it can in a moment: what it does not hear is fetched again by somebody. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#telling;
    const farewell = AbortSignal.timeout(FAREWELL_MS);
    for (const manifest of this.#untold.keys()) {
      if (!farewell.aborted) await this.#tell(manifest, farewell);
    }
  }

  async #fromAny(
    lease: StandingLease,
    token: string,
    signal: AbortSignal,
  ): Promise<Buffer | undefined> {
    const { origins, nowMs } = this.#settings;
    for (const origin of this.#choice.open(origins(), lease.manifest, nowMs())) {
      // Later the gate alone knows whose the lease is: the coordinator asks it when the token is shown.
      if (this.#isGivingWay || !this.#standing.isInForce(token, nowMs())) return undefined;
      const bytes = await this.#from(origin, lease, token, signal);
      if (bytes === undefined) continue;
      this.#standing.ended(token);
      return bytes;
    }
    return undefined;
  }

  async #from(
    origin: PlainOrigin,
    lease: StandingLease,
    token: string,
    signal: AbortSignal,
  ): Promise<Buffer | undefined> {
    const { client, nowMs } = this.#settings;
    const { url } = origin;
    let wastedBytes = 0;
    const onPart = async (sizeBytes: number): Promise<void> => {
      wastedBytes += sizeBytes;
      this.#flows(lease, url);
      await this.#paced(sizeBytes);
    };
    const request = { origin, digest: lease.digest, token, onPart, signal };
    const answer = judged(await client.get(request), lease.digest);
    if (answer.kind === "answered") {
      this.#choice.worked(url, lease.manifest);
      this.#say(lease, { origin: url, outcome: "done", wastedBytes: 0 });
      return answer.bytes;
    }
    this.#choice.failed(url, lease.manifest, answer.problem, nowMs());
    this.#say(lease, { origin: url, outcome: answer.problem, wastedBytes });
    this.#complain(url, lease.digest, answer, wastedBytes);
    return undefined;
  }

  #complain(
    url: string,
    digest: Digest,
    { problem, detail }: Extract<PlainAnswer, { kind: "failed" }>,
    wastedBytes: number,
  ): void {
    const { log, manners, onRefusal } = this.#settings;
    log.warn({ url, digest, problem, detail }, "origin.failed");
    if (problem !== "corrupt") return;
    manners.wasted("corrupt", wastedBytes);
    const said = `the origin ${url} sent bytes that do not match fragment ${digest}`;
    onRefusal({ code: "EXCHANGE_FRAGMENT_CORRUPT", detail: said, fragment: digest });
  }

  async #paced(sizeBytes: number): Promise<void> {
    const { manners, nowMs } = this.#settings;
    await manners.download(sizeBytes);
    const delayMs = this.#line.delayMs(sizeBytes, nowMs());
    if (delayMs >= 1) await pause(delayMs, undefined, { ref: false });
  }

  /** On a slow line a fragment takes longer than a lease lives without a word. */
  #flows(lease: StandingLease, url: string): void {
    const { nowMs } = this.#settings;
    const lastMs = this.#wordMs.get(lease.manifest) ?? Number.NEGATIVE_INFINITY;
    if (nowMs() - lastMs < WORD_EVERY_MS) return;
    this.#say(lease, { origin: url, outcome: "flowing", wastedBytes: 0 });
  }

  #say({ manifest, index }: StandingLease, word: Omit<PlainFetch, "index">): void {
    const waiting = this.#untold.get(manifest) ?? [];
    waiting.push({ index, ...word });
    this.#untold.set(manifest, waiting);
    this.#wordMs.set(manifest, this.#settings.nowMs());
    this.#telling ??= this.#tellAll();
  }

  /** One request at a time: what comes meanwhile goes with the next one. */
  async #tellAll(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted && this.#untold.size > 0) {
      let isHeard = true;
      for (const manifest of this.#untold.keys()) isHeard &&= await this.#tell(manifest, signal);
      if (!isHeard) await pause(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
    this.#telling = undefined;
  }

  /** False: the same is to be said again later. */
  async #tell(manifest: Digest, signal: AbortSignal): Promise<boolean> {
    const { coordinator, log, nowMs } = this.#settings;
    const waiting = this.#untold.get(manifest) ?? [];
    const plain = waiting.slice(0, PLAIN_TOLD_MAX_COUNT);
    const sentMs = nowMs();
    try {
      const request = { manifest, want: [], release: [], plain };
      const { lapsed = [] } = await coordinator.lease(request, signal);
      if (lapsed.length === 0) this.#standing.heard(manifest, sentMs, nowMs());
      else this.#standing.lapse(manifest);
    } catch (error) {
      const isAway = error instanceof DeployError && error.retryable;
      if (isAway || signal.aborted) return false;
      // The package is no longer this endpoint's: nobody waits for the word.
      log.warn({ err: error, manifest }, "origin.notTold");
    }
    waiting.splice(0, plain.length);
    if (waiting.length === 0) this.#untold.delete(manifest);
    return true;
  }
}

function judged(answer: PlainAnswer, digest: Digest): PlainAnswer {
  if (answer.kind === "failed" || hash("sha256", answer.bytes, "hex") === digest) return answer;
  return { kind: "failed", problem: "corrupt", detail: "other bytes than its digest says" };
}
