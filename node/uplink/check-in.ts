/**
 * Check-ins: the node's one conversation about what to do, begun by the node alone (SE-10, OCS-7). The
 * counter is durable before it is sent, so no number is ever used twice (trust E6).
 */
import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "pino";
import {
  parseCheckInAnswer,
  type CacheUse,
  type CheckInRequest,
  type SystemFacts,
} from "../../protocol/check-in.ts";
import { signStatement } from "../../protocol/dsse.ts";
import { DeployError } from "../../protocol/errors.ts";
import { readJson } from "../../protocol/json.ts";
import { CHECK_IN_ANSWER_MAX_BYTES } from "../../protocol/limits.ts";
import type { LocationFacts } from "../../protocol/location.ts";
import type { Journal } from "../content/journal.ts";
import type { Refusal } from "../content/ports.ts";
import { backoffMs, jitteredMs } from "../core/backoff.ts";
import type { AcceptResult, TrustStore } from "../trust/trust-store.ts";
import { refusalError, type CoordinatorClient } from "./coordinator-client.ts";
import type { Identity } from "./identity.ts";
import type { Manners } from "./manners.ts";
import type { Session } from "./session.ts";

export type Accepted = Extract<AcceptResult, { kind: "accepted" }>;

export interface CheckInSettings {
  readonly client: CoordinatorClient;
  readonly url: string;
  readonly identity: Identity;
  readonly session: Session;
  readonly trust: Pick<TrustStore, "held" | "accept">;
  readonly journal: Journal;
  readonly facts: () => Promise<LocationFacts>;
  readonly listen: () => readonly string[];
  readonly nodeVersion: string;
  readonly intervalMs: number;
  /** Most that this node waits when a neighbour has news: a whole site hears them at once. 0 for its DP. */
  readonly newsSpreadMs: () => number;
  readonly system?: () => Promise<SystemFacts>;
  readonly manners?: Pick<Manners, "refresh" | "wastedBytes">;
  readonly cache?: { readonly use: CacheUse };
  /** In the order of the check-ins; the next one waits for it. */
  readonly onAccepted: (accepted: Accepted, facts: LocationFacts) => Promise<void>;
  readonly onRefusal: (refusal: Refusal) => void;
  readonly now: () => number;
  readonly random: () => number;
  readonly log: Logger;
}

type CheckInEnd =
  | { readonly kind: "answered" }
  | { readonly kind: "refused"; readonly error: DeployError; readonly retryAfterMs: number };

export class CheckIn {
  readonly #settings: CheckInSettings;
  /** The check-in under way; callers share it. */
  #current: Promise<CheckInEnd> | undefined;
  #endPause: () => void = () => undefined;

  constructor(settings: CheckInSettings) {
    this.#settings = settings;
  }

  /** The first at once, then in intervals; after failures sooner, with full jitter. */
  async run(signal: AbortSignal): Promise<void> {
    const { intervalMs, random, log } = this.#settings;
    for (let failureCount = 0; !signal.aborted;) {
      const end = await this.#attempted(signal);
      if (signal.aborted) return;
      let delayMs = jitteredMs(intervalMs, random());
      failureCount = end.kind === "refused" ? failureCount + 1 : 0;
      if (end.kind === "refused") {
        const retryMs = backoffMs(failureCount, random(), end.retryAfterMs);
        delayMs = Math.max(Math.min(delayMs, retryMs), end.retryAfterMs);
        log.warn({ err: end.error, failureCount, delayMs }, "checkIn.failed");
      }
      await this.#pause(delayMs, signal);
    }
  }

  /** Ends the pause between two check-ins: a neighbour knows of something that this node does not. */
  soon(): void {
    this.#endPause();
  }

  async #pause(delayMs: number, signal: AbortSignal): Promise<void> {
    const ended = new AbortController();
    this.#endPause = () => ended.abort();
    const either = AbortSignal.any([signal, ended.signal]);
    await pause(delayMs, undefined, { signal: either }).catch(() => undefined);
    if (ended.signal.aborted) {
      const spreadMs = this.#settings.random() * this.#settings.newsSpreadMs();
      await pause(spreadMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** One check-in, or the end of the one under way. Throws what kept it from being answered. */
  async now(signal: AbortSignal): Promise<void> {
    const end = await this.#shared(signal);
    if (end.kind === "refused") throw end.error;
  }

  async #attempted(signal: AbortSignal): Promise<CheckInEnd> {
    try {
      return await this.#shared(signal);
    } catch (error) {
      // Unreachable, or an answer that cannot be read: the next one may be better. Anything else is a
      // fault of this node, such as a full disk, and ends it.
      if (signal.aborted) return { kind: "answered" };
      if (!(error instanceof DeployError)) throw error;
      return { kind: "refused", error, retryAfterMs: 0 };
    }
  }

  async #shared(signal: AbortSignal): Promise<CheckInEnd> {
    this.#current ??= this.#once(signal).finally(() => {
      this.#current = undefined;
    });
    return this.#current;
  }

  async #once(signal: AbortSignal): Promise<CheckInEnd> {
    const { client, url, identity, trust, session, log } = this.#settings;
    const facts = await this.#settings.facts();
    const request = await this.#request(facts);
    const answer = await client.request({
      method: "POST",
      path: "/v1/check-in",
      body: signStatement("check-in", request, identity.key),
      limitBytes: CHECK_IN_ANSWER_MAX_BYTES,
      signal,
    });
    if (answer.kind === "refused") {
      const error = refusalError("the check-in", url, answer);
      return { kind: "refused", error, retryAfterMs: answer.retryAfterMs };
    }
    const body = readJson("the check-in answer", answer.body, CHECK_IN_ANSWER_MAX_BYTES);
    const parsed = parseCheckInAnswer(body);
    session.accept(parsed.session);
    const { endpoint } = identity;
    const context = { endpoint, nonce: request.nonce, nowMs: this.#settings.now() };
    const accepted = await trust.accept(parsed, context);
    if (accepted.kind === "refused") {
      // BR-2: nothing of it is used; what was accepted before stays in force.
      log.error({ code: accepted.code, detail: accepted.detail }, "checkIn.answerRefused");
      this.#settings.onRefusal({ code: accepted.code, detail: accepted.detail });
      return { kind: "answered" };
    }
    await this.#settings.onAccepted(accepted, facts);
    return { kind: "answered" };
  }

  async #request(facts: LocationFacts): Promise<CheckInRequest> {
    const { journal, trust, session, identity } = this.#settings;
    const { manners } = this.#settings;
    const sharing = await manners?.refresh();
    const system = await this.#settings.system?.();
    const counter = journal.state.counter + 1;
    await journal.append({ type: "counter", counter });
    return {
      v: 1,
      endpoint: identity.endpoint,
      counter,
      nonce: randomBytes(16).toString("hex"),
      facts,
      listen: this.#settings.listen().slice(0, 16),
      os: osOf(process.platform),
      arch: process.arch.slice(0, 20),
      nodeVersion: this.#settings.nodeVersion,
      held: { ...trust.held(), sessionMs: session.notAfterMs },
      bytes: journal.state.bytes,
      ...(system === undefined ? {} : { system }),
      ...(sharing === undefined ? {} : { sharing }),
      ...(manners === undefined ? {} : { wasted: manners.wastedBytes }),
      ...(this.#settings.cache === undefined ? {} : { cache: this.#settings.cache.use }),
    };
  }
}

function osOf(platform: NodeJS.Platform): CheckInRequest["os"] {
  return platform === "linux" || platform === "win32" || platform === "darwin" ? platform : "other";
}
