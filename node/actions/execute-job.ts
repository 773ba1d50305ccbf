/**
 * One execution of one job: the endpoint's own word first, then intent, attempt, the look whether it is
 * true, and everything that follows from the end in one durable write.
 */
import { DeployError } from "../../protocol/errors.ts";
import { packageRefText } from "../../protocol/ids.ts";
import type { JobReport } from "../../protocol/report.ts";
import { wishKey } from "../core/attempts.ts";
import type { ActionEntry, JournalRecord, OpenAttempt } from "../core/journal-state.ts";
import { endStateOf, isSuccess } from "../core/outcome.ts";
import { mergedNeed, partingOf, powerNeedOf, type PowerNeed } from "../core/power.ts";
import type { VerifiedInstruction } from "../trust/verified-instruction.ts";
import { clearAttempt, performAttempt, type AttemptSettings } from "./attempt.ts";
import { reasonOf, resultOfError, type ActionResult } from "./command-result.ts";
import type { JobParts } from "./job-parts.ts";
import { jobReport, type JobFacts } from "./job-report.ts";
import { contradiction, judgeJob, type QuietVerdict } from "./judge-job.ts";
import { workOf } from "./operation.ts";
import type { PreparedJob } from "./prepare-job.ts";

export interface Execution {
  readonly job: PreparedJob;
  readonly instruction: VerifiedInstruction;
  readonly attempt: number;
}

export type ExecutionEnd =
  | { readonly kind: "settled"; readonly end: QuietVerdict["end"] }
  | {
      readonly kind: "ended";
      readonly outcome: ActionResult["outcome"];
      readonly power: PowerNeed | undefined;
      readonly restartsAgent: boolean;
    };

/** Rejects with the signal's reason, or where the journal cannot be written. */
export async function executeJob(
  parts: JobParts,
  execution: Execution,
  signal: AbortSignal,
): Promise<ExecutionEnd> {
  const verdict = await judged(parts, execution, signal);
  if (verdict.kind === "settled") {
    await postSettled(parts, execution.instruction, execution.job.facts(), verdict.verdict);
    return { kind: "settled", end: verdict.verdict.end };
  }
  const open = await postIntent(parts, execution);
  const result =
    verdict.kind === "broken"
      ? verdict.result
      : await attempted(parts, execution, open.run, signal);
  const facts = execution.job.facts();
  const state = endStateOf(result.outcome, open.attempt, open.attemptLimit);
  const report = jobReport(facts, state, parts.outbox.nextOrder(), parts.now(), result);
  const end = await postEnd(parts, open, report);
  await clearAttempt(parts.dataDir, open.run);
  // The next try of a store goes on with what this one has made.
  const isOver = open.actionKind !== "store" || isSuccess(result.outcome);
  if (isOver) await parts.halfMade.forget(open.manifestDigest);
  return end;
}

/** The end of an attempt and what follows from it, written together. */
export async function postEnd(
  parts: JobParts,
  open: OpenAttempt,
  report: JobReport,
): Promise<Extract<ExecutionEnd, { kind: "ended" }>> {
  const {
    job,
    revision,
    operation = "install",
    postAction,
    restartTimeoutMin,
    shutdownAfter,
  } = open;
  const { outcome = "failed" } = report;
  const power = powerNeedOf({ job, outcome, postAction, timeoutMin: restartTimeoutMin });
  const parting = partingOf({
    job,
    ...(shutdownAfter === undefined ? {} : { shutdownAfter }),
    ...(restartTimeoutMin === undefined ? {} : { restartTimeoutMin }),
  });
  const boot = await parts.machine.bootMark();
  const held = parts.journal.state.power?.need;
  const records: JournalRecord[] = [
    { type: "ended", job, revision, outcome },
    actedRecord(parts, { package: packageRefText(open), text: operation, outcome }),
  ];
  if (power !== undefined) {
    records.push({ type: "power", slot: "power", held: { boot, need: mergedNeed(held, power) } });
  }
  if (parting !== undefined) {
    records.push({ type: "power", slot: "parting", held: { boot, need: parting } });
  }
  await parts.outbox.post(report, ...records);
  parts.onActivity("acted");
  const restartsAgent = postAction === "restartAgent" && report.state === "succeeded";
  return { kind: "ended", outcome, power, restartsAgent };
}

/** An end without an attempt; a repeated `incompatible` is only mentioned. */
export async function postSettled(
  parts: JobParts,
  { instruction, ref }: VerifiedInstruction,
  facts: JobFacts,
  { end, reason }: QuietVerdict,
): Promise<void> {
  const { job, revision, operation = "install" } = instruction;
  const isUninstall = operation === "uninstall";
  // What was to be taken off and is not there is done; "already installed" would say the opposite.
  const state = end === "alreadyInstalled" && isUninstall ? "succeeded" : end;
  const outcome = end === "incompatible" ? "blocked" : "success";
  const tries = { ...facts, attempt: Math.max(0, facts.attempt - 1) };
  const order = parts.outbox.nextOrder();
  const report = jobReport(tries, state, order, parts.now(), { outcome, reason });
  if (parts.journal.state.records.get(wishKey(instruction))?.end === end) {
    parts.outbox.mention(report);
    return;
  }
  const text = `${operation}: ${reason}`.slice(0, 500);
  const parting = partingOf(instruction);
  const records: JournalRecord[] = [
    { type: "settled", job, revision, end },
    actedRecord(parts, { package: packageRefText(ref), text, outcome }),
  ];
  if (parting !== undefined) {
    const boot = await parts.machine.bootMark();
    records.push({ type: "power", slot: "parting", held: { boot, need: parting } });
  }
  await parts.outbox.post(report, ...records);
  parts.onActivity("acted");
}

type Judged =
  | { readonly kind: "act" }
  | { readonly kind: "settled"; readonly verdict: QuietVerdict }
  /** The rules themselves cannot be followed: an error of ours, and an attempt (OCO-44). */
  | { readonly kind: "broken"; readonly result: ActionResult };

async function judged(
  parts: JobParts,
  { job, instruction }: Execution,
  signal: AbortSignal,
): Promise<Judged> {
  try {
    const verdict = await judgeJob(parts, job.manifest, instruction, signal);
    return verdict === undefined ? { kind: "act" } : { kind: "settled", verdict };
  } catch (error) {
    signal.throwIfAborted();
    const result = resultOfError(error);
    parts.onAgentError(error, result.reason);
    return { kind: "broken", result };
  }
}

// Journal first: after a crash it says what may have run (design 7).
async function postIntent(
  parts: JobParts,
  { job, instruction, attempt }: Execution,
): Promise<OpenAttempt> {
  const { operation, restartTimeoutMin, shutdownAfter } = instruction.instruction;
  const wish = { job: instruction.instruction.job, revision: instruction.instruction.revision };
  const order = parts.outbox.nextOrder();
  const start = jobReport(job.facts(), "executing", order, parts.now());
  const { postAction } = job.manifest.rules ?? {};
  const isInstall = (operation ?? "install") === "install";
  const open: OpenAttempt = {
    ...wish,
    attempt,
    attemptLimit: instruction.instruction.attemptLimit,
    run: `${wish.job}-${wish.revision}-${attempt}`,
    ...instruction.ref,
    manifestDigest: instruction.manifestDigest,
    actionKind: job.manifest.action.kind,
    ...(operation === undefined ? {} : { operation }),
    // A restart belongs to what was installed; what is taken off or launched asks for none by itself.
    ...(postAction === undefined || !isInstall ? {} : { postAction }),
    ...(restartTimeoutMin === undefined ? {} : { restartTimeoutMin }),
    ...(shutdownAfter === undefined ? {} : { shutdownAfter }),
    report: start,
  };
  await parts.outbox.post(start, { type: "intent", open });
  return open;
}

async function attempted(
  parts: JobParts,
  { job, instruction }: Execution,
  run: string,
  signal: AbortSignal,
): Promise<ActionResult> {
  const { dataDir, store, halfMade, environment, onAgentError } = parts;
  const { manifestDigest } = instruction;
  const { manifest } = job;
  try {
    const work = workOf(manifest, instruction.instruction.operation);
    if (work === undefined) return { outcome: "success", reason: "it has nothing to launch" };
    const roomFor: AttemptSettings["roomFor"] = async (content, isFinal, leftBytes) =>
      parts.cache.roomFor(content, manifestDigest, { isFinal, leftBytes });
    const rest = { dataDir, store, halfMade, environment, onAgentError, run, work, signal };
    const settings = { ...job, ...rest, manifestDigest, roomFor };
    const result = await performAttempt(settings);
    // What takes effect with the restart is looked at after it, by the next run.
    if (result.outcome !== "success") return result;
    const problem = await contradiction(parts, manifest, instruction, signal);
    if (problem === undefined) return result;
    const reason = reasonOf(new DeployError("DETECTION_CONTRADICTS", { problem }));
    return { ...result, outcome: "failed", reason };
  } catch (error) {
    signal.throwIfAborted();
    const result = resultOfError(error);
    onAgentError(error, result.reason);
    return result;
  }
}

function actedRecord(
  { now }: JobParts,
  entry: Pick<ActionEntry, "package" | "text" | "outcome">,
): JournalRecord {
  return { type: "acted", entry: { ...entry, atMs: now(), step: "action" } };
}
