/**
 * The driver of jobs: feeds what happens to the pure reconcile step and carries out what it decides.
 * It owns the job state; everything it starts is awaited when it is disposed.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import type { Manifest } from "../../protocol/manifest.ts";
import { wishKey } from "../core/attempts.ts";
import type { OpenAttempt } from "../core/journal-state.ts";
import { endStateOf } from "../core/outcome.ts";
import {
  initialState,
  step,
  type ReconcileEffect,
  type ReconcileEvent,
  type ReconcileState,
  type Wish,
} from "../core/reconcile.ts";
import type { VerifiedInstruction } from "../trust/verified-instruction.ts";
import { clearAttempt, hasStarted, performAttempt, resumeAttempt } from "./attempt.ts";
import { resultOfError } from "./command-result.ts";
import { prepareJob, type PreparedJob } from "./prepare-job.ts";
import type { JobParts } from "./job-parts.ts";
import { jobReport, resumedReport } from "./job-report.ts";

export class JobDriver implements AsyncDisposable {
  readonly #parts: JobParts;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  readonly #broken = Promise.withResolvers<never>();
  readonly #fetches = new Map<string, AbortController>();
  readonly #prepared = new Map<string, PreparedJob>();
  #instructions = new Map<string, VerifiedInstruction>();
  #state: ReconcileState;
  #alarm: NodeJS.Timeout | undefined;

  constructor(parts: JobParts, log: Logger) {
    this.#parts = parts;
    this.#log = log;
    this.#state = initialState(parts.journal.state.records, parts.retryBaseMs);
    // Reported by `run`; without this an early failure would count as unhandled.
    this.#broken.promise.catch(() => undefined);
  }

  /** Takes up what an earlier process left; call once, before the first directive. */
  async recover(): Promise<void> {
    const { journal, dataDir, retryBaseMs } = this.#parts;
    let { open } = journal.state;
    if (open !== undefined && !(await hasStarted(dataDir, open.run))) {
      // It never ran: its number is used again (power-cut table, "after intent, before claim").
      this.#log.info({ job: open.job, attempt: open.attempt }, "attempt.neverStarted");
      await journal.append({ type: "dropped", job: open.job, revision: open.revision });
      open = undefined;
    }
    await clearLeftovers(dataDir, open?.run);
    this.#state = initialState(journal.state.records, retryBaseMs, open);
    if (open !== undefined) {
      const attempt = open;
      this.#background(async () => this.#resume(attempt));
    }
  }

  /** The instructions in force, all of them. */
  direct(instructions: readonly VerifiedInstruction[]): void {
    this.#instructions = new Map(instructions.map((one) => [wishKey(one.instruction), one]));
    for (const key of this.#prepared.keys()) {
      if (!this.#instructions.has(key)) this.#prepared.delete(key);
    }
    const plain = instructions.map((one) => one.instruction);
    this.#dispatch({ type: "directive", instructions: plain });
  }

  /** Rejects with the failure that makes going on senseless, such as a journal that cannot be written. */
  async run(signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => aborted.resolve(), { once: true });
    if (!signal.aborted) await Promise.race([aborted.promise, this.#broken.promise]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#alarm);
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  #dispatch(event: ReconcileEvent): void {
    if (this.#stop.signal.aborted) return;
    const next = step(this.#state, event, this.#parts.now());
    this.#state = next.state;
    clearTimeout(this.#alarm);
    for (const effect of next.effects) this.#carryOut(effect);
  }

  #carryOut(effect: ReconcileEffect): void {
    switch (effect.type) {
      case "fetch":
        return this.#background(async () => this.#fetch(effect.wish));
      case "cancel":
        return this.#fetches.get(wishKey(effect.wish))?.abort();
      case "serve":
        return this.#background(async () => this.#serve(effect.wish));
      case "execute":
        return this.#background(async () => this.#execute(effect.wish, effect.attempt));
      case "wake": {
        const delayMs = Math.max(0, effect.atMs - this.#parts.now());
        this.#alarm = setTimeout(() => this.#dispatch({ type: "tick" }), delayMs);
        return undefined;
      }
      default:
        return effect satisfies never;
    }
  }

  async #fetch(wish: Wish): Promise<void> {
    const key = wishKey(wish);
    const instruction = this.#instructions.get(key);
    if (instruction === undefined) return;
    const cancel = new AbortController();
    this.#fetches.set(key, cancel);
    const signal = AbortSignal.any([cancel.signal, this.#stop.signal]);
    try {
      const job = await prepareJob(this.#parts, instruction, this.#attemptOf(wish), signal);
      this.#prepared.set(key, job);
      await this.#fetched(wish, job);
    } catch (error) {
      if (signal.aborted) return;
      this.#log.warn({ ...wish, err: error }, "job.notPrepared");
      this.#dispatch({ type: "fetchFailed", wish });
    } finally {
      if (this.#fetches.get(key) === cancel) this.#fetches.delete(key);
    }
  }

  async #fetched(wish: Wish, job: PreparedJob): Promise<void> {
    const { journal, outbox } = this.#parts;
    const { level } = job.manifest;
    if (journal.state.records.get(wishKey(wish))?.level !== level) {
      await journal.note({ type: "level", ...wish, level });
    }
    if (job.facts().instruction.purpose === "replicate") {
      job.onStep("contentVerified");
      const report = jobReport(job.facts(), "succeeded", outbox.nextOrder(), this.#parts.now(), {
        outcome: "success",
      });
      await outbox.post(report, { type: "replicated", ...wish });
    }
    this.#dispatch({ type: "levelKnown", wish, level });
    this.#dispatch({ type: "fetched", wish });
  }

  async #execute(wish: Wish, attempt: number): Promise<void> {
    const { outbox, journal, dataDir, now } = this.#parts;
    const job = this.#prepared.get(wishKey(wish));
    const instruction = this.#instructions.get(wishKey(wish));
    if (job === undefined || instruction === undefined) {
      throw new Error(`job ${wish.job} is executed without having been prepared`);
    }
    const { attemptLimit } = instruction.instruction;
    const run = `${wish.job}-${wish.revision}-${attempt}`;
    const start = jobReport(job.facts(), "executing", outbox.nextOrder(), now());
    const open: OpenAttempt = {
      ...wish,
      attempt,
      attemptLimit,
      run,
      ...instruction.ref,
      manifestDigest: instruction.manifestDigest,
      actionKind: job.manifest.action.kind,
      report: start,
    };
    // Journal first: after a crash it says what may have run (design 7).
    await outbox.post(start, { type: "intent", open });
    this.#log.info({ ...wish, attempt, package: instruction.targetPath }, "attempt.started");
    const result = await performAttempt({ ...job, ...this.#attemptParts(), run });
    if (result.outcome !== "success") this.#log.warn({ ...wish, attempt, result }, "attempt.ended");
    else this.#log.info({ ...wish, attempt }, "attempt.ended");
    const state = endStateOf(result.outcome, attempt, attemptLimit);
    const report = jobReport(job.facts(), state, outbox.nextOrder(), now(), result);
    await outbox.post(report, { type: "ended", ...wish, outcome: result.outcome });
    await clearAttempt(dataDir, run);
    this.#dispatch({ type: "ended", wish, outcome: result.outcome });
    if (journal.state.records.get(wishKey(wish))?.isDone === true)
      this.#prepared.delete(wishKey(wish));
  }

  async #resume(open: OpenAttempt): Promise<void> {
    const { outbox, dataDir, now } = this.#parts;
    const wish = { job: open.job, revision: open.revision };
    this.#log.info({ ...wish, attempt: open.attempt }, "attempt.resumed");
    const end = await resumeAttempt(dataDir, open.run, this.#stop.signal);
    const { outcome } = end.result;
    const state = endStateOf(outcome, open.attempt, open.attemptLimit);
    const report = resumedReport(open.report, state, outbox.nextOrder(), now(), end);
    await outbox.post(report, { type: "ended", ...wish, outcome });
    await clearAttempt(dataDir, open.run);
    this.#dispatch({ type: "ended", wish, outcome });
  }

  async #serve(wish: Wish): Promise<void> {
    const instruction = this.#instructions.get(wishKey(wish));
    if (instruction === undefined) return;
    const bytes = await this.#parts.manifests.held(instruction.manifestDigest);
    if (bytes === undefined) return;
    try {
      const manifest: Manifest = this.#parts.trust.verifyManifest(bytes, instruction);
      if (manifest.content === undefined) return;
      const { swarm, manifestDigest } = instruction;
      await this.#parts.exchange.serve({ swarm, manifestDigest, manifest });
    } catch (error) {
      // Serving is a favour to the site; this node has what it needs.
      this.#log.warn({ ...wish, err: error }, "job.notServed");
    }
  }

  #attemptOf(wish: Wish): number {
    return (this.#parts.journal.state.records.get(wishKey(wish))?.attempts ?? 0) + 1;
  }

  #attemptParts(): Pick<JobParts, "dataDir" | "store" | "environment"> & { signal: AbortSignal } {
    const { dataDir, store, environment } = this.#parts;
    return { dataDir, store, environment, signal: this.#stop.signal };
  }

  #background(work: () => Promise<void>): void {
    const task = work()
      .catch((error: unknown) => {
        if (this.#stop.signal.aborted) return;
        this.#log.error({ err: error, result: resultOfError(error) }, "job.broken");
        this.#broken.reject(error);
      })
      .finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
  }
}

// Folders of attempts that ended, or that never got as far as a command.
async function clearLeftovers(dataDir: string, openRun: string | undefined): Promise<void> {
  for (const kind of ["tmp", "runs"]) {
    const folder = join(dataDir, kind);
    for (const name of await readdir(folder)) {
      if (name !== openRun) await rm(join(folder, name), { recursive: true, force: true });
    }
  }
}
