/** Reports of jobs that were not executed, and why. */
import { packageRefText } from "../../protocol/ids.ts";
import { NO_ATTEMPTS, wishKey, isExhausted, afterDrift } from "../core/attempts.ts";
import { SEQUENCE_ABORTED } from "../core/outcome.ts";
import type { VerifiedInstruction } from "../trust/verified-instruction.ts";
import type { JobParts } from "./job-parts.ts";
import { jobReport, type JobFacts } from "./job-report.ts";

/** Of a job that is not prepared: no content, no steps. */
function bareFacts(parts: JobParts, { instruction, ref }: VerifiedInstruction): JobFacts {
  const { site, dp } = parts.placement();
  return {
    endpoint: parts.endpoint,
    ref,
    instruction,
    attempt: (parts.journal.state.records.get(wishKey(instruction)) ?? NO_ATTEMPTS).attempts,
    trace: [],
    bytes: { local: 0, peer: 0, dp: 0, origin: 0 },
    site,
    dp,
  };
}

/** Before an attempt that may turn out to be needless. */
export function nextFacts(parts: JobParts, one: VerifiedInstruction): JobFacts {
  const facts = bareFacts(parts, one);
  return { ...facts, attempt: facts.attempt + 1 };
}

/** OCO-6. */
export async function postExpired(parts: JobParts, one: VerifiedInstruction): Promise<void> {
  const { job, revision } = one.instruction;
  const reason = "its end has passed, and it had not been done";
  const order = parts.outbox.nextOrder();
  const report = jobReport(bareFacts(parts, one), "expired", order, parts.now(), { reason });
  await parts.outbox.post(report, { type: "settled", job, revision, end: "expired" });
}

/** OCO-48: failed without having run, by a code of ours. */
export async function postAborted(
  parts: JobParts,
  one: VerifiedInstruction,
  by: string,
): Promise<void> {
  const { job, revision } = one.instruction;
  const result = {
    outcome: "blocked",
    systemCode: SEQUENCE_ABORTED,
    reason: `not run: ${by} failed before it in a sequence that ends with a failed job`,
  } as const;
  const order = parts.outbox.nextOrder();
  const report = jobReport(bareFacts(parts, one), "failed", order, parts.now(), result);
  await parts.outbox.post(report, { type: "settled", job, revision, end: "aborted" });
}

/** SE-19. */
export async function postDrifted(parts: JobParts, one: VerifiedInstruction): Promise<void> {
  const { job, revision, operation, attemptLimit } = one.instruction;
  const record = afterDrift(
    parts.journal.state.records.get(wishKey(one.instruction)) ?? NO_ATTEMPTS,
  );
  const isSpent = isExhausted(record, attemptLimit);
  const found = operation === "uninstall" ? "is back" : "is no longer there";
  const rest = isSpent ? `after ${record.attempts} attempts it is not done again` : "done again";
  const reason = `${packageRefText(one.ref)} ${found}: ${rest}`;
  const order = parts.outbox.nextOrder();
  const state = isSpent ? "failed" : "waiting";
  const report = jobReport(bareFacts(parts, one), state, order, parts.now(), { reason });
  await parts.outbox.post(report, { type: "drifted", job, revision });
}

/** The content is here; why it is not executed yet. */
export function mentionHeld(parts: JobParts, facts: JobFacts, reason: string): void {
  const tries = { ...facts, attempt: Math.max(0, facts.attempt - 1) };
  parts.outbox.mention(
    jobReport(tries, "waiting", parts.outbox.nextOrder(), parts.now(), { reason }),
  );
}
