/**
 * Restarts and shutdowns as decisions: what a finished job asks for, and what of two requests counts
 * (OCO-8…OCO-11, OCO-14, D9).
 */
import { Type, type Static } from "typebox";
import type { Instruction } from "../../protocol/directive.ts";
import { RESTART_TIMEOUT_DEFAULT_MIN } from "../../protocol/limits.ts";
import type { Outcome } from "../../protocol/outcome.ts";
import type { PostAction } from "../../protocol/package-rules.ts";

/**
 * `external`: the system has to restart, and somebody else sees to it, an installer that has begun it or
 * a person. Until then nothing more is executed.
 */
export const PowerNeedSchema = Type.Object(
  {
    kind: Type.Enum(["external", "restart", "shutdown"]),
    /** The job that asked for it. */
    job: Type.String({ maxLength: 64 }),
    timeoutMin: Type.Integer({ minimum: 0, maximum: 1440 }),
    /** The system was told. */
    isOrdered: Type.Boolean(),
  },
  { additionalProperties: false },
);
export type PowerNeed = Static<typeof PowerNeedSchema>;

export interface EndedJob {
  readonly job: string;
  readonly outcome: Outcome;
  readonly postAction: PostAction | undefined;
  readonly timeoutMin: number | undefined;
}

/** What one ended attempt asks of the system; undefined: nothing. */
export function powerNeedOf(ended: EndedJob): PowerNeed | undefined {
  const { job, outcome, postAction, timeoutMin = RESTART_TIMEOUT_DEFAULT_MIN } = ended;
  const base = { job, timeoutMin: Math.max(0, timeoutMin), isOrdered: false };
  const isDone =
    outcome === "success" || outcome === "successRebootRequired" || outcome === "rebootInitiated";
  if (!isDone) return undefined;
  // The installer restarts by itself: a second request of ours would only cut it short.
  if (outcome === "rebootInitiated") return { ...base, kind: "external" };
  // OCO-14: a negative time means that we never restart; a system that must be restarted still waits.
  const isOurs = timeoutMin >= 0 && (postAction === "restart" || postAction === "shutdown");
  if (isOurs) return { ...base, kind: postAction };
  return outcome === "successRebootRequired" ? { ...base, kind: "external" } : undefined;
}

/** The shutdown after the last job, where the coordinator says so (OCO-8…OCO-11). */
export function partingOf(
  instruction: Pick<Instruction, "job" | "shutdownAfter" | "restartTimeoutMin">,
): PowerNeed | undefined {
  const { job, shutdownAfter, restartTimeoutMin = RESTART_TIMEOUT_DEFAULT_MIN } = instruction;
  if (shutdownAfter !== true) return undefined;
  return { kind: "shutdown", job, timeoutMin: Math.max(0, restartTimeoutMin), isOrdered: false };
}

const STRENGTH = { external: 0, restart: 1, shutdown: 2 } as const;

/** Of two requests the stronger one counts, with the longer time to save. */
export function mergedNeed(before: PowerNeed | undefined, next: PowerNeed): PowerNeed {
  if (before === undefined) return next;
  const [weaker, stronger] =
    STRENGTH[next.kind] > STRENGTH[before.kind] ? [before, next] : [next, before];
  return { ...stronger, timeoutMin: Math.max(weaker.timeoutMin, stronger.timeoutMin) };
}

/** Minutes until the system goes down: nobody to warn, no time to wait (OCO-14). */
export function powerDelayMin(need: PowerNeed, hasUser: boolean): number {
  return hasUser ? need.timeoutMin : 0;
}
