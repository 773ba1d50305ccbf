/**
 * What jobs need of the rest of the node; memory versions of each part serve the tests.
 */
import type { EndpointId, SiteName } from "../../protocol/ids.ts";
import type { Manifest } from "../../protocol/manifest.ts";
import type { DetectedSoftware, JobReport, RunReport, ScanReport } from "../../protocol/report.ts";
import type { HalfMade } from "../content/half-made.ts";
import type { Journal } from "../content/journal.ts";
import type { LocalPackages } from "../content/local-packages.ts";
import type { ContentCache, Exchange, FragmentStore, Refusal } from "../content/ports.ts";
import type { JournalRecord } from "../core/journal-state.ts";
import type { EndpointFacts } from "../core/requirements.ts";
import type { VerifiedInstruction } from "../trust/verified-instruction.ts";

/** Where the node stands, as of the last accepted check-in. */
export interface Placement {
  readonly site: SiteName | undefined;
  readonly dp: EndpointId | undefined;
  /** As the coordinator sees this node; absent before the first roster. */
  readonly publicAddress?: string;
}

/** The computer under the node. */
export interface Machine {
  /** Changes with every start of the system. */
  bootMark(): Promise<string>;
  /** Whether somebody is logged in, who would lose work. */
  hasUser(): Promise<boolean>;
  facts(): Promise<Omit<EndpointFacts, "inventory"> & { readonly inventory: MachineInventory }>;
  /** What the package databases hold. */
  software(signal: AbortSignal): Promise<readonly DetectedSoftware[]>;
  /** Tells the system to go down after so many minutes. Throws POWER_COMMAND_FAILED. */
  power(kind: "restart" | "shutdown", delayMin: number): Promise<void>;
  /** Ends this process in order and starts it anew. */
  restartAgent(): void;
}

/** What the machine knows of itself; the rest of the inventory is the node's. */
export type MachineInventory = Omit<
  EndpointFacts["inventory"],
  "site" | "address" | "software" | "installed"
>;

/** Reports on their way to the coordinator. */
export interface ReportSink {
  /** Higher than any order given before, also by earlier processes. */
  nextOrder(): number;
  /** Durable together with `records` when it resolves; delivered at least once. */
  post(
    report: JobReport | RunReport | ScanReport,
    ...records: readonly JournalRecord[]
  ): Promise<void>;
  /** Delivered if there is time; a newer report of the job replaces it. */
  mention(report: JobReport): void;
}

export interface JobParts {
  readonly endpoint: EndpointId;
  /** Holds `tmp`, `runs`, `store` and `stored`. */
  readonly dataDir: string;
  readonly journal: Journal;
  readonly outbox: ReportSink;
  readonly manifests: {
    get(digest: VerifiedInstruction["manifestDigest"], signal: AbortSignal): Promise<Buffer>;
    held(digest: VerifiedInstruction["manifestDigest"]): Promise<Buffer | undefined>;
  };
  readonly trust: {
    verifyManifest(bytes: Buffer, instruction: VerifiedInstruction): Manifest;
  };
  readonly exchange: Exchange;
  readonly store: FragmentStore;
  readonly cache: ContentCache;
  /** Files that earlier tries have left half made. */
  readonly halfMade: HalfMade;
  /** Older versions on this machine. */
  readonly packages: LocalPackages;
  readonly freeMemoryBytes: () => number;
  readonly environment: Readonly<Record<string, string>>;
  readonly placement: () => Placement;
  readonly onRefusal: (refusal: Refusal) => void;
  readonly now: () => number;
  /** The coordinator's time, which conditions are written in. */
  readonly clock: () => number;
  /** First pause after a failed attempt or preparation; doubles. */
  readonly retryBaseMs: number;
  /** A fetch without a new byte for so long is given up and tried again. */
  readonly stallMs: number;
  readonly machine: Machine;
  /** A job was acted on, or none is under way any more; for the run (SE-16, SE-17). */
  readonly onActivity: (activity: "acted" | "quiet") => void;
  /** What went wrong on our side, with the words that the report carries (OCO-47). */
  readonly onAgentError: (error: unknown, reason: string) => void;
}
