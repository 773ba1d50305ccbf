/**
 * Reports: what a node did or refused. Delivered at least once, stored once by (endpoint, id).
 */
import { Type, type Static } from "typebox";
import { EnvelopeSchema } from "./dsse.ts";
import { FragmentProofSchema } from "./fragment-proof.ts";
import { TimeMsSchema } from "./field-schemas.ts";
import {
  DigestSchema,
  EndpointIdSchema,
  PackageNameSchema,
  PackageVersionSchema,
  SiteNameSchema,
} from "./ids.ts";
import { parserOf } from "./json.ts";
import { SourceBytesSchema } from "./check-in.ts";
import { OutcomeSchema } from "./outcome.ts";

const closed = { additionalProperties: false } as const;
const ReportId = Type.String({ pattern: "^[0-9A-Za-z-]{1,80}$" });

/** The states of a job (glossary). */
export const JobStateSchema = Type.Enum([
  "waiting",
  "downloading",
  "executing",
  "succeeded",
  "failed",
  "expired",
  "incompatible",
  "conflict",
  "alreadyInstalled",
]);
export type JobState = Static<typeof JobStateSchema>;

/** Steps of the flow in the order they happened; proves BR-5. */
export const TraceStepSchema = Type.Enum([
  "location",
  "dpChosen",
  "manifestVerified",
  /** The last fragment is here and verified. */
  "contentFetched",
  /** The files are put together and verified. */
  "contentVerified",
  "actionStarted",
  "actionEnded",
]);
export type TraceStep = Static<typeof TraceStepSchema>;

export const JobReportSchema = Type.Object(
  {
    kind: Type.Literal("job"),
    id: ReportId,
    endpoint: EndpointIdSchema,
    job: Type.String({ pattern: "^[0-9A-Za-z-]{1,64}$" }),
    revision: Type.String({ pattern: "^[0-9a-f]{16}$" }),
    /** Grows with every report of one job; an older one changes nothing. */
    order: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
    name: PackageNameSchema,
    version: PackageVersionSchema,
    purpose: Type.Enum(["perform", "replicate", "cache"]),
    /** Absent: install. */
    operation: Type.Optional(Type.Enum(["install", "uninstall", "launch"])),
    state: JobStateSchema,
    attempt: Type.Integer({ minimum: 0, maximum: 100 }),
    outcome: Type.Optional(OutcomeSchema),
    /** Result of the process; absent for store and for execute without `captureExitCode` (OCS-31). */
    exitCode: Type.Optional(Type.Integer()),
    /** Our own code, a number space of its own: -9999 agent error (OCO-44). */
    systemCode: Type.Optional(Type.Integer()),
    /** Error code and sentence for a person. */
    reason: Type.Optional(Type.String({ maxLength: 2000 })),
    /** Last part of the command's output, as untrusted text. */
    output: Type.Optional(Type.String({ maxLength: 8192 })),
    atMs: TimeMsSchema,
    trace: Type.Array(
      Type.Object(
        {
          step: TraceStepSchema,
          atMs: TimeMsSchema,
          detail: Type.Optional(Type.String({ maxLength: 200 })),
        },
        closed,
      ),
      { maxItems: 32 },
    ),
    /** Bytes of this job's content by source class. */
    bytes: SourceBytesSchema,
    /** Site of the endpoint while it fetched. */
    site: Type.Optional(SiteNameSchema),
    dp: Type.Optional(EndpointIdSchema),
  },
  closed,
);
export type JobReport = Static<typeof JobReportSchema>;

/** Something was refused: a bad signature, a replay, a peer that serves wrong bytes. */
export const RefusalReportSchema = Type.Object(
  {
    kind: Type.Literal("refusal"),
    id: ReportId,
    endpoint: EndpointIdSchema,
    /** Code of protocol/errors.ts. */
    code: Type.String({ pattern: "^[A-Z_]{3,60}$" }),
    detail: Type.String({ maxLength: 2000 }),
    /** The peer that is accused, where there is one. */
    accused: Type.Optional(EndpointIdSchema),
    fragment: Type.Optional(DigestSchema),
    /** What the accused signed, where that alone convicts it. */
    proof: Type.Optional(FragmentProofSchema),
    atMs: TimeMsSchema,
  },
  closed,
);
export type RefusalReport = Static<typeof RefusalReportSchema>;

/** Software that a scan found: of the package database, or a package of ours by its detection rules. */
export const DetectedSoftwareSchema = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 200 }),
    version: Type.String({ maxLength: 100 }),
    source: Type.Enum(["dpkg", "rpm", "windows", "rule"]),
  },
  closed,
);
export type DetectedSoftware = Static<typeof DetectedSoftwareSchema>;

/** The scan after a run (SE-18); sent where it differs from the last one sent. */
export const ScanReportSchema = Type.Object(
  {
    kind: Type.Literal("scan"),
    id: ReportId,
    endpoint: EndpointIdSchema,
    atMs: TimeMsSchema,
    /** The first part; `isCut` where there was more. */
    software: Type.Array(DetectedSoftwareSchema, { maxItems: 2000 }),
    isCut: Type.Boolean(),
  },
  closed,
);
export type ScanReport = Static<typeof ScanReportSchema>;

/** What one run did, step by step (SE-12…SE-17). */
export const RunReportSchema = Type.Object(
  {
    kind: Type.Literal("run"),
    id: ReportId,
    endpoint: EndpointIdSchema,
    startedMs: TimeMsSchema,
    endedMs: TimeMsSchema,
    entries: Type.Array(
      Type.Object(
        {
          atMs: TimeMsSchema,
          step: Type.Enum(["scan", "wishlist", "action", "log", "rescan"]),
          /** `acme/app@1.2.3`, for actions. */
          package: Type.Optional(Type.String({ maxLength: 200 })),
          /** `install`, `uninstall`, `launch` or what was found. */
          text: Type.String({ maxLength: 500 }),
          outcome: Type.Optional(OutcomeSchema),
        },
        closed,
      ),
      { maxItems: 256 },
    ),
  },
  closed,
);
export type RunReport = Static<typeof RunReportSchema>;

export const ReportSchema = Type.Union([
  JobReportSchema,
  RefusalReportSchema,
  ScanReportSchema,
  RunReportSchema,
]);
export type Report = Static<typeof ReportSchema>;
export const parseReport = parserOf("the report", ReportSchema);

/** Body of POST /v1/reports: envelopes of type "report", each signed by the endpoint. */
export const ReportBatchSchema = Type.Object(
  { reports: Type.Array(EnvelopeSchema, { maxItems: 64 }) },
  closed,
);
export type ReportBatch = Static<typeof ReportBatchSchema>;

/** Ids that are stored durably; the node forgets them. */
export const ReportAnswerSchema = Type.Object(
  { stored: Type.Array(ReportId, { maxItems: 64 }) },
  closed,
);
export type ReportAnswer = Static<typeof ReportAnswerSchema>;
export const parseReportAnswer = parserOf("the report answer", ReportAnswerSchema);
