/**
 * What becomes of each job for itself: due, kept up, over, or held with the reason. Dependencies, conflicts
 * and level 0 come afterwards, since they look at several jobs.
 */
import { packageRefText } from "../../../protocol/ids.ts";
import type { JobState } from "../../../protocol/report.ts";
import { sourceText } from "./constraints.ts";
import { isInstalled } from "./installed.ts";
import { standingOf, type Draft, type Standing } from "./plan-drafts.ts";
import type { Exclusions } from "./plan-exclusions.ts";
import { fromText } from "./plan-identity.ts";
import type { PlanInput, WaitReason } from "./plan-model.ts";
import type { PlanPresence } from "./plan-presence.ts";
import { unmetRequirement } from "./plan-requirements.ts";
import { compareWishes, type Wish } from "./plan-wishes.ts";

export type Verdict =
  | { readonly kind: "due" }
  /** Done; stays in the directive, so that it is kept up and served to peers. */
  | { readonly kind: "kept" }
  | { readonly kind: "over" | "held"; readonly state: JobState; readonly reasons: Reasons };

/** From the outermost to the root cause. */
export type Reasons = readonly [WaitReason, ...WaitReason[]];

export interface Job extends Draft {
  /** Whose schedule counts: the first that may act, by D1. */
  readonly deciding: Wish;
  readonly verdict: Verdict;
  readonly standing: Standing;
  /** A state that somebody wishes just now, not only an order. */
  readonly isKeptUp: boolean;
}

interface Grounds {
  readonly input: PlanInput;
  readonly presence: PlanPresence;
  readonly excluded: Exclusions;
  readonly isSpent: (wish: Wish) => boolean;
}

type Judged = Omit<Job, "verdict">;

export function jobsOf(drafts: readonly Draft[], grounds: Grounds): readonly Job[] {
  const judged = drafts.flatMap((draft): readonly Judged[] => {
    const deciding = decidingWish(draft, grounds);
    if (deciding === undefined) return [];
    const { attemptLimit } = deciding.intent.schedule;
    const standing = standingOf(draft.record, attemptLimit);
    const free = freeWishes(draft, grounds);
    const isKeptUp = free.some(({ isStatic, hasBegun }) => hasBegun && !isStatic);
    return [{ ...draft, deciding, standing, isKeptUp }];
  });
  const failed = firstFailures(judged);
  return judged.map((job) => ({ ...job, verdict: verdictOf(job, failed, grounds) }));
}

function decidingWish(draft: Draft, grounds: Grounds): Wish | undefined {
  const { wishes } = draft;
  const free = freeWishes(draft, grounds);
  return (
    free.find(({ hold }) => hold === undefined) ??
    free.find(({ hasBegun }) => hasBegun) ??
    free[0] ??
    wishes[0]
  );
}

/** Those that have a say in this job. */
function freeWishes({ wishes }: Draft, { excluded, isSpent }: Grounds): readonly Wish[] {
  return wishes.filter((wish) => !excluded.has(wish) && !isSpent(wish));
}

/** The first failed job of each sequence that a failure ends (OCO-48). */
function firstFailures(jobs: readonly Judged[]): ReadonlyMap<string, Wish> {
  const failed = new Map<string, Wish>();
  for (const { deciding, standing } of jobs) {
    if (standing !== "exhausted" || !deciding.intent.schedule.abortsAfterFailed) continue;
    const from = fromText(deciding.intent);
    const before = failed.get(from);
    if (before === undefined || compareWishes(deciding, before) < 0) failed.set(from, deciding);
  }
  return failed;
}

function verdictOf(job: Judged, failed: ReadonlyMap<string, Wish>, grounds: Grounds): Verdict {
  return (
    (job.standing === "done" ? doneVerdict(job, grounds) : undefined) ??
    spentVerdict(job, grounds) ??
    excludedVerdict(job, grounds) ??
    thereVerdict(job, grounds) ??
    abortVerdict(job, failed, grounds) ??
    failedVerdict(job) ??
    holdVerdict(job) ??
    ableVerdict(job, grounds) ?? { kind: "due" }
  );
}

function doneVerdict(job: Judged, grounds: Grounds): Verdict | undefined {
  const { operation, wishes, deciding } = job;
  const free = freeWishes(job, grounds);
  const isKeptUp = free.some(({ hasBegun }) => hasBegun) && isStillThere(job, grounds);
  if (operation === "install" && isKeptUp) return { kind: "kept" };
  // The loop or the successor is what counts for a state that is to be kept up.
  if (free.length === 0 && wishes.some(({ isStatic }) => !isStatic)) return undefined;
  return over(job.record?.state ?? "succeeded", `${sourceText(deciding.intent)} did it.`, job);
}

/** An order that ran once is not repeated by the endpoint's own repair when the package has gone since. */
function isStillThere({ wishes, known }: Judged, { presence }: Grounds): boolean {
  if (wishes.some(({ isStatic }) => !isStatic)) return true;
  if (wishes.some(({ intent }) => intent.source === "container")) return presence.has(known);
  const row = presence.recordOf(known);
  return row === undefined || isInstalled(row);
}

/** Of single deployments: done, and undone since. */
function spentVerdict(job: Judged, { isSpent }: Grounds): Verdict | undefined {
  const { known, operation, wishes } = job;
  if (!wishes.every(isSpent)) return undefined;
  const did = operation === "uninstall" ? "uninstalled, and installed" : "installed, and removed";
  return over("succeeded", `${packageRefText(known)} was ${did} since.`, job);
}

function excludedVerdict({ wishes }: Judged, { excluded, isSpent }: Grounds): Verdict | undefined {
  const reasons = wishes.filter((wish) => !isSpent(wish)).map((wish) => excluded.get(wish));
  const [first] = reasons;
  if (first === undefined || reasons.includes(undefined)) return undefined;
  return { kind: "held", state: "waiting", reasons: [first] };
}

/** Of an install: same version there already, unless forced. */
function thereVerdict(job: Judged, grounds: Grounds): Verdict | undefined {
  const { operation, known } = job;
  if (operation !== "install") return undefined;
  const isForced = freeWishes(job, grounds).some(
    ({ intent, hold }) => intent.isForced && hold === undefined,
  );
  if (isForced || isRepaired(job, grounds) || !grounds.presence.has(known)) return undefined;
  return over("alreadyInstalled", `${packageRefText(known)} is installed already.`, job);
}

/**
 * The endpoint tries anew what was installed: it has seen that it is gone, before its next scan says so
 * (SE-19). A try that lies before the install is none of it: another job has installed the package since.
 */
function isRepaired({ record, standing, known }: Judged, { presence }: Grounds): boolean {
  const { sinceMs = Number.POSITIVE_INFINITY } = presence.recordOf(known) ?? {};
  return record !== undefined && standing === "open" && record.atMs >= sinceMs;
}

function abortVerdict(
  job: Judged,
  failed: ReadonlyMap<string, Wish>,
  { input }: Grounds,
): Verdict | undefined {
  const { deciding, standing, record } = job;
  const { source, name, createdMs, schedule } = deciding.intent;
  const before = failed.get(fromText(deciding.intent));
  const isAfter = before !== undefined && compareWishes(before, deciding) < 0;
  const isEnded =
    source === "container" &&
    schedule.abortScope === "container" &&
    input.abortedContainers.has(name) &&
    standing !== "exhausted";
  if (standing !== "aborted" && !isAfter && !isEnded) return undefined;
  const reason: WaitReason = {
    code: "sequenceAborted",
    text: `A job before it in ${fromText(deciding.intent)} failed, and its sequence ends then (-8888).`,
    endsWhen: "the failed job is started anew",
    sinceMs: record?.atMs ?? createdMs,
  };
  // D4: only jobs that exist by themselves fail; those of a rule are skipped.
  return { kind: "held", state: source === "container" ? "failed" : "waiting", reasons: [reason] };
}

function failedVerdict({ standing, record, known }: Judged): Verdict | undefined {
  if (record === undefined) return undefined;
  if (standing === "exhausted") {
    return {
      kind: "held",
      state: "failed",
      reasons: [exhaustedReason(record.attempt, record.atMs)],
    };
  }
  if (standing !== "refused") return undefined;
  const reason: WaitReason = {
    code: record.state === "conflict" ? "conflict" : "requirement",
    text: `The endpoint itself found ${packageRefText(known)} ${record.state === "conflict" ? "in conflict with what is there" : "incompatible"}.`,
    endsWhen: "the attempts are started anew or the desired state changes",
    sinceMs: record.atMs,
  };
  return { kind: "held", state: record.state, reasons: [reason] };
}

export function exhaustedReason(attempts: number, sinceMs: number): WaitReason {
  return {
    code: "attemptsExhausted",
    text: `${attempts} of ${attempts} attempts failed.`,
    endsWhen: "the attempts are started anew or the desired state changes",
    sinceMs,
  };
}

function holdVerdict({ deciding }: Judged): Verdict | undefined {
  const { hold } = deciding;
  if (hold === undefined) return undefined;
  const state = hold.code === "expired" ? "expired" : "waiting";
  return { kind: "held", state, reasons: [hold] };
}

function ableVerdict(
  { operation, known, deciding }: Judged,
  { input }: Grounds,
): Verdict | undefined {
  const sinceMs = deciding.intent.createdMs;
  const name = packageRefText(known);
  const [verb, command] =
    operation === "uninstall"
      ? (["uninstalled", known.rules.uninstall] as const)
      : (["launched", known.rules.onLaunch] as const);
  if (operation !== "install" && command === undefined) {
    const text = `${name} cannot be ${verb}: its publisher gave no command for it.`;
    const endsWhen = "it is published with one";
    const code = operation === "uninstall" ? "uninstallImpossible" : "requirement";
    return { kind: "held", state: "failed", reasons: [{ code, text, endsWhen, sinceMs }] };
  }
  const unmet = operation === "uninstall" ? undefined : unmetRequirement(known, input);
  if (unmet === undefined) return undefined;
  const reason: WaitReason = {
    code: "requirement",
    text: `${name} does not fit this endpoint: ${unmet}.`,
    endsWhen: "the endpoint meets the requirement",
    sinceMs,
  };
  return { kind: "held", state: "incompatible", reasons: [reason] };
}

function over(state: JobState, text: string, { record, deciding }: Judged): Verdict {
  const sinceMs = record?.atMs ?? deciding.intent.createdMs;
  return { kind: "over", state, reasons: [satisfiedReason(text, sinceMs)] };
}

export function satisfiedReason(text: string, sinceMs: number): WaitReason {
  return {
    code: "satisfied",
    text,
    endsWhen: "it is wished again or the desired state changes",
    sinceMs,
  };
}
