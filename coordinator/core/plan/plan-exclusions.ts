/**
 * Which wishes may not act because of others: contradictions hold all that take part (OCO-34), a later order
 * overtakes an older one, a package that takes another's place holds back the wish for that one.
 */
import { packageRefText, type PackageRef } from "../../../protocol/ids.ts";
import { isSameVersion, versionRevision } from "../../../protocol/version-order.ts";
import { closureOf } from "./dependencies.ts";
import { contradictionText, isSuperseded, type Claim } from "./loops.ts";
import { fromText } from "./plan-identity.ts";
import type { PlanInput, PlanPackage, WaitReason } from "./plan-model.ts";
import { unmetRequirement } from "./plan-requirements.ts";
import { compareCreation, type Wish } from "./plan-wishes.ts";

/** What a wish may not act for. */
export type Exclusions = ReadonlyMap<Wish, WaitReason>;

interface Grounds {
  readonly input: PlanInput;
  /** Runs once and has run. */
  readonly isOver: (wish: Wish) => boolean;
  /** Has run, and what it did was undone since: it has no say any more. */
  readonly isSpent: (wish: Wish) => boolean;
}

export function exclusionsOf(wishes: readonly Wish[], grounds: Grounds): Exclusions {
  const excluded = new Map<Wish, WaitReason>();
  const inForce = wishes.filter(({ hasBegun }) => hasBegun);
  const begun = inForce.filter((wish) => !grounds.isSpent(wish));
  const kept = begun.filter(({ isStatic }) => !isStatic);
  const single = begun.filter(({ isStatic }) => isStatic);
  const isFree = (wish: Wish): boolean => !excluded.has(wish);

  excludeContradicting(kept, grounds, excluded);
  excludeOvertaken(
    inForce.filter(({ isStatic }) => isStatic),
    grounds,
    excluded,
  );
  excludeAgainstKept(single.filter(isFree), kept.filter(isFree), grounds, excluded);
  excludeOldProcedures(begun.filter(isFree), excluded);
  excludeSuperseded(begun.filter(isFree), grounds, excluded);
  excludeNeeded(begun, grounds, excluded);
  return excluded;
}

function excludeContradicting(
  kept: readonly Wish[],
  { input }: Grounds,
  excluded: Map<Wish, WaitReason>,
): void {
  for (const [at, one] of kept.entries()) {
    for (const other of kept.slice(at + 1)) {
      const text = contradictionText(claim(one), claim(other), input.packages);
      if (text === undefined) continue;
      hold(one, text, excluded);
      hold(other, text, excluded);
    }
  }
}

function hold(wish: Wish, text: string, excluded: Map<Wish, WaitReason>): void {
  if (!excluded.has(wish)) excluded.set(wish, loopReason(text, wish));
}

/** Of orders that run once, the latest one about a package counts, also when it has had its time. */
function excludeOvertaken(
  single: readonly Wish[],
  { input }: Grounds,
  excluded: Map<Wish, WaitReason>,
): void {
  const inOrder = single.toSorted((one, other) => compareCreation(one.intent, other.intent));
  for (const [at, one] of inOrder.entries()) {
    const later = inOrder
      .slice(at + 1)
      .find((other) => contradictionText(claim(one), claim(other), input.packages) !== undefined);
    if (later !== undefined) excluded.set(one, supersededReason(later, one));
  }
}

/** A single order against a state that is kept up would be undone at once. */
function excludeAgainstKept(
  single: readonly Wish[],
  kept: readonly Wish[],
  { input }: Grounds,
  excluded: Map<Wish, WaitReason>,
): void {
  for (const one of single) {
    for (const other of kept) {
      const text = contradictionText(claim(one), claim(other), input.packages);
      if (text === undefined) continue;
      excluded.set(one, loopReason(text, one));
      break;
    }
  }
}

/** OCO-33: of two procedures of one version, the newer one is used. */
function excludeOldProcedures(begun: readonly Wish[], excluded: Map<Wish, WaitReason>): void {
  const installs = Map.groupBy(
    begun.filter(({ operation, known }) => operation === "install" && known !== undefined),
    ({ ref }) => ref.name,
  );
  for (const group of installs.values()) {
    for (const one of group) {
      const newer = group.find((other) => isNewerProcedure(other, one));
      if (newer !== undefined) excluded.set(one, supersededReason(newer, one));
    }
  }
}

function isNewerProcedure({ known: newer }: Wish, { known: older }: Wish): boolean {
  return (
    newer !== undefined &&
    older !== undefined &&
    isSameVersion(newer.version, older.version) &&
    versionRevision(newer.version) > versionRevision(older.version)
  );
}

function excludeSuperseded(
  begun: readonly Wish[],
  { input }: Grounds,
  excluded: Map<Wish, WaitReason>,
): void {
  const present = begun.filter(({ operation }) => operation !== "uninstall");
  const able = present.filter(
    ({ known }) =>
      known?.rules.supersedes !== undefined && unmetRequirement(known, input) === undefined,
  );
  for (const one of present) {
    const by = able.find(
      (other) =>
        one.known !== undefined &&
        other.known !== undefined &&
        other.known.name !== one.known.name &&
        isSuperseded(one.known, other.known, input.packages),
    );
    if (by !== undefined) excluded.set(one, supersededReason(by, one));
  }
}

/** Nothing is taken off that something else, which is to be there, depends on. */
function excludeNeeded(
  begun: readonly Wish[],
  { input, isOver }: Grounds,
  excluded: Map<Wish, WaitReason>,
): void {
  const absent = begun.filter(
    (wish) => wish.operation === "uninstall" && wish.known !== undefined && !excluded.has(wish),
  );
  if (absent.length === 0) return;
  const needed: { readonly by: PlanPackage; readonly from: string; readonly ref: PackageRef }[] =
    [];
  for (const wish of begun) {
    if (wish.operation === "uninstall" || wish.known === undefined) continue;
    if (excluded.has(wish) || isOver(wish)) continue;
    const from = fromText(wish.intent);
    const { below } = closureOf(wish.known, input.packages);
    for (const ref of below) needed.push({ by: wish.known, from, ref });
  }
  for (const wish of absent) {
    const { version } = wish.intent;
    const need = needed.find(
      ({ ref }) =>
        ref.name === wish.ref.name &&
        (version === undefined || isSameVersion(version, ref.version)),
    );
    if (need === undefined) continue;
    const primary = `${packageRefText(need.by)} of ${need.from}`;
    const text = `${fromText(wish.intent)} wants ${wish.ref.name} gone, and ${primary} needs it.`;
    excluded.set(wish, loopReason(text, wish));
  }
}

function claim({ intent, known }: Wish): Claim {
  return { intent, known: intent.ensure === "absent" ? undefined : known };
}

function loopReason(text: string, { intent }: Wish): WaitReason {
  const endsWhen = "one of the wishes is withdrawn or changed";
  return { code: "loop", text, endsWhen, sinceMs: intent.createdMs };
}

function supersededReason(by: Wish, { intent }: Wish): WaitReason {
  const what = by.known === undefined ? by.ref.name : packageRefText(by.known);
  const verb = by.operation === "uninstall" ? "uninstalls" : "installs";
  return {
    code: "superseded",
    text: `${fromText(by.intent)} ${verb} ${what}, which takes the place of this.`,
    endsWhen: `${fromText(by.intent)} is withdrawn`,
    sinceMs: Math.max(by.intent.createdMs, intent.createdMs),
  };
}
