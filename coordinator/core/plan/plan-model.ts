/**
 * What the planner looks at and what it answers: one normal form for all four sources of intent, so that
 * one evaluator serves the directive, the preview and "why not" (design 6).
 */
import type { SystemFacts } from "../../../protocol/check-in.ts";
import type { Instruction } from "../../../protocol/directive.ts";
import type {
  Digest,
  EndpointId,
  EndpointName,
  PackageName,
  PackageRef,
  PackageVersion,
  SiteName,
} from "../../../protocol/ids.ts";
import type { Ensure, Operation } from "../../../protocol/intent.ts";
import type { PackageRules } from "../../../protocol/package-rules.ts";
import type { DetectedSoftware, JobState } from "../../../protocol/report.ts";

export type IntentSource = "container" | "rule" | "wishlist" | "rollout" | "deployment";

/** A schedule with its defaults filled in and its texts checked; instants in milliseconds. */
export interface PlanSchedule {
  readonly startMs: number | undefined;
  readonly endMs: number | undefined;
  readonly priority: number;
  readonly addressRanges: string | undefined;
  readonly timeFrames: string | undefined;
  readonly zone: string;
  readonly abortsAfterFailed: boolean;
  readonly abortScope: "endpoint" | "container";
  readonly wantsWake: boolean;
  readonly wantsShutdown: boolean;
  readonly restartTimeoutMin: number;
  readonly uninstallsOld: boolean;
  readonly attemptLimit: number;
  readonly precaches: boolean;
  readonly jitterSec: number;
  readonly isPaused: boolean;
}

/** One wish for one package on the endpoint that is planned for. */
export interface Intent {
  readonly source: IntentSource;
  /** Name of the container, rule, rollout, or `packageGroup x endpointGroup`; id of a deployment. */
  readonly name: string;
  readonly package: PackageName;
  /** Undefined: the newest active version, or any for `absent`. */
  readonly version: PackageVersion | undefined;
  readonly ensure: Ensure;
  readonly operation: Operation;
  readonly createdMs: number;
  /** Place in the order of creation of all intents, then inside its own list. */
  readonly order: number;
  readonly sequence: number;
  readonly schedule: PlanSchedule;
  /** Of a disabled rule: listed and never handed out (OCO-30). */
  readonly isPreview: boolean;
  readonly isForced: boolean;
  readonly isPinned: boolean;
  /** Set: held back from outside, such as by a ring that is not open yet. */
  readonly hold: WaitReason | undefined;
  /** Grows when an operator starts the attempts anew; part of the desired revision. */
  readonly resets: number;
}

/** One version of a package as the planner knows it. */
export interface PlanPackage extends PackageRef {
  readonly manifest: Digest;
  readonly isActive: boolean;
  /** 0..10, lower first (OCS-22, OCS-24). */
  readonly level: number;
  readonly hasContent: boolean;
  readonly rules: PackageRules;
  readonly createdMs: number;
}

export interface PlanCatalog {
  readonly get: (ref: PackageRef) => PlanPackage | undefined;
  /** All versions, newest first by the package's version scheme. */
  readonly versions: (name: PackageName) => readonly PlanPackage[];
}

/** What the endpoint last reported of one job. */
export interface PlanRecord extends PackageRef {
  readonly revision: string;
  readonly state: JobState;
  readonly operation: Operation;
  readonly attempt: number;
  readonly atMs: number;
  readonly systemCode: number | undefined;
}

/**
 * The coordinator's belief that a version is on the endpoint (glossary: InstalledRecord), or was: what was
 * removed and is wished again is another desired state than what was never there. Coordinator's clock.
 */
export interface PlanInstalled extends PackageRef {
  readonly sinceMs: number;
  /** When it was last removed; it is there again where `sinceMs` is later. */
  readonly removedMs?: number | undefined;
}

/** What the endpoint found on itself. */
export interface PlanScan {
  readonly software: readonly DetectedSoftware[];
  readonly atMs: number;
  /** Whether what is not listed is not there. */
  readonly isComplete: boolean;
}

export interface PlanEndpoint {
  readonly id: EndpointId;
  readonly name: EndpointName;
  /** Where it is, or its home site while it is nowhere known. */
  readonly site: SiteName;
  readonly role: "agent" | "dp";
  /** As the coordinator saw it; undefined before the first contact. */
  readonly address: string | undefined;
  readonly os: string | undefined;
  readonly arch: string | undefined;
  readonly system: SystemFacts | undefined;
}

export interface PlanInput {
  readonly endpoint: PlanEndpoint;
  readonly intents: readonly Intent[];
  readonly packages: PlanCatalog;
  /** Reports of this endpoint by job id. */
  readonly records: ReadonlyMap<string, PlanRecord>;
  readonly installed: readonly PlanInstalled[];
  /** The last scan of the endpoint; undefined where it never sent one. */
  readonly scan: PlanScan | undefined;
  /** How often an operator started the attempts anew, by package; also of what nobody wishes directly. */
  readonly resets: ReadonlyMap<PackageName, number>;
  /** Maintenance windows of the endpoint's groups: all of them limit execution. */
  readonly windows: readonly {
    readonly name: string;
    readonly frames: string;
    readonly zone: string;
  }[];
  /** Names of containers that a failed job has ended for everybody (D4). */
  readonly abortedContainers: ReadonlySet<string>;
  /** Names of containers for which this endpoint was woken in time (OCO-9…OCO-11). */
  readonly wokenFor: ReadonlySet<string>;
  /** Content that a DP has to hold for its site; empty for agents. */
  readonly replicate: readonly PackageRef[];
}

/** One link of the chain of reasons: why, since when, and what ends it. */
export interface WaitReason {
  readonly code: WaitCode;
  /** A sentence for a person. */
  readonly text: string;
  readonly endsWhen: string;
  /** When it ends by itself, where that is known. */
  readonly endsMs?: number;
  readonly sinceMs: number;
}

export type WaitCode =
  /** Done: the state says how. */
  | "satisfied"
  | "notActive"
  | "noVersion"
  | "disabled"
  | "paused"
  | "beforeStart"
  | "expired"
  | "outsideAddresses"
  | "outsideTimeFrame"
  | "outsideWindow"
  | "ringClosed"
  | "rolloutStopped"
  | "levelZero"
  | "dependency"
  | "requirement"
  | "conflict"
  | "loop"
  | "superseded"
  | "attemptsExhausted"
  | "sequenceAborted"
  | "uninstallImpossible"
  | "rebootPending"
  | "directiveFull"
  | "notPickedUp";

/** A package that is wished for; without a version where `latest` has found none. */
export interface WishedRef {
  readonly name: PackageName;
  readonly version: PackageVersion | undefined;
}

export interface PlannedInstruction extends Instruction {
  readonly ref: PackageRef;
  /** Sources that want it: `rule/nightly`, `container/c1`. */
  readonly from: readonly string[];
}

export interface WaitingJob {
  readonly ref: WishedRef;
  readonly job: string;
  readonly operation: Operation;
  readonly from: readonly string[];
  /** Terminal states (`expired`, `failed`, `incompatible`, `conflict`), `waiting`, or done. */
  readonly state: JobState;
  /** From the outermost to the root cause; never empty. */
  readonly reasons: readonly WaitReason[];
}

export interface Plan {
  readonly instructions: readonly PlannedInstruction[];
  /** Everything that was wished and is not handed out; with what is done and needs nothing. */
  readonly waiting: readonly WaitingJob[];
  /** What disabled rules would add (OCO-30). */
  readonly preview: readonly WaitingJob[];
  /** The plan may change by the passing of time alone at this instant; undefined: never. */
  readonly changesMs: number | undefined;
}
