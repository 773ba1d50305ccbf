/**
 * What excludes what: wishes that would undo each other for ever (OCO-34), and packages that take the place
 * of others. Nothing is handed out for the contradicting ones, so no sequence of runs can loop.
 */
import { packageRefText, type PackageRef } from "../../../protocol/ids.ts";
import {
  inVersionRange,
  isSameVersion,
  parseVersionRange,
} from "../../../protocol/version-order.ts";
import { fromText, isStaticSource } from "./plan-identity.ts";
import { wishedVersion } from "./plan-wishes.ts";
import type { Intent, PlanCatalog, PlanPackage } from "./plan-model.ts";

/** Advice of ConfigMgr and its like: longer chains are mistakes. */
export const SUPERSEDENCE_MAX = 5;

export interface Contradiction {
  readonly text: string;
  readonly intents: readonly Intent[];
}

/** One wish, as far as it can exclude another. */
export interface Claim {
  readonly intent: Intent;
  readonly known: PlanPackage | undefined;
}

/**
 * Pairs of wishes that would install and uninstall in turns: of rules, wishlists and rollouts, which are
 * kept up. What runs once is left out.
 */
export function contradictions(
  intents: readonly Intent[],
  packages: PlanCatalog,
): readonly Contradiction[] {
  const claims = intents
    .filter(({ source }) => !isStaticSource(source))
    .map((intent) => claimOf(intent, packages));
  const found: Contradiction[] = [];
  for (const [at, one] of claims.entries()) {
    for (const other of claims.slice(at + 1)) {
      const text = contradictionText(one, other, packages);
      if (text !== undefined) found.push({ text, intents: [one.intent, other.intent] });
    }
  }
  return found;
}

export function claimOf(intent: Intent, packages: PlanCatalog): Claim {
  const known = intent.ensure === "absent" ? undefined : wishedVersion(intent, packages);
  return { intent, known };
}

/** Why two wishes cannot both be kept up, as a sentence; undefined where they can. */
export function contradictionText(
  one: Claim,
  other: Claim,
  packages: PlanCatalog,
): string | undefined {
  const isAbsent = [one, other].map(({ intent }) => intent.ensure === "absent");
  if (isAbsent[0] === true && isAbsent[1] === true) return undefined;
  if (isAbsent[0] === true) return absenceText(one, other);
  if (isAbsent[1] === true) return absenceText(other, one);
  if (one.known === undefined || other.known === undefined) return undefined;
  const isMutual =
    one.known.name === other.known.name
      ? excludesVersion(one, other.known) || excludesVersion(other, one.known)
      : isSuperseded(one.known, other.known, packages) &&
        isSuperseded(other.known, one.known, packages);
  if (!isMutual) return undefined;
  const [left, right] = [one.known, other.known].map(packageRefText);
  return `${sourcesText(one, other)} want both ${left} and ${right}, and each would uninstall the other again and again.`;
}

/** Whether installing `one` takes `other` off the endpoint. */
export function removes(
  one: PlanPackage,
  other: PlanPackage,
  packages: PlanCatalog,
  uninstallsOld: boolean,
): boolean {
  if (one.name !== other.name) return isSuperseded(other, one, packages);
  return !isSameVersion(one.version, other.version) && takesPlaceOf(one, other, uninstallsOld);
}

/** Whether `by` takes the place of `known`, itself or over others that it supersedes. */
export function isSuperseded(known: PackageRef, by: PlanPackage, packages: PlanCatalog): boolean {
  // Versions of one package are a matter of its upgrade behaviour, also where a circle leads back to it.
  if (by.rules.supersedes === undefined || by.name === known.name) return false;
  const seen = new Set([packageRefText(by)]);
  let generation: readonly PlanPackage[] = [by];
  for (let depth = 0; depth < SUPERSEDENCE_MAX && generation.length > 0; depth++) {
    if (generation.some((one) => supersedesDirectly(one, known, packages))) return true;
    generation = generation
      .flatMap((one) => nextGeneration(one, packages))
      .filter((one) => !seen.has(packageRefText(one)));
    for (const one of generation) seen.add(packageRefText(one));
  }
  return false;
}

function excludesVersion({ intent, known }: Claim, other: PlanPackage): boolean {
  return (
    known !== undefined &&
    !isSameVersion(known.version, other.version) &&
    takesPlaceOf(known, other, intent.schedule.uninstallsOld)
  );
}

/** Of two versions: by its own installer, by an uninstall before it, or because it is installed over it. */
function takesPlaceOf({ rules }: PlanPackage, old: PlanPackage, uninstallsOld: boolean): boolean {
  const upgrade = rules.upgrade ?? "explicitUninstall";
  if (upgrade !== "explicitUninstall") return upgrade === "replaces";
  return uninstallsOld || old.rules.uninstall === undefined;
}

function absenceText(absent: Claim, present: Claim): string | undefined {
  const { package: name, version } = absent.intent;
  if (present.intent.package !== name || present.known === undefined) return undefined;
  if (version !== undefined && !isSameVersion(version, present.known.version)) return undefined;
  return `${fromText(present.intent)} wants ${packageRefText(present.known)} and ${fromText(absent.intent)} wants it gone.`;
}

function sourcesText(one: Claim, other: Claim): string {
  const [left, right] = [fromText(one.intent), fromText(other.intent)];
  return left === right ? left : `${left} and ${right}`;
}

function supersedesDirectly(
  { rules, name }: PlanPackage,
  known: PackageRef,
  packages: PlanCatalog,
): boolean {
  if (rules.supersedes === undefined || name === known.name) return false;
  const scheme = packages.get(known)?.rules.versionScheme ?? "numbers";
  return rules.supersedes.some(
    (edge) =>
      edge.name === known.name &&
      (edge.versions === undefined ||
        inVersionRange(parseVersionRange(edge.versions), scheme, known.version)),
  );
}

function nextGeneration(one: PlanPackage, packages: PlanCatalog): readonly PlanPackage[] {
  const { supersedes = [] } = one.rules;
  return supersedes.flatMap(({ name }) =>
    packages.versions(name).filter((other) => supersedesDirectly(one, other, packages)),
  );
}
