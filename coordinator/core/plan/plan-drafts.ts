/**
 * From wishes to jobs: wishes for the same thing share one job, the job of a container is its own. Each has
 * an id and a revision, and by these what the endpoint has reported of it.
 */
import { packageRefText } from "../../../protocol/ids.ts";
import type { Operation } from "../../../protocol/intent.ts";
import { SEQUENCE_ABORTED_CODE } from "../../../protocol/outcome.ts";
import { isInstalled } from "./installed.ts";
import { fromText, jobIdOf, jobKindOf, revisionOf } from "./plan-identity.ts";
import type { PlanInput, PlanPackage, PlanRecord } from "./plan-model.ts";
import type { PlanPresence } from "./plan-presence.ts";
import { compareWishes, type Wish } from "./plan-wishes.ts";

export type Standing = "open" | "done" | "exhausted" | "aborted" | "refused";

export interface Draft {
  /** Equal for jobs that do the same thing to the same version. */
  readonly key: string;
  readonly operation: Operation;
  readonly known: PlanPackage;
  readonly id: string;
  readonly revision: string;
  /** In the order of D1; the first that is free to act decides. */
  readonly wishes: readonly Wish[];
  /** Of this revision. */
  readonly record: PlanRecord | undefined;
}

interface Grounds {
  readonly input: PlanInput;
  readonly presence: PlanPresence;
}

/** What sets one desired state of a package apart, and what is known of it. */
export type Identity = Pick<Draft, "id" | "revision" | "record">;

export function draftsOf(wishes: readonly Wish[], grounds: Grounds): readonly Draft[] {
  const groups = Map.groupBy(
    wishes.filter(({ known, fulfilled }) => known !== undefined && fulfilled === undefined),
    (wish) => groupKey(wish),
  );
  return [...groups.values()].flatMap((group) => {
    const sorted = group.toSorted(compareWishes);
    const known = sorted[0]?.known;
    return known === undefined ? [] : [draftOf(known, sorted, grounds)];
  });
}

export function operationKey(operation: Operation, known: PlanPackage): string {
  return `${operation} ${packageRefText(known)}`;
}

/** The revision of an install that is not a container's: also of one that only a primary needs. */
export function sharedInstall(
  known: PlanPackage,
  { input, presence }: Grounds,
  wishes: readonly Wish[] = [],
): Identity {
  const id = jobIdOf(input.endpoint.id, known, "perform");
  const begun = wishes.filter(({ hasBegun }) => hasBegun);
  const counted = begun.length === 0 ? wishes : begun;
  const isUpdate =
    counted.length > 0 && counted.every(({ intent }) => intent.ensure === "updateOnly");
  const removedMs = presence.recordOf(known)?.removedMs;
  const revision = revisionOf(known, "perform", [
    ...resetsOf(known, wishes, input),
    ...(isUpdate ? [["ensure", "updateOnly"] as const] : []),
    // What was removed since and is wished again is due again.
    ...(removedMs === undefined ? [] : [["removedMs", removedMs] as const]),
  ]);
  return { id, revision, record: recordOf(input, id, revision) };
}

/** The same for an uninstall: one for each time that it was installed. */
export function sharedUninstall(
  known: PlanPackage,
  { input, presence }: Grounds,
  wishes: readonly Wish[] = [],
): Identity {
  const id = jobIdOf(input.endpoint.id, known, "uninstall");
  const row = presence.recordOf(known);
  const revision = revisionOf(known, "uninstall", [
    ...resetsOf(known, wishes, input),
    ...(row !== undefined && isInstalled(row) ? [["sinceMs", row.sinceMs] as const] : []),
  ]);
  return { id, revision, record: recordOf(input, id, revision) };
}

/** Shared installs that are wished for themselves, by their version: what a primary needs is the same job. */
export function sharedDrafts(drafts: readonly Draft[]): ReadonlyMap<string, Draft> {
  const shared = drafts.filter(
    ({ operation, wishes }) =>
      operation === "install" && wishes.every(({ intent }) => intent.source !== "container"),
  );
  return new Map(shared.map((draft) => [packageRefText(draft.known), draft]));
}

export function standingOf(record: PlanRecord | undefined, attemptLimit: number): Standing {
  if (record === undefined) return "open";
  const { state, systemCode, attempt } = record;
  if (state === "succeeded" || state === "alreadyInstalled") return "done";
  if (state === "incompatible" || state === "conflict") return "refused";
  if (state !== "failed") return "open";
  if (systemCode === SEQUENCE_ABORTED_CODE) return "aborted";
  return attempt >= attemptLimit ? "exhausted" : "open";
}

function groupKey(wish: Wish): string {
  const { known, operation, intent } = wish;
  const key = known === undefined ? "" : operationKey(operation, known);
  return intent.source === "container" ? `${key} ${fromText(intent)} ${intent.createdMs}` : key;
}

function draftOf(known: PlanPackage, wishes: readonly Wish[], grounds: Grounds): Draft {
  const [first] = wishes;
  const operation = first?.operation ?? "install";
  const key = operationKey(operation, known);
  const identity =
    first?.intent.source === "container"
      ? ownIdentity(known, first, grounds)
      : operation === "uninstall"
        ? sharedUninstall(known, grounds, wishes)
        : sharedInstall(known, grounds, wishes);
  return { key, operation, known, wishes, ...identity };
}

/** A container's job runs once, whatever else happens to the package; so do the launches that it needs. */
export function ownIdentity(known: PlanPackage, wish: Wish, { input }: Grounds): Identity {
  const kind = jobKindOf(wish.operation);
  const id = jobIdOf(input.endpoint.id, known, kind, wish.intent);
  const revision = revisionOf(known, kind, resetsOf(known, [wish], input));
  return { id, revision, record: recordOf(input, id, revision) };
}

function resetsOf(
  { name }: PlanPackage,
  wishes: readonly Wish[],
  input: PlanInput,
): readonly (readonly [string, number])[] {
  const counted = wishes.map(({ intent }) => intent.resets);
  const resets = Math.max(input.resets.get(name) ?? 0, ...counted);
  return resets === 0 ? [] : [["resets", resets]];
}

function recordOf({ records }: PlanInput, id: string, revision: string): PlanRecord | undefined {
  const record = records.get(id);
  return record?.revision === revision ? record : undefined;
}
