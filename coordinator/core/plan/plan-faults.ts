/**
 * Why a package cannot be there, or cannot be taken off, as it stands in the chain of reasons of whatever
 * waits for that.
 */
import { packageRefText, type PackageName } from "../../../protocol/ids.ts";
import { ATTEMPT_LIMIT_DEFAULT } from "../../../protocol/limits.ts";
import type { Closure, Fault } from "./dependencies.ts";
import { standingOf } from "./plan-drafts.ts";
import { fromText } from "./plan-identity.ts";
import type { PlanInput, PlanPackage, PlanRecord, WaitReason } from "./plan-model.ts";
import { unmetRequirement } from "./plan-requirements.ts";
import { exhaustedReason } from "./plan-verdicts.ts";
import type { Wish } from "./plan-wishes.ts";

export function conflictFault(
  known: PlanPackage,
  others: readonly { readonly name: PackageName; readonly known: PlanPackage | undefined }[],
): Fault | undefined {
  const { conflicts = [] } = known.rules;
  const other = others.find(
    (one) =>
      one.name !== known.name &&
      (conflicts.includes(one.name) || one.known?.rules.conflicts?.includes(known.name) === true),
  );
  if (other === undefined) return undefined;
  return {
    code: "conflict",
    text: `${packageRefText(known)} and ${other.name} must not be there at the same time.`,
    endsWhen: `${other.name} is removed, and nothing wishes it any more`,
    sinceMs: known.createdMs,
  };
}

/** Why a dependent cannot be installed for itself; undefined where it can. */
export function installFault(
  dependent: PlanPackage,
  {
    record,
    attemptLimit,
  }: { readonly record: PlanRecord | undefined; readonly attemptLimit: number },
  input: PlanInput,
): Fault | undefined {
  const standing = standingOf(record, attemptLimit);
  const name = packageRefText(dependent);
  if (record !== undefined && standing === "exhausted") {
    const reason = exhaustedReason(record.attempt, record.atMs);
    return { ...reason, text: `${name}: ${reason.text}` };
  }
  const unmet =
    standing === "refused"
      ? "the endpoint itself found it incompatible"
      : unmetRequirement(dependent, input);
  if (unmet === undefined) return undefined;
  return {
    code: "requirement",
    text: `${name} does not fit this endpoint: ${unmet}.`,
    endsWhen: "the endpoint meets the requirement",
    sinceMs: dependent.createdMs,
  };
}

/** Why an old version cannot be uninstalled before what takes its place; undefined where it can. */
export function uninstallFault(
  old: PlanPackage,
  record: PlanRecord | undefined,
  { problem }: Closure,
): Fault | undefined {
  const name = packageRefText(old);
  if (record !== undefined && standingOf(record, ATTEMPT_LIMIT_DEFAULT) === "exhausted") {
    const reason = exhaustedReason(record.attempt, record.atMs);
    return { ...reason, text: `${name} cannot be uninstalled: ${reason.text}` };
  }
  if (problem === undefined) return undefined;
  const { path, fault } = problem;
  const text = `${name} cannot be uninstalled without ${path.at(-1)} (${path.join(">")}): ${fault.text}`;
  return { ...fault, text };
}

export function unwantedFault({ intent, ref }: Wish): Fault {
  const text = `${fromText(intent)} wants ${ref.name} gone.`;
  const endsWhen = "one of the wishes is withdrawn or changed";
  return { code: "loop", text, endsWhen, sinceMs: intent.createdMs };
}

export function besideFault(known: PlanPackage, other: string): Fault {
  return {
    code: "conflict",
    text: `${packageRefText(known)} cannot be there beside ${other}.`,
    endsWhen: "one of the wishes is withdrawn or changed",
    sinceMs: known.createdMs,
  };
}

/** The chain of reasons for a primary whose dependents cannot be there (ZEN-9, ZEN-15). */
export function dependencyReasons(
  known: PlanPackage,
  problem: { readonly path: readonly PackageName[]; readonly fault: Fault },
): readonly [WaitReason, WaitReason] {
  const { path, fault } = problem;
  const last = path.at(-1) ?? known.name;
  return [
    {
      code: "dependency",
      text: `${packageRefText(known)} needs ${last} (${path.join(">")}), which cannot be there.`,
      endsWhen: `${last} is installed`,
      sinceMs: fault.sinceMs,
    },
    fault,
  ];
}
