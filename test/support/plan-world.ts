/** Small worlds for the planner: packages, wishes and one endpoint, each with sensible defaults. */
import { planEndpoint } from "../../coordinator/core/plan/plan.ts";
import { installedAfter } from "../../coordinator/core/plan/installed.ts";
import type {
  Intent,
  Plan,
  PlanCatalog,
  PlanInput,
  PlanInstalled,
  PlannedInstruction,
  PlanPackage,
  PlanRecord,
  PlanSchedule,
  WaitingJob,
} from "../../coordinator/core/plan/plan-model.ts";
import {
  endpointIdOf,
  packageRefText,
  parseDigest,
  parseEndpointName,
  parsePackageRef,
  parseSiteName,
  type PackageName,
  type PackageRef,
} from "../../protocol/ids.ts";
import type { PackageRules } from "../../protocol/package-rules.ts";
import type { JobState } from "../../protocol/report.ts";
import { compareVersions } from "../../protocol/version-order.ts";
import { UNINSTALL } from "./uninstall.ts";

/** A Monday, 6:30 UTC. */
export const MONDAY_MS = Date.UTC(2026, 10, 16, 6, 30);
export const ENDPOINT = endpointIdOf(new Uint8Array(32).fill(1));

export const PLAIN: PlanSchedule = {
  startMs: undefined,
  endMs: undefined,
  priority: 0,
  addressRanges: undefined,
  timeFrames: undefined,
  zone: "UTC",
  abortsAfterFailed: false,
  abortScope: "container",
  wantsWake: false,
  wantsShutdown: false,
  restartTimeoutMin: 20,
  uninstallsOld: true,
  attemptLimit: 3,
  precaches: false,
  jitterSec: 0,
  isPaused: false,
};

/** An uninstall command, as almost every package has one. */
export const REMOVABLE: PackageRules = { uninstall: UNINSTALL };
export const LAUNCHABLE: PackageRules = { onLaunch: UNINSTALL };

export function known(text: string, more: Partial<PlanPackage> = {}): PlanPackage {
  const ref = parsePackageRef(text);
  return {
    ...ref,
    manifest: parseDigest(Buffer.from(text).toString("hex").padEnd(64, "0").slice(0, 64)),
    isActive: true,
    level: 5,
    hasContent: true,
    rules: REMOVABLE,
    createdMs: 0,
    ...more,
  };
}

/** `more` on top of an uninstall command. */
export function ruled(
  text: string,
  rules: PackageRules,
  more: Partial<PlanPackage> = {},
): PlanPackage {
  return known(text, { rules: { ...REMOVABLE, ...rules }, ...more });
}

/** Edges of the action set "install": `needs("a/b", "a/c >=2")`. */
export function needs(...edges: readonly string[]): PackageRules {
  return {
    dependencies: edges.map((edge) => {
      const [name = "", ...range] = edge.split(" ");
      const { name: parsed } = parsePackageRef(`${name}@0`);
      const versions = range.join(" ");
      return { name: parsed, actionSet: "install", ...(versions === "" ? {} : { versions }) };
    }),
  };
}

let created = 0;

/** `acme/app@1` or `acme/app` for the newest; created one after the other. */
export function wish(
  text: string,
  more: Partial<Omit<Intent, "schedule">> & { readonly schedule?: Partial<PlanSchedule> } = {},
): Intent {
  const { name, version } = parsePackageRef(text.includes("@") ? text : `${text}@0`);
  const order = ++created;
  return {
    source: "rule",
    name: "r",
    package: name,
    version: text.includes("@") ? version : undefined,
    ensure: more.operation === "uninstall" ? "absent" : "present",
    operation: more.ensure === "absent" ? "uninstall" : "install",
    createdMs: order,
    order,
    sequence: 0,
    isPreview: false,
    isForced: false,
    isPinned: false,
    hold: undefined,
    resets: 0,
    ...more,
    schedule: { ...PLAIN, ...more.schedule },
  };
}

/** A job of a container. */
export function job(text: string, name: string, more: Parameters<typeof wish>[1] = {}): Intent {
  return wish(text, { source: "container", name, ...more });
}

export function catalogOf(packages: readonly PlanPackage[]): PlanCatalog {
  const byRef = new Map(packages.map((one) => [packageRefText(one), one]));
  const byName = Map.groupBy(packages, ({ name }) => name);
  return {
    get: (ref) => byRef.get(packageRefText(ref)),
    versions: (name) =>
      (byName.get(name) ?? []).toSorted((one, other) =>
        compareVersions(one.rules.versionScheme ?? "numbers", other.version, one.version),
      ),
  };
}

export function world(
  packages: readonly PlanPackage[],
  intents: readonly Intent[],
  more: Partial<PlanInput> = {},
): PlanInput {
  return {
    endpoint: {
      id: ENDPOINT,
      name: parseEndpointName("pc"),
      site: parseSiteName("berlin"),
      role: "agent",
      address: "10.1.0.5",
      os: "linux",
      arch: "x64",
      system: {
        osName: "Debian",
        osVersion: "12.5",
        isServer: false,
        memoryBytes: 8 * 2 ** 30,
        freeDiskGb: 100,
        bootMs: 0,
        hasUser: false,
        macs: [],
      },
    },
    intents,
    packages: catalogOf(packages),
    records: new Map(),
    installed: [],
    resets: new Map(),
    scan: undefined,
    windows: [],
    abortedContainers: new Set(),
    wokenFor: new Set(),
    replicate: [],
    ...more,
  };
}

export function planAt(input: PlanInput, nowMs: number = MONDAY_MS): Plan {
  return planEndpoint(input, nowMs);
}

/** `uninstall acme/app@1`, `acme/app@2`, `cache acme/x@1`. */
export function steps({ instructions }: Pick<Plan, "instructions">): readonly string[] {
  return instructions.map(stepText);
}

export function stepText({ ref, operation, purpose }: PlannedInstruction): string {
  const verb = purpose === "perform" ? (operation ?? "") : purpose;
  return `${verb} ${packageRefText(ref)}`.trim();
}

export function waitingFor(plan: Pick<Plan, "waiting">, name: string): WaitingJob | undefined {
  return plan.waiting.find(({ ref }) => `${ref.name}@${ref.version}` === name || ref.name === name);
}

export function codes(plan: Pick<Plan, "waiting">, name: string): readonly string[] {
  return waitingFor(plan, name)?.reasons.map(({ code }) => code) ?? [];
}

/** The endpoint's report of one instruction, as the coordinator records it. */
export function reported(
  input: PlanInput,
  instruction: PlannedInstruction,
  state: JobState,
  more: { readonly attempt?: number; readonly nowMs?: number; readonly systemCode?: number } = {},
): PlanInput {
  const { ref, job: id, revision, operation = "install" } = instruction;
  const { attempt = 1, nowMs = MONDAY_MS, systemCode } = more;
  const record: PlanRecord = {
    ...ref,
    revision,
    state,
    operation,
    attempt,
    systemCode,
    atMs: nowMs,
  };
  const records = new Map(input.records).set(id, record);
  const rulesOf = (one: PackageRef): PackageRules | undefined => input.packages.get(one)?.rules;
  const done = { ref, operation, state };
  const installed =
    instruction.purpose === "perform"
      ? installedAfter(input.installed, done, rulesOf, nowMs)
      : input.installed;
  return { ...input, records, installed };
}

/** Everything that is handed out succeeds, in order. */
export function succeed(input: PlanInput, nowMs: number = MONDAY_MS): PlanInput {
  return planAt(input, nowMs).instructions.reduce(
    (before, instruction) => reported(before, instruction, "succeeded", { nowMs }),
    input,
  );
}

export function row(text: string, sinceMs = 1): PlanInstalled {
  return { ...parsePackageRef(text), sinceMs };
}

export function packageName(text: string): PackageName {
  return parsePackageRef(`${text}@0`).name;
}
