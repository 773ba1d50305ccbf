/**
 * Measures the site's line while packages cross it: one small exchange after the other on a connection of its
 * own, so that no fragment stands before it. What it finds steers the rate for the whole site, at the
 * coordinator (distribution 5.6).
 */
import type { Logger } from "pino";
import { DeployError } from "../../protocol/errors.ts";
import { readJson } from "../../protocol/json.ts";
import { parseLineAnswer } from "../../protocol/traffic.ts";
import { bodyOf } from "./coordinator-client.ts";
import type { Session } from "./session.ts";

export interface LineProbeSettings {
  readonly session: Pick<Session, "request">;
  readonly url: string;
  /** Milliseconds that never jump. */
  readonly nowMs: () => number;
  readonly log: Logger;
}

const ANSWER_MAX_BYTES = 1024;
/** Between two fragments the measuring goes on. */
const LINGER_MS = 1000;

export class LineProbe implements AsyncDisposable {
  readonly #settings: LineProbeSettings;
  readonly #stop = new AbortController();
  #transferCount = 0;
  #idleSinceMs = 0;
  #running: Promise<void> | undefined;
  /** Whether the site's line is measured at all; the last lease answer says. */
  #isOn = false;

  constructor(settings: LineProbeSettings) {
    this.#settings = settings;
  }

  turn(isOn: boolean): void {
    this.#isOn = isOn;
  }

  /** Runs a transfer over the line and measures beside it. */
  async during<T>(transfer: () => Promise<T>): Promise<T> {
    this.#transferCount++;
    this.#begin();
    try {
      return await transfer();
    } finally {
      this.#transferCount--;
      this.#idleSinceMs = this.#settings.nowMs();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  #begin(): void {
    if (!this.#isOn || this.#stop.signal.aborted) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  get #isNeeded(): boolean {
    if (this.#stop.signal.aborted || !this.#isOn) return false;
    return this.#transferCount > 0 || this.#settings.nowMs() - this.#idleSinceMs < LINGER_MS;
  }

  async #run(): Promise<void> {
    let rttMs: number | undefined;
    // The first exchange opens the connection: its time says nothing of the line.
    for (let count = 0; this.#isNeeded; count++) {
      try {
        const tookMs = await this.#exchange(rttMs);
        rttMs = count === 0 ? undefined : tookMs;
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (!(error instanceof DeployError)) throw error;
        this.#settings.log.debug({ err: error }, "line.probeFailed");
        // The next transfer begins anew; without samples the coordinator slows down by itself.
        return;
      }
    }
  }

  async #exchange(rttMs: number | undefined): Promise<number> {
    const { session, url, nowMs } = this.#settings;
    const startMs = nowMs();
    const answer = await session.request({
      method: "POST",
      path: "/v1/line",
      body: rttMs === undefined ? {} : { rttMs },
      limitBytes: ANSWER_MAX_BYTES,
      lane: "probe",
      signal: this.#stop.signal,
    });
    const tookMs = nowMs() - startMs;
    const body = bodyOf("the line", url, answer);
    const { heldMs } = parseLineAnswer(readJson("the line answer", body, ANSWER_MAX_BYTES));
    return Math.max(0, tookMs - heldMs);
  }
}
