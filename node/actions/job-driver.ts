/**
 * The driver of jobs: feeds what happens to the pure reconcile step and carries out what it decides.
 * It owns the job state; everything it starts is awaited when it is disposed.
 */
import type { Logger } from "pino";
import { packageRefText } from "../../protocol/ids.ts";
import { wishKey } from "../core/attempts.ts";
import { holdText } from "../core/hold-text.ts";
import type { Hold } from "../core/holds.ts";
import { isSuccess } from "../core/outcome.ts";
import { powerDelayMin, type PowerNeed } from "../core/power.ts";
import type { ReconcileEffect } from "../core/reconcile-effect.ts";
import { entryIn, type ReconcileState, type Wish } from "../core/reconcile-state.ts";
import { initialState, step, type ReconcileEvent } from "../core/reconcile.ts";
import { isQuiet } from "../core/schedule.ts";
import type { VerifiedInstruction } from "../trust/verified-instruction.ts";
import { executeJob, postSettled, type ExecutionEnd } from "./execute-job.ts";
import { reasonOf } from "./command-result.ts";
import type { JobParts } from "./job-parts.ts";
import { nextFacts, postAborted, postDrifted, postExpired, mentionHeld } from "./job-notices.ts";
import { jobReport } from "./job-report.ts";
import { judgeJob } from "./judge-job.ts";
import { LaunchBoard, type LaunchEnd } from "./launch-board.ts";
import { isLocalJob, planLaunch, type LaunchWish } from "./local-launch.ts";
import { runLimitMs } from "./operation.ts";
import { prepareJob, type PreparedJob } from "./prepare-job.ts";
import { leftBehind, resumed } from "./recovery.ts";
import { heldManifest, reviewJobs, type JobReview } from "./review-jobs.ts";

/** The longest time that a timer can be set to. */
const ALARM_MAX_MS = 2 ** 31 - 1;

export class JobDriver implements AsyncDisposable {
  readonly #parts: JobParts;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  readonly #broken = Promise.withResolvers<never>();
  readonly #fetches = new Map<string, AbortController>();
  readonly #prepared = new Map<string, PreparedJob>();
  /** In force: of the directive, and of launches on this endpoint. */
  #instructions = new Map<string, VerifiedInstruction>();
  #ordered: readonly VerifiedInstruction[] = [];
  readonly #launches = new LaunchBoard();
  #state: ReconcileState;
  #alarm: NodeJS.Timeout | undefined;

  constructor(parts: JobParts, log: Logger) {
    this.#parts = parts;
    this.#log = log;
    const { retryBaseMs } = parts;
    this.#state = initialState({ records: parts.journal.state.records, retryBaseMs });
    // Reported by `run`; without this an early failure would count as unhandled.
    this.#broken.promise.catch(() => undefined);
  }

  /** Takes up what an earlier process left; call once, before the first directive. */
  async recover(): Promise<void> {
    const { journal, endpoint, retryBaseMs } = this.#parts;
    const open = await leftBehind(this.#parts, this.#log);
    const { records, power, parting } = journal.state;
    this.#state = initialState({
      records,
      retryBaseMs,
      surroundings: { endpoint, publicAddress: this.#parts.placement().publicAddress },
      running: open,
      power: power?.need,
      parting: parting?.need,
    });
    if (open === undefined) return;
    this.#background(async () => {
      this.#log.info({ job: open.job, attempt: open.attempt }, "attempt.resumed");
      this.#ended(open, await resumed(this.#parts, open, this.#stop.signal));
      const { job, revision } = open;
      if (isLocalJob(job)) await journal.append({ type: "forgotten", job, revision });
    });
  }

  /** The instructions in force, all of them. */
  direct(ordered: readonly VerifiedInstruction[]): void {
    this.#ordered = ordered;
    const instructions = [...this.#launches.orders, ...ordered];
    this.#instructions = new Map(instructions.map((one) => [wishKey(one.instruction), one]));
    for (const key of this.#prepared.keys()) {
      if (!this.#instructions.has(key)) this.#prepared.delete(key);
    }
    const { publicAddress } = this.#parts.placement();
    this.#dispatch({ type: "moved", publicAddress });
    const plain = instructions.map((one) => one.instruction);
    this.#dispatch({ type: "directive", instructions: plain });
  }

  /**
   * ZEN-13, ZEN-17, ZEN-19: installs what is missing and runs the launch actions, dependents first. Ends at
   * the first failure. Throws LAUNCH_REFUSED.
   */
  async launch(wish: LaunchWish, signal: AbortSignal): Promise<LaunchEnd> {
    const orders = await planLaunch(this.#parts, this.#ordered, wish, signal);
    this.#launches.begin(orders);
    this.direct(this.#ordered);
    try {
      return await this.#launches.steps(orders, signal);
    } finally {
      this.#launches.close(orders);
      this.direct(this.#ordered);
      const { journal } = this.#parts;
      const over = orders.map(wishOf).filter(({ job }) => job !== journal.state.open?.job);
      await journal.append(...over.map((one) => ({ type: "forgotten", ...one }) as const));
    }
  }

  /** What a run finds out about everything that is in force. */
  async review(signal: AbortSignal): Promise<JobReview> {
    const either = AbortSignal.any([signal, this.#stop.signal]);
    return reviewJobs(this.#parts, [...this.#instructions.values()], either);
  }

  /** A run acts: on what its scan found, and on what waits for another try (SE-15, SE-19, SE-20). */
  async act({ drifted, arrived }: Pick<JobReview, "drifted" | "arrived">): Promise<void> {
    for (const one of drifted) {
      // The wishlist may have changed since the scan, and an attempt may just be ending.
      if (entryIn(this.#state, wishOf(one), "done") === undefined) continue;
      await postDrifted(this.#parts, one);
      this.#dispatch({ type: "drifted", wish: wishOf(one) });
    }
    for (const one of arrived) {
      if (entryIn(this.#state, wishOf(one), "exhausted") === undefined) continue;
      const verdict = { end: "alreadyInstalled", reason: "it was found on the endpoint" } as const;
      await postSettled(this.#parts, one, nextFacts(this.#parts, one), verdict);
      this.#dispatch({ type: "settled", wish: wishOf(one), end: verdict.end });
    }
    this.#dispatch({ type: "run" });
  }

  /** Nothing is under way. */
  get isQuiet(): boolean {
    return isQuiet(this.#state, this.#parts.clock());
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
    const next = step(this.#state, event, this.#parts.clock());
    this.#state = next.state;
    clearTimeout(this.#alarm);
    for (const effect of next.effects) this.#carryOut(effect);
    if (this.isQuiet) this.#parts.onActivity("quiet");
  }

  #carryOut(effect: ReconcileEffect): void {
    switch (effect.type) {
      case "fetch":
        return this.#background(async () => this.#fetch(effect.wish));
      case "cancel":
        return this.#fetches.get(wishKey(effect.wish))?.abort();
      case "serve":
        return this.#background(async () => this.#serve(effect.wish));
      case "forget": {
        const { job, revision } = effect.wish;
        return this.#background(async () =>
          this.#parts.journal.append({ type: "forgotten", job, revision }),
        );
      }
      case "execute":
        return this.#background(async () => this.#execute(effect.wish, effect.attempt));
      case "hold":
        return this.#mentionHold(effect.wish, effect.hold);
      case "expire":
        return this.#tell(effect.wish, async (one) => postExpired(this.#parts, one));
      case "abort": {
        const by = this.#nameOf(effect.by);
        return this.#tell(effect.wish, async (one) => postAborted(this.#parts, one, by));
      }
      case "power":
        return this.#background(async () => this.#power(effect.need));
      case "restartAgent":
        return this.#parts.machine.restartAgent();
      case "wake": {
        const delayMs = Math.min(Math.max(0, effect.atMs - this.#parts.clock()), ALARM_MAX_MS);
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
      let isSettled = false;
      const isContentWanted = async (job: PreparedJob): Promise<boolean> => {
        isSettled = await this.#settledEarly(instruction, job, signal);
        return !isSettled;
      };
      const attempt = this.#attemptOf(wish);
      const preparation = { instruction, attempt, isContentWanted };
      const job = await prepareJob(this.#parts, preparation, signal);
      if (!isSettled) await this.#fetched(wish, job);
    } catch (error) {
      if (signal.aborted) return;
      this.#log.warn({ ...wish, err: error }, "job.notPrepared");
      this.#dispatch({ type: "fetchFailed", wish });
      this.#launches.ended(wish.job, "", reasonOf(error));
    } finally {
      if (this.#fetches.get(key) === cancel) this.#fetches.delete(key);
    }
  }

  // Nothing is fetched for what is there already or cannot run here. A job with dependents is judged when
  // they are done: they may change the answer.
  async #settledEarly(
    instruction: VerifiedInstruction,
    job: PreparedJob,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { purpose, after = [] } = instruction.instruction;
    if (purpose !== "perform" || after.length > 0) return false;
    const verdict = await judgeJob(this.#parts, job.manifest, instruction, signal).catch(
      // Rules that cannot be followed: the attempt reports it.
      () => undefined,
    );
    if (verdict === undefined || signal.aborted) return false;
    await postSettled(this.#parts, instruction, job.facts(), verdict);
    this.#settled(wishOf(instruction), verdict.end);
    return true;
  }

  async #fetched(wish: Wish, job: PreparedJob): Promise<void> {
    const { journal, outbox, now } = this.#parts;
    const { level } = job.manifest;
    const { purpose, operation } = job.facts().instruction;
    if (journal.state.records.get(wishKey(wish))?.level !== level) {
      await journal.note({ type: "level", ...wish, level });
    }
    if (purpose !== "perform") {
      job.onStep("contentVerified");
      const result = { outcome: "success" } as const;
      const report = jobReport(job.facts(), "succeeded", outbox.nextOrder(), now(), result);
      await outbox.post(report, { type: "replicated", ...wish });
      this.#log.info({ ...wish, package: packageRefText(job.manifest), purpose }, "job.held");
    }
    this.#prepared.set(wishKey(wish), job);
    const runMs = runLimitMs(job.manifest, operation);
    this.#dispatch({ type: "manifestRead", wish, level, runMs });
    this.#dispatch({ type: "fetched", wish });
  }

  async #execute(wish: Wish, attempt: number): Promise<void> {
    const job = this.#prepared.get(wishKey(wish));
    const instruction = this.#instructions.get(wishKey(wish));
    if (job === undefined || instruction === undefined) {
      throw new Error(`job ${wish.job} is executed without having been prepared`);
    }
    this.#log.info({ ...wish, attempt, package: instruction.targetPath }, "job.executing");
    const end = await executeJob(this.#parts, { job, instruction, attempt }, this.#stop.signal);
    const isGood = end.kind === "ended" && end.outcome === "success";
    this.#log[isGood ? "info" : "warn"]({ ...wish, attempt, end }, "job.executed");
    if (end.kind === "settled") this.#settled(wish, end.end);
    else this.#ended(wish, end);
    // A later attempt is prepared anew: its report starts with where the node is then.
    this.#prepared.delete(wishKey(wish));
  }

  #settled(wish: Wish, end: "alreadyInstalled" | "incompatible"): void {
    this.#dispatch({ type: "settled", wish, end });
    const problem = end === "incompatible" ? "it cannot run here" : undefined;
    this.#launches.ended(wish.job, end, problem);
  }

  #ended({ job, revision }: Wish, end: Extract<ExecutionEnd, { kind: "ended" }>): void {
    const { outcome, power, restartsAgent } = end;
    const wish = { job, revision };
    const need = power === undefined ? {} : { power };
    this.#dispatch({ type: "ended", wish, outcome, restartsAgent, ...need });
    if (isSuccess(outcome)) this.#adopt(wish);
    this.#launches.ended(job, outcome, isSuccess(outcome) ? undefined : `it ended as ${outcome}`);
  }

  // What a launch installed, the directive need not install once more.
  #adopt(wish: Wish): void {
    const own = this.#launches.orders.find(({ instruction }) => instruction.job === wish.job);
    if (own === undefined || own.instruction.operation !== "install") return;
    const twins = this.#ordered.filter(
      ({ targetPath, instruction }) =>
        targetPath === own.targetPath &&
        instruction.purpose === "perform" &&
        (instruction.operation ?? "install") === "install" &&
        this.#parts.journal.state.records.get(wishKey(instruction))?.isDone !== true,
    );
    const verdict = { end: "alreadyInstalled", reason: "it was installed by a launch" } as const;
    for (const twin of twins) {
      this.#background(async () => {
        await postSettled(this.#parts, twin, nextFacts(this.#parts, twin), verdict);
        this.#settled(wishOf(twin), verdict.end);
      });
    }
  }

  async #power(need: PowerNeed): Promise<void> {
    const { machine, journal, onAgentError, onRefusal } = this.#parts;
    if (need.kind === "external") return;
    const delayMin = powerDelayMin(need, await machine.hasUser());
    const boot = await machine.bootMark();
    try {
      this.#log.warn({ need, delayMin }, "system.goesDown");
      await machine.power(need.kind, delayMin);
      const held = { boot, need: { ...need, isOrdered: true } };
      await journal.append(
        { type: "power", slot: "power", held },
        { type: "power", slot: "parting" },
      );
    } catch (error) {
      // The gate stays shut: what needs a restart must not be built upon. The next start tries again.
      onAgentError(error, reasonOf(error));
      onRefusal({ code: "POWER_COMMAND_FAILED", detail: reasonOf(error) });
    }
  }

  async #serve(wish: Wish): Promise<void> {
    const instruction = this.#instructions.get(wishKey(wish));
    if (instruction === undefined) return;
    const manifest = await heldManifest(this.#parts, instruction);
    if (manifest?.content === undefined) return;
    try {
      const { swarm, manifestDigest } = instruction;
      await this.#parts.exchange.serve({ swarm, manifestDigest, manifest });
    } catch (error) {
      // Serving is a favour to the site; this node has what it needs.
      this.#log.warn({ ...wish, err: error }, "job.notServed");
    }
  }

  #mentionHold(wish: Wish, hold: Hold): void {
    const facts = this.#prepared.get(wishKey(wish))?.facts();
    if (facts === undefined) return;
    const reason = holdText(hold, (job) => this.#nameOf(job));
    mentionHeld(this.#parts, facts, reason);
    // Nobody sits and waits for a restart; a dependency of the launch itself is under way.
    if (hold.kind !== "dependency") this.#launches.ended(wish.job, "", reason);
  }

  #tell(wish: Wish, tell: (instruction: VerifiedInstruction) => Promise<void>): void {
    const instruction = this.#instructions.get(wishKey(wish));
    if (instruction !== undefined) this.#background(async () => tell(instruction));
  }

  #nameOf(job: string): string {
    const found = [...this.#instructions.values()].find((one) => one.instruction.job === job);
    return found === undefined ? job : packageRefText(found.ref);
  }

  #attemptOf(wish: Wish): number {
    return (this.#parts.journal.state.records.get(wishKey(wish))?.attempts ?? 0) + 1;
  }

  #background(work: () => Promise<void>): void {
    const task = work()
      .catch((error: unknown) => {
        if (this.#stop.signal.aborted) return;
        this.#log.error({ err: error }, "job.broken");
        this.#broken.reject(error);
      })
      .finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
  }
}

function wishOf({ instruction }: VerifiedInstruction): Wish {
  return { job: instruction.job, revision: instruction.revision };
}
