/**
 * Reports on their way: journaled, sent at least once, forgotten when the coordinator has stored them
 * (SE-17). Of what is only mentioned, the newest of each job is kept in memory.
 */
import type { KeyObject } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "pino";
import { signStatement } from "../../protocol/dsse.ts";
import { DeployError } from "../../protocol/errors.ts";
import { readJson } from "../../protocol/json.ts";
import { parseReportAnswer, type JobReport, type Report } from "../../protocol/report.ts";
import type { ReportSink } from "../actions/job-parts.ts";
import type { Journal } from "../content/journal.ts";
import { backoffMs } from "../core/backoff.ts";
import type { JournalRecord } from "../core/journal-state.ts";
import { bodyOf } from "./coordinator-client.ts";
import type { Session } from "./session.ts";

const BATCH_MAX_COUNT = 64;
/** Statement bytes of one batch; base64 and envelopes make a third more of it. */
const BATCH_MAX_BYTES = 128 * 1024;
const ANSWER_MAX_BYTES = 16 * 1024;
/** What is only mentioned is often outdated a moment later, and it must not hold up a lease. */
const MENTION_WAIT_MS = 1000;
/** Refusals beyond this are dropped: an attacker must not fill the disk. */
const OUTBOX_MAX_COUNT = 10_000;

export interface OutboxSettings {
  readonly journal: Journal;
  readonly session: Pick<Session, "request">;
  readonly url: string;
  readonly key: KeyObject;
  readonly log: Logger;
  readonly now: () => number;
  readonly random: () => number;
}

export class Outbox implements ReportSink {
  readonly #settings: OutboxSettings;
  /** By job. */
  readonly #mentioned = new Map<string, JobReport>();
  #order: number;
  #batchMaxCount = BATCH_MAX_COUNT;
  #wake = Promise.withResolvers<void>();
  #posted = Promise.withResolvers<void>();

  constructor(settings: OutboxSettings) {
    this.#settings = settings;
    this.#order = settings.journal.state.order;
  }

  // Mentions are not journaled, so the clock keeps the numbers growing over a restart.
  nextOrder(): number {
    this.#order = Math.max(this.#order + 1, this.#settings.now());
    return this.#order;
  }

  async post(report: Report, ...records: readonly JournalRecord[]): Promise<void> {
    const { journal } = this.#settings;
    if (report.kind === "refusal" && journal.state.outbox.size >= OUTBOX_MAX_COUNT) return;
    if (report.kind === "job") this.#mentioned.delete(report.job);
    await journal.append(...records, { type: "report", report });
    this.#wake.resolve();
    this.#posted.resolve();
  }

  mention(report: JobReport): void {
    this.#mentioned.set(report.job, report);
    this.#wake.resolve();
  }

  /** Delivers until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => aborted.resolve(), { once: true });
    for (let failureCount = 0; !signal.aborted;) {
      const batch = this.#nextBatch();
      if (batch.length === 0) {
        await Promise.race([this.#wake.promise, aborted.promise]);
        this.#wake = Promise.withResolvers();
        await this.#mentionsSettled(aborted.promise);
        continue;
      }
      try {
        await this.#deliver(batch, signal);
        failureCount = 0;
      } catch (error) {
        if (signal.aborted) return;
        failureCount += 1;
        this.#settings.log.warn({ err: error, count: batch.length }, "reports.notDelivered");
        if (isUnreadable(error)) await this.#setAside(batch);
        const delayMs = backoffMs(failureCount, this.#settings.random());
        await Promise.race([pause(delayMs, undefined, { ref: false }), aborted.promise]);
      }
    }
  }

  async #mentionsSettled(aborted: Promise<void>): Promise<void> {
    if (this.#settings.journal.state.outbox.size > 0) return;
    this.#posted = Promise.withResolvers();
    await Promise.race([
      pause(MENTION_WAIT_MS, undefined, { ref: false }),
      this.#posted.promise,
      aborted,
    ]);
  }

  // A report that the coordinator cannot read would hold up all others for ever: after the batch they are
  // sent one by one, and the one that is refused alone is given up, loudly.
  async #setAside(batch: readonly Report[]): Promise<void> {
    this.#batchMaxCount = 1;
    const [only, ...others] = batch;
    if (only === undefined || others.length > 0) return;
    this.#settings.log.error({ report: only }, "reports.givenUp");
    this.#batchMaxCount = BATCH_MAX_COUNT;
    if (only.kind === "job") this.#mentioned.delete(only.job);
    await this.#settings.journal.append({ type: "acknowledged", ids: [only.id] });
  }

  #nextBatch(): readonly Report[] {
    const batch: Report[] = [];
    let sizeBytes = 0;
    for (const report of [
      ...this.#settings.journal.state.outbox.values(),
      ...this.#mentioned.values(),
    ]) {
      sizeBytes += Buffer.byteLength(JSON.stringify(report));
      if (batch.length > 0 && sizeBytes > BATCH_MAX_BYTES) break;
      batch.push(report);
      if (batch.length >= this.#batchMaxCount) break;
    }
    return batch;
  }

  async #deliver(batch: readonly Report[], signal: AbortSignal): Promise<void> {
    const { session, url, key, journal } = this.#settings;
    const answer = await session.request({
      method: "POST",
      path: "/v1/reports",
      body: { reports: batch.map((report) => signStatement("report", report, key)) },
      limitBytes: ANSWER_MAX_BYTES,
      signal,
    });
    const body = bodyOf("reports", url, answer);
    const { stored } = parseReportAnswer(readJson("the report answer", body, ANSWER_MAX_BYTES));
    const known = stored.filter((id) => journal.state.outbox.has(id));
    if (known.length > 0) await journal.append({ type: "acknowledged", ids: known });
    const isStored = new Set(stored);
    for (const report of batch) {
      if (report.kind === "job" && this.#mentioned.get(report.job)?.id === report.id) {
        this.#mentioned.delete(report.job);
      }
    }
    if (!batch.some((report) => isStored.has(report.id))) {
      const problem = "it acknowledged none of the reports";
      throw new DeployError("UPLINK_UNREACHABLE", { url, problem });
    }
  }
}

function isUnreadable(error: unknown): boolean {
  if (!(error instanceof DeployError) || error.code !== "UPLINK_REFUSED") return false;
  return [400, 413, 422].includes(Number(error.details["status"]));
}
