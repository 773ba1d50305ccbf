/**
 * From intents to wishes: which exact version is meant, what is there already, and what holds the wish back
 * for itself. Everything about several wishes at once comes later.
 */
import type { Operation } from "../../../protocol/intent.ts";
import type { PackageRef } from "../../../protocol/ids.ts";
import { compareVersions } from "../../../protocol/version-order.ts";
import { beganMs, holdOf, isTransient, sourceText, type PlanClock } from "./constraints.ts";
import { isInstalled } from "./installed.ts";
import { isStaticSource } from "./plan-identity.ts";
import type { PlanPresence } from "./plan-presence.ts";
import type {
  Intent,
  PlanCatalog,
  PlanInput,
  PlanPackage,
  WaitReason,
  WishedRef,
} from "./plan-model.ts";

export interface Wish {
  readonly intent: Intent;
  readonly operation: Operation;
  readonly ref: WishedRef;
  /** Undefined: the catalog has no such version. */
  readonly known: PlanPackage | undefined;
  /** Runs once, then it is over. */
  readonly isStatic: boolean;
  readonly hold: WaitReason | undefined;
  /** In force, perhaps outside its hours just now: it has a say in what excludes what. */
  readonly hasBegun: boolean;
  /** Set: there is nothing to do, and why. */
  readonly fulfilled: string | undefined;
}

interface Resolved {
  readonly ref: WishedRef;
  readonly known: PlanPackage | undefined;
  readonly hold?: WaitReason;
  readonly fulfilled?: string;
}

export function wishesOf(
  input: PlanInput,
  presence: PlanPresence,
  clock: PlanClock,
): readonly Wish[] {
  return input.intents.flatMap((intent) =>
    resolve(intent, input.packages, presence).map((resolved): Wish => {
      const { ref, known, fulfilled } = resolved;
      const hold = resolved.hold ?? holdOf(intent, input, clock);
      return {
        intent,
        ref,
        known,
        hold,
        fulfilled,
        operation: intent.ensure === "absent" ? "uninstall" : intent.operation,
        isStatic: isStaticSource(intent.source),
        hasBegun: hold === undefined || isTransient(hold),
      };
    }),
  );
}

/** The version that a wish for presence means; undefined where the catalog has none. */
export function wishedVersion(
  { package: name, version }: Pick<Intent, "package" | "version">,
  packages: PlanCatalog,
): PlanPackage | undefined {
  if (version !== undefined) return packages.get({ name, version });
  const versions = packages.versions(name);
  return versions.find(({ isActive }) => isActive) ?? versions[0];
}

/**
 * A single order that has run, and whose package was changed since: it has no say any more. A container's job
 * is its own, so its report tells; one of a deployment is shared, so the package's last removal tells.
 */
export function isSpentOrder(
  wish: Wish,
  {
    presence,
    isOver,
  }: { readonly presence: PlanPresence; readonly isOver: (wish: Wish) => boolean },
): boolean {
  const { isStatic, known, intent } = wish;
  const row = known === undefined ? undefined : presence.recordOf(known);
  if (!isStatic || row?.removedMs === undefined) return false;
  if (intent.source === "container") return isOver(wish) && !isInstalled(row);
  return row.removedMs >= beganMs(intent);
}

/** D1: deploymentPriority, package level, creation, sequence. */
export function compareWishes(one: Wish, other: Wish): number {
  const [a, b] = [one.intent, other.intent];
  return (
    b.schedule.priority - a.schedule.priority ||
    (one.known?.level ?? 0) - (other.known?.level ?? 0) ||
    compareCreation(a, b) ||
    compareText(`${one.ref.name}@${one.ref.version}`, `${other.ref.name}@${other.ref.version}`)
  );
}

export function compareCreation(one: Intent, other: Intent): number {
  return (
    one.createdMs - other.createdMs ||
    one.order - other.order ||
    one.sequence - other.sequence ||
    compareText(one.name, other.name)
  );
}

export function compareText(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

function resolve(
  intent: Intent,
  packages: PlanCatalog,
  presence: PlanPresence,
): readonly Resolved[] {
  return intent.ensure === "absent"
    ? absentVersions(intent, packages, presence)
    : [presentVersion(intent, packages, presence)];
}

/** D8: only what is there is taken off, each version by a job of its own. */
function absentVersions(
  { package: name, version, isForced }: Intent,
  packages: PlanCatalog,
  presence: PlanPresence,
): readonly Resolved[] {
  if (version !== undefined) {
    const ref: PackageRef = { name, version };
    const known = packages.get(ref);
    const isThere = presence.has(ref);
    return [{ ref, known, ...(isThere || isForced ? {} : { fulfilled: notThere(ref) }) }];
  }
  const there = presence.versionsOf(name);
  if (there.length === 0) {
    const ref = { name, version: undefined };
    return [{ ref, known: undefined, fulfilled: notThere(ref) }];
  }
  return there.map((ref) => ({ ref, known: packages.get(ref) }));
}

function notThere({ name, version }: WishedRef): string {
  return `${name}${version === undefined ? "" : `@${version}`} is not installed.`;
}

function presentVersion(intent: Intent, packages: PlanCatalog, presence: PlanPresence): Resolved {
  const { package: name, createdMs } = intent;
  const known = wishedVersion(intent, packages);
  if (known === undefined) {
    const ref = { name, version: intent.version };
    const text = `${sourceText(intent)} wishes ${name}${intent.version === undefined ? "" : `@${intent.version}`}, which is not published.`;
    const endsWhen = "it is published and activated";
    return { ref, known, hold: { code: "noVersion", text, endsWhen, sinceMs: createdMs } };
  }
  const ref = { name, version: known.version };
  const fulfilled = nothingNewer(intent, known, presence);
  if (fulfilled !== undefined) return { ref, known, fulfilled };
  if (known.isActive) return { ref, known };
  const text = `${name}@${known.version} is not activated.`;
  const endsWhen = "an operator activates it";
  return { ref, known, hold: { code: "notActive", text, endsWhen, sinceMs: createdMs } };
}

/** Why `latest` and `updateOnly` have nothing to do here; undefined where they may have. */
function nothingNewer(
  { ensure, version, isForced }: Intent,
  known: PlanPackage,
  presence: PlanPresence,
): string | undefined {
  const there = presence.versionsOf(known.name);
  if (ensure === "updateOnly" && there.length === 0 && presence.isSureOf(known.name)) {
    return `${known.name} is not installed, and only what is there is updated.`;
  }
  if (version !== undefined || ensure === "present" || isForced) return undefined;
  const scheme = known.rules.versionScheme ?? "numbers";
  const newer = there.find((other) => compareVersions(scheme, other.version, known.version) > 0);
  return newer === undefined ? undefined : `${known.name}@${newer.version} is there and newer.`;
}
