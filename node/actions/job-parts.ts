/**
 * What jobs need of the rest of the node; memory versions of each part serve the tests.
 */
import type { EndpointId, SiteName } from "../../protocol/ids.ts";
import type { Manifest } from "../../protocol/manifest.ts";
import type { JobReport } from "../../protocol/report.ts";
import type { Journal } from "../content/journal.ts";
import type { Exchange, FragmentStore, Refusal } from "../content/ports.ts";
import type { JournalRecord } from "../core/journal-state.ts";
import type { VerifiedInstruction } from "../trust/verified-instruction.ts";

/** Where the node stands, as of the last accepted check-in. */
export interface Placement {
  readonly site: SiteName | undefined;
  readonly dp: EndpointId | undefined;
}

/** Reports on their way to the coordinator. */
export interface ReportSink {
  /** Higher than any order given before, also by earlier processes. */
  nextOrder(): number;
  /** Durable together with `records` when it resolves; delivered at least once. */
  post(report: JobReport, ...records: readonly JournalRecord[]): Promise<void>;
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
  readonly environment: Readonly<Record<string, string>>;
  readonly placement: () => Placement;
  readonly onRefusal: (refusal: Refusal) => void;
  readonly now: () => number;
  /** First pause after a failed attempt or preparation; doubles. */
  readonly retryBaseMs: number;
}
