/**
 * The run as it happens: carries out what the pure cycle decides (SE-11…SE-20), and writes its log and
 * its scan into the outbox in one durable step, so that each is delivered once.
 */
import { hash, randomUUID } from "node:crypto";
import type { Logger } from "pino";
import { parseDigest, type Digest, type EndpointId } from "../../protocol/ids.ts";
import { canonicalBytes } from "../../protocol/json.ts";
import type { DetectedSoftware, RunReport, ScanReport } from "../../protocol/report.ts";
import type { ReportSink } from "../actions/job-parts.ts";
import type { JobReview } from "../actions/review-jobs.ts";
import type { Journal } from "../content/journal.ts";
import type { ActionEntry } from "../core/journal-state.ts";
import {
  firstRun,
  runStep,
  type RunEffect,
  type RunEntry,
  type RunEvent,
  type RunState,
} from "../core/run.ts";
import { inReportOrder } from "./package-database.ts";

const SOFTWARE_MAX_COUNT = 2000;
const ALARM_MAX_MS = 2 ** 31 - 1;

export interface RunCycleParts {
  readonly endpoint: EndpointId;
  readonly intervalMs: number;
  readonly journal: Journal;
  readonly outbox: Pick<ReportSink, "post">;
  readonly software: (signal: AbortSignal) => Promise<readonly DetectedSoftware[]>;
  readonly review: (signal: AbortSignal) => Promise<JobReview>;
  /** Throws where the coordinator does not answer. */
  readonly checkIn: (signal: AbortSignal) => Promise<void>;
  readonly act: (review: JobReview) => Promise<void>;
  readonly isQuiet: () => boolean;
  readonly now: () => number;
  readonly log: Logger;
}

interface Found {
  readonly software: readonly DetectedSoftware[];
  readonly review: JobReview;
}

export class RunCycle {
  readonly #parts: RunCycleParts;
  #state: RunState;
  #found: Found | undefined;
  #hasReported = false;
  #alarm: NodeJS.Timeout | undefined;
  #signal = AbortSignal.abort();
  readonly #tasks = new Set<Promise<void>>();
  readonly #broken = Promise.withResolvers<never>();

  constructor(parts: RunCycleParts) {
    this.#parts = parts;
    this.#state = firstRun(parts.now(), parts.intervalMs);
    this.#broken.promise.catch(() => undefined);
  }

  /** From the driver of jobs. */
  noticed(activity: "acted" | "quiet"): void {
    this.#dispatch({ type: activity });
  }

  /** Runs until the signal; rejects where the journal cannot be written. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    const aborted = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => aborted.resolve(), { once: true });
    this.#dispatch({ type: "tick" });
    // Actions of before the restart wait for their log.
    if (this.#parts.journal.state.actions.length > 0) this.#dispatch({ type: "acted" });
    if (this.#parts.isQuiet()) this.#dispatch({ type: "quiet" });
    try {
      if (!signal.aborted) await Promise.race([aborted.promise, this.#broken.promise]);
    } finally {
      clearTimeout(this.#alarm);
      await Promise.all(this.#tasks);
    }
  }

  #dispatch(event: RunEvent): void {
    if (this.#signal.aborted) return;
    const next = runStep(this.#state, event, this.#parts.now());
    this.#state = next.state;
    for (const effect of next.effects) this.#carryOut(effect);
  }

  #carryOut(effect: RunEffect): void {
    switch (effect.type) {
      case "scan":
        return this.#background(async () => {
          this.#found = await this.#look();
          this.#dispatch({ type: "scanned", count: countOf(this.#found) });
        });
      case "checkIn":
        return this.#background(async () => this.#askForWishlist());
      case "act":
        return this.#background(async () => {
          if (this.#found !== undefined) await this.#parts.act(this.#found.review);
          if (this.#parts.isQuiet()) this.#dispatch({ type: "quiet" });
        });
      case "rescan":
        return this.#background(async () => this.#rescan());
      case "finish":
        return this.#background(async () => this.#postLog(effect.startedMs, effect.entries));
      case "wake": {
        clearTimeout(this.#alarm);
        const delayMs = Math.min(Math.max(0, effect.atMs - this.#parts.now()), ALARM_MAX_MS);
        this.#alarm = setTimeout(() => this.#dispatch({ type: "tick" }), delayMs);
        return undefined;
      }
      default:
        return effect satisfies never;
    }
  }

  async #look(): Promise<Found> {
    const { software, review } = this.#parts;
    return { software: await software(this.#signal), review: await review(this.#signal) };
  }

  async #askForWishlist(): Promise<void> {
    try {
      await this.#parts.checkIn(this.#signal);
      this.#dispatch({ type: "asked" });
    } catch (error) {
      if (this.#signal.aborted) throw error;
      // Without the coordinator the wishlist of before stands, and local work goes on.
      this.#parts.log.warn({ err: error }, "run.noWishlist");
      const problem = "no answer of the coordinator: the last wishlist stands";
      this.#dispatch({ type: "asked", problem });
    }
  }

  async #rescan(): Promise<void> {
    const found = await this.#look();
    this.#found = found;
    const software = softwareOf(found);
    const digest = digestOf(software);
    const { journal, outbox } = this.#parts;
    const isChanged = digest !== journal.state.scanDigest;
    if (isChanged) await outbox.post(this.#scanReport(software), { type: "scanned", digest });
    this.#dispatch({ type: "rescanned", count: software.length, isChanged });
  }

  #scanReport(software: readonly DetectedSoftware[]): ScanReport {
    return {
      kind: "scan",
      id: randomUUID(),
      endpoint: this.#parts.endpoint,
      atMs: this.#parts.now(),
      software: software.slice(0, SOFTWARE_MAX_COUNT),
      isCut: software.length > SOFTWARE_MAX_COUNT,
    };
  }

  // SE-17: after the run. A run that did nothing is told once after a start, and then not again.
  async #postLog(startedMs: number, entries: readonly RunEntry[]): Promise<void> {
    const { journal, outbox, now } = this.#parts;
    const { actions } = journal.state;
    if (actions.length === 0 && this.#hasReported) return;
    this.#hasReported = true;
    const all = inOrder(entries, actions);
    const report: RunReport = {
      kind: "run",
      id: randomUUID(),
      endpoint: this.#parts.endpoint,
      startedMs: Math.min(startedMs, ...actions.map(({ atMs }) => atMs)),
      endedMs: now(),
      entries: all,
    };
    await outbox.post(report, { type: "logged", count: actions.length });
  }

  #background(work: () => Promise<void>): void {
    const task = work()
      .catch((error: unknown) => {
        if (this.#signal.aborted) return;
        this.#parts.log.error({ err: error }, "run.broken");
        this.#broken.reject(error);
      })
      .finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
  }
}

// Actions before the log, whatever the clock did meanwhile.
function inOrder(entries: readonly RunEntry[], actions: readonly ActionEntry[]): ActionEntry[] {
  return [...entries.filter(isBefore), ...actions, ...entries.filter((entry) => !isBefore(entry))];
}

function isBefore({ step }: RunEntry): boolean {
  return step === "scan" || step === "wishlist";
}

function softwareOf({ software, review }: Found): readonly DetectedSoftware[] {
  return inReportOrder([...review.software, ...software]);
}

function countOf(found: Found): number {
  return softwareOf(found).length;
}

function digestOf(software: readonly DetectedSoftware[]): Digest {
  return parseDigest(hash("sha256", canonicalBytes(software), "hex"));
}
