/** Random packages, dependency graphs and wishes for the laws of the planner. */
import fc from "fast-check";
import type { Intent, PlanPackage } from "../../coordinator/core/plan/plan-model.ts";
import { parsePackageVersion } from "../../protocol/ids.ts";
import type { PackageRules } from "../../protocol/package-rules.ts";
import { known, MONDAY_MS, packageName, PLAIN, LAUNCHABLE, REMOVABLE } from "./plan-world.ts";

const NAMES = ["a/a", "a/b", "a/c", "a/d", "a/e"].map(packageName);
const VERSIONS = ["1", "2", "3"];
const HOUR_MS = 3_600_000;

const range = fc.constantFrom(undefined, "<2", ">=2", "1 || 3", "*");
const name = fc.constantFrom(...NAMES);
const few = <T>(one: fc.Arbitrary<T>, maxLength: number): fc.Arbitrary<T[]> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant<T[]>([]) },
    { weight: 2, arbitrary: fc.array(one, { maxLength }) },
  );

const edge = fc
  .record({ name, versions: range, actionSet: fc.constantFrom("install", "launch", "uninstall") })
  .map(({ versions, ...rest }) => ({ ...rest, ...(versions === undefined ? {} : { versions }) }));
const successor = fc
  .record({ name, versions: range })
  .map(({ versions, ...rest }) => ({ ...rest, ...(versions === undefined ? {} : { versions }) }));

export interface Nature {
  readonly packages: readonly PlanPackage[];
  /** How many of its first tries fail, by version; 9: all. */
  readonly failures: ReadonlyMap<string, number>;
}

const rules: fc.Arbitrary<PackageRules> = fc
  .record({
    isRemovable: fc.boolean(),
    isLaunchable: fc.boolean(),
    isDetected: fc.boolean(),
    isForeign: fc.integer({ min: 0, max: 9 }).map((dice) => dice === 0),
    upgrade: fc.constantFrom(undefined, "explicitUninstall", "replaces", "keep"),
    dependencies: few(edge, 3),
    supersedes: few(successor, 1),
    conflicts: few(name, 1),
  })
  .map(
    ({
      isRemovable,
      isLaunchable,
      isDetected,
      isForeign,
      upgrade,
      dependencies,
      supersedes,
      conflicts,
    }) => ({
      ...(isRemovable ? REMOVABLE : {}),
      ...(isLaunchable ? LAUNCHABLE : {}),
      ...(isDetected ? { detection: [{ kind: "file" as const, path: "x" }] } : {}),
      ...(isForeign ? { requirements: { os: ["win32" as const] } } : {}),
      ...(upgrade === undefined ? {} : { upgrade }),
      ...(dependencies.length === 0 ? {} : { dependencies }),
      ...(supersedes.length === 0 ? {} : { supersedes }),
      ...(conflicts.length === 0 ? {} : { conflicts }),
    }),
  );

const version = (text: string): fc.Arbitrary<{ one: PlanPackage; failures: number }> =>
  fc
    .record({
      rules,
      level: fc.constantFrom(5, 5, 5, 5, 3, 0),
      isActive: fc.integer({ min: 0, max: 9 }).map((dice) => dice > 0),
      hasContent: fc.boolean(),
      failures: fc.constantFrom(0, 0, 0, 0, 1, 2, 9),
    })
    .map(({ failures, ...more }) => ({ one: known(text, more), failures }));

export const nature: fc.Arbitrary<Nature> = fc
  .tuple(...NAMES.flatMap((text) => VERSIONS.map((number) => version(`${text}@${number}`))))
  .map((all) => ({
    packages: all.map(({ one }) => one),
    failures: new Map(all.map(({ one, failures }) => [`${one.name}@${one.version}`, failures])),
  }));

const schedule = fc.record({
  priority: fc.constantFrom(0, 0, 0, 5, -5),
  attemptLimit: fc.integer({ min: 1, max: 3 }),
  uninstallsOld: fc.integer({ min: 0, max: 4 }).map((dice) => dice > 0),
  abortsAfterFailed: fc.boolean(),
  isPaused: fc.integer({ min: 0, max: 9 }).map((dice) => dice === 0),
  startMs: fc.constantFrom(undefined, undefined, undefined, MONDAY_MS + 2 * HOUR_MS),
  endMs: fc.constantFrom(undefined, undefined, undefined, MONDAY_MS + 4 * HOUR_MS),
  timeFrames: fc.constantFrom(undefined, undefined, undefined, "6:00-7:00", "8:00-12:00"),
});

/** Names tell the wishes apart, so that each can be found again in a plan. */
export const wishes: fc.Arbitrary<readonly Intent[]> = fc
  .array(
    fc.record({
      name,
      version: fc.constantFrom(undefined, ...VERSIONS.map(parsePackageVersion)),
      ensure: fc.constantFrom("present", "present", "present", "latest", "updateOnly", "absent"),
      source: fc.constantFrom("rule", "wishlist", "rollout", "container", "deployment"),
      isPreview: fc.integer({ min: 0, max: 9 }).map((dice) => dice === 0),
      isLaunched: fc.integer({ min: 0, max: 2 }).map((dice) => dice === 0),
      schedule,
    }),
    { minLength: 1, maxLength: 7 },
  )
  .map((all) =>
    all.map(
      (
        { name: wished, version: asked, source, ensure, isPreview, isLaunched, schedule: times },
        at,
      ): Intent => {
        const isSingle = source === "container" || source === "deployment";
        const present = source === "container" && isLaunched ? "launch" : "install";
        const state = isSingle && ensure !== "absent" ? "present" : ensure;
        return {
          source,
          name: `w${at}`,
          package: wished,
          version: isSingle ? (asked ?? parsePackageVersion("1")) : asked,
          ensure: state,
          operation: state === "absent" ? "uninstall" : present,
          createdMs: at + 1,
          order: at,
          sequence: at,
          isPreview: isPreview && source === "rule",
          isForced: false,
          isPinned: false,
          hold: undefined,
          resets: 0,
          schedule: { ...PLAIN, ...times },
        };
      },
    ),
  );

/** Versions that were there before, one of a name. */
export const inventory: fc.Arbitrary<readonly string[]> = fc
  .array(fc.tuple(name, fc.constantFrom(...VERSIONS)), { maxLength: 3 })
  .map((all) => [...new Map(all).entries()].map(([one, number]) => `${one}@${number}`));
