/** Classes of results: what an exit code, or our own system code, means for the job. */
import { Type, type Static } from "typebox";

/** Class of a result (design 7). */
export const OutcomeSchema = Type.Enum([
  "success",
  "successRebootRequired",
  "rebootInitiated",
  "retryable",
  "failed",
  "blocked",
  "interrupted",
]);
export type Outcome = Static<typeof OutcomeSchema>;

/** System code of a job that did not run because one before it in its sequence failed (OCO-48). */
export const SEQUENCE_ABORTED_CODE = -8888;
