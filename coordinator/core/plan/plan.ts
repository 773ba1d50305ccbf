/**
 * The planner: everything that one endpoint shall do, in order, and for the rest why it waits. One evaluator
 * for containers, rules, wishlists, rollouts and deployments, for the preview and for "why not". The same
 * input gives the same output, so an unchanged endpoint keeps its directive.
 */
import { planClock } from "./constraints.ts";
import { draftsOf, standingOf } from "./plan-drafts.ts";
import { entriesOf } from "./plan-entries.ts";
import { exclusionsOf } from "./plan-exclusions.ts";
import { fromText, shortHash } from "./plan-identity.ts";
import { planOf } from "./plan-instructions.ts";
import type { Plan, PlanInput, WaitingJob, WaitReason } from "./plan-model.ts";
import { planPresence } from "./plan-presence.ts";
import { jobsOf, satisfiedReason } from "./plan-verdicts.ts";
import { isSpentOrder, wishesOf, type Wish } from "./plan-wishes.ts";

export function planEndpoint(input: PlanInput, nowMs: number): Plan {
  const real = input.intents.filter(({ isPreview }) => !isPreview);
  const plan = evaluate({ ...input, intents: real }, nowMs);
  if (real.length === input.intents.length) return { ...plan, preview: [] };
  const { preview, changesMs } = previewOf(input, nowMs);
  return { ...plan, preview, changesMs: earlier(plan.changesMs, changesMs) };
}

function earlier(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Math.min(one, other);
}

function evaluate(input: PlanInput, nowMs: number): Omit<Plan, "preview"> {
  const clock = planClock(nowMs);
  const presence = planPresence(input);
  const wishes = wishesOf(input, presence, clock);
  const drafts = draftsOf(wishes, { input, presence });
  const done = new Set(
    drafts
      .filter(({ record }) => standingOf(record, 1) === "done")
      .flatMap((draft) => draft.wishes),
  );
  const isOver = (wish: Wish): boolean => wish.isStatic && done.has(wish);
  const isSpent = (wish: Wish): boolean => isSpentOrder(wish, { presence, isOver });
  const excluded = exclusionsOf(wishes, { input, isOver, isSpent });
  const jobs = jobsOf(drafts, { input, presence, excluded, isSpent });
  const begun = wishes.filter(({ hasBegun }) => hasBegun);
  const free = begun.filter((wish) => !excluded.has(wish) && !isSpent(wish));
  const outcome = entriesOf(jobs, { begun, free }, { input, presence, drafts });
  const { instructions, waiting } = planOf(jobs, outcome, input);
  const unplanned = wishes.flatMap((wish) => unplannedOf(wish, input));
  return { instructions, waiting: [...waiting, ...unplanned], changesMs: clock.changesMs() };
}

/** Wishes that are no jobs: nothing is published, nothing is there to act on, or it is so already. */
function unplannedOf(wish: Wish, { endpoint }: PlanInput): readonly WaitingJob[] {
  const { known, fulfilled, hold, ref, operation, intent } = wish;
  if (known !== undefined && fulfilled === undefined) return [];
  const shared = {
    ref,
    job: `${operation}-${shortHash([endpoint.id, ref.name, ref.version ?? "", fromText(intent)])}`,
    operation,
    from: [fromText(intent)],
  };
  if (fulfilled !== undefined) {
    const reasons = [satisfiedReason(fulfilled, intent.createdMs)];
    const state = operation === "uninstall" ? "succeeded" : "alreadyInstalled";
    return [{ ...shared, state, reasons }];
  }
  const missing: WaitReason = {
    code: "uninstallImpossible",
    text: `${ref.name}@${ref.version} is no longer in the catalog, and nothing is known of how to uninstall it.`,
    endsWhen: "it is published again, or its record is removed",
    sinceMs: intent.createdMs,
  };
  const reason = hold ?? missing;
  const state = hold === undefined ? "failed" : hold.code === "expired" ? "expired" : "waiting";
  return [{ ...shared, state, reasons: [reason] }];
}

/** What disabled rules would add: the plan as if they were enabled (OCO-30). */
function previewOf(input: PlanInput, nowMs: number): Pick<Plan, "preview" | "changesMs"> {
  const previews = input.intents.filter(({ isPreview }) => isPreview);
  const sinceMs = new Map(previews.map((intent) => [fromText(intent), intent.createdMs]));
  const intents = input.intents.map((intent) => ({ ...intent, isPreview: false }));
  const { instructions, waiting, changesMs } = evaluate({ ...input, intents }, nowMs);
  const isPreviewed = ({ from }: { readonly from: readonly string[] }): boolean =>
    from.some((source) => sinceMs.has(source));
  const disabled = (from: readonly string[]): WaitReason => {
    const source = from.find((one) => sinceMs.has(one)) ?? "";
    return {
      code: "disabled",
      text: `${source} is disabled.`,
      endsWhen: "an operator enables it",
      sinceMs: sinceMs.get(source) ?? 0,
    };
  };
  const handedOut = instructions
    .filter(isPreviewed)
    .map(({ ref, job, operation = "install", from }): WaitingJob => ({
      ref,
      job,
      operation,
      from,
      state: "waiting",
      reasons: [disabled(from)],
    }));
  const held = waiting
    .filter(isPreviewed)
    .map((one) => ({ ...one, reasons: [disabled(one.from), ...one.reasons] }));
  return { preview: [...handedOut, ...held], changesMs };
}
