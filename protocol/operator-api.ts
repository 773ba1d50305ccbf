/**
 * The operators' HTTP API: bodies and answers. The coordinator validates with these schemas, publishes
 * them as OpenAPI, and the command line parses answers with them. A release may add fields, never rename.
 */
import { Type, type Static } from "typebox";
import { CacheUseSchema, SourceBytesSchema } from "./check-in.ts";
import { DryRunSchema, InstantSchema, MetadataTextSchema } from "./field-schemas.ts";
import {
  DigestSchema,
  EndpointIdSchema,
  EndpointNameSchema,
  PackageNameSchema,
  PackageVersionSchema,
  SiteNameSchema,
} from "./ids.ts";
import { parserOf } from "./json.ts";
import { CriterionSchema } from "./location.ts";
import { JobStateSchema, TraceStepSchema } from "./report.ts";
import { OutcomeSchema } from "./outcome.ts";
import { SharingSchema, StatusLineSchema, WanBytesSchema, WastedBytesSchema } from "./traffic.ts";

const closed = { additionalProperties: false } as const;
const BinFiles = Type.Record(
  Type.String({ pattern: "^bin-[0-9a-f]{2}\\.json$" }),
  MetadataTextSchema,
  {
    ...closed,
    maxProperties: 256,
  },
);

/** Body of every answer that is not 2xx. */
export const ApiErrorSchema = Type.Object({
  code: Type.String(),
  message: Type.String(),
  hint: Type.String(),
  requestId: Type.String(),
});
export type ApiError = Static<typeof ApiErrorSchema>;
export const parseApiError = parserOf("the error answer", ApiErrorSchema);

/** POST /v1/sites */
export const SiteInputSchema = Type.Object(
  {
    name: SiteNameSchema,
    criteria: Type.Array(CriterionSchema, { minItems: 1, maxItems: 256 }),
    /** The customer it belongs to; absent: as it is, `default` at first (SE-5). */
    tenant: Type.Optional(Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" })),
  },
  closed,
);
export type SiteInput = Static<typeof SiteInputSchema>;
/** POST /v1/sites; a dry run of this and of the calls below answers with a ChangesAnswer. */
export const SiteCallSchema = Type.Object(
  { ...SiteInputSchema.properties, isDryRun: DryRunSchema },
  closed,
);
export type SiteCall = Static<typeof SiteCallSchema>;

/** POST /v1/tokens */
export const TokenInputSchema = Type.Object(
  {
    site: SiteNameSchema,
    uses: Type.Integer({ minimum: 1, maximum: 500 }),
    ttlSec: Type.Integer({ minimum: 60, maximum: 30 * 86_400 }),
    isDryRun: DryRunSchema,
  },
  closed,
);
export type TokenInput = Static<typeof TokenInputSchema>;
export const TokenAnswerSchema = Type.Object({
  /** `bl1_…`; shown once. */
  token: Type.String(),
  id: Type.String(),
  site: SiteNameSchema,
  uses: Type.Integer(),
  expiresAt: InstantSchema,
});
export type TokenAnswer = Static<typeof TokenAnswerSchema>;
export const parseTokenAnswer = parserOf("the token answer", TokenAnswerSchema);

/** PUT /v1/endpoints/{name or id}/dp */
export const DpInputSchema = Type.Object(
  { isEnabled: Type.Boolean(), isDryRun: DryRunSchema },
  closed,
);
export type DpInput = Static<typeof DpInputSchema>;

/** POST /v1/fragments/missing: which of these the coordinator does not hold. */
export const MissingInputSchema = Type.Object(
  { digests: Type.Array(DigestSchema, { maxItems: 4096 }) },
  closed,
);
export const MissingAnswerSchema = Type.Object({ missing: Type.Array(DigestSchema) });
export const parseMissingAnswer = parserOf("the answer", MissingAnswerSchema);

/** GET /v1/catalog/publishing?target=acme/app/1.2.3: what a publisher needs to sign the next version. */
export const PublishingSchema = Type.Object({
  fleet: Type.String(),
  /** Newest root.json of the catalog. */
  root: MetadataTextSchema,
  targets: MetadataTextSchema,
  bin: Type.String({ pattern: "^bin-[0-9a-f]{2}$" }),
  /** Absent while the bin has no target. */
  binMetadata: Type.Optional(MetadataTextSchema),
});
export type Publishing = Static<typeof PublishingSchema>;
export const parsePublishing = parserOf("the publishing answer", PublishingSchema);

/** GET /v1/catalog/renewal: every offline-signed file of the catalog. */
export const RenewalSchema = Type.Object({
  fleet: Type.String(),
  /** Newest root.json of the catalog. */
  root: MetadataTextSchema,
  targets: MetadataTextSchema,
  bins: BinFiles,
  /** When the first of them expires. */
  expiresAt: InstantSchema,
});
export type Renewal = Static<typeof RenewalSchema>;
export const parseRenewal = parserOf("the renewal answer", RenewalSchema);

/** POST /v1/catalog/renewal: the same content, each file one version further. */
export const RenewalInputSchema = Type.Object(
  { targets: MetadataTextSchema, bins: BinFiles },
  closed,
);
export type RenewalInput = Static<typeof RenewalInputSchema>;
export const RenewalAnswerSchema = Type.Object({
  expiresAt: InstantSchema,
  renewedCount: Type.Integer(),
});
export type RenewalAnswer = Static<typeof RenewalAnswerSchema>;
export const parseRenewalAnswer = parserOf("the renewal answer", RenewalAnswerSchema);

/** POST /v1/packages: all fragments must be there; the bin must be the stored one plus this target. */
export const PackageInputSchema = Type.Object(
  {
    /** The manifest's exact bytes, as text. */
    manifest: Type.String({ minLength: 2, maxLength: 1024 * 1024 }),
    bin: Type.String({ pattern: "^bin-[0-9a-f]{2}$" }),
    binMetadata: MetadataTextSchema,
  },
  closed,
);
export type PackageInput = Static<typeof PackageInputSchema>;

export const PackageAnswerSchema = Type.Object({
  name: PackageNameSchema,
  version: PackageVersionSchema,
  manifest: DigestSchema,
  isActive: Type.Boolean(),
  level: Type.Integer(),
  kind: Type.Enum(["launch", "execute", "store"]),
  wireBytes: Type.Integer(),
  fileBytes: Type.Integer(),
  fragmentCount: Type.Integer(),
  createdAt: InstantSchema,
});
export type PackageAnswer = Static<typeof PackageAnswerSchema>;
export const parsePackageAnswer = parserOf("the package answer", PackageAnswerSchema);

/** GET /v1/published?name=acme/app: every version of one package. */
export const PackageListSchema = Type.Object({ packages: Type.Array(PackageAnswerSchema) });
export const parsePackageList = parserOf("the list of packages", PackageListSchema);

/** POST /v1/packages/activate and /v1/packages/deactivate */
export const ActivationInputSchema = Type.Object(
  { name: PackageNameSchema, version: PackageVersionSchema, isDryRun: DryRunSchema },
  closed,
);
export type ActivationInput = Static<typeof ActivationInputSchema>;

/** POST /v1/deployments */
export const DeployTargetSchema = Type.Union([
  Type.Object(
    { kind: Type.Literal("endpoint"), name: Type.Union([EndpointNameSchema, EndpointIdSchema]) },
    closed,
  ),
  Type.Object({ kind: Type.Literal("site"), name: SiteNameSchema }, closed),
  Type.Object({ kind: Type.Literal("all") }, closed),
]);
export type DeployTarget = Static<typeof DeployTargetSchema>;
export const DeploymentInputSchema = Type.Object(
  {
    name: PackageNameSchema,
    version: PackageVersionSchema,
    target: DeployTargetSchema,
    /** Only says whom it would reach. */
    isDryRun: DryRunSchema,
  },
  closed,
);
export type DeploymentInput = Static<typeof DeploymentInputSchema>;
export const DeploymentAnswerSchema = Type.Object({
  id: Type.String(),
  name: PackageNameSchema,
  version: PackageVersionSchema,
  target: DeployTargetSchema,
  /** Endpoints that match right now; later joiners get it too. */
  endpoints: Type.Array(EndpointNameSchema),
  /** Whether the package is activated; until then it is handed to nobody. */
  isActive: Type.Boolean(),
});
export type DeploymentAnswer = Static<typeof DeploymentAnswerSchema>;
export const parseDeploymentAnswer = parserOf("the deployment answer", DeploymentAnswerSchema);

export const StatusJobSchema = Type.Object({
  package: PackageNameSchema,
  version: PackageVersionSchema,
  state: JobStateSchema,
  outcome: Type.Optional(OutcomeSchema),
  exitCode: Type.Optional(Type.Integer()),
  systemCode: Type.Optional(Type.Integer()),
  /** Why it waits or failed, for a person. */
  reason: Type.Optional(Type.String()),
  attempt: Type.Integer(),
  since: InstantSchema,
  trace: Type.Array(
    Type.Object({ step: TraceStepSchema, at: InstantSchema, detail: Type.Optional(Type.String()) }),
  ),
  bytes: SourceBytesSchema,
});
export type StatusJob = Static<typeof StatusJobSchema>;

export const StatusEndpointSchema = Type.Object({
  name: EndpointNameSchema,
  id: EndpointIdSchema,
  /** Where it is now by location criteria; its home site while it is nowhere known. */
  site: SiteNameSchema,
  /** Whether the criteria of `site` match right now; without it there is no DP and no peers. */
  isAtSite: Type.Boolean(),
  addresses: Type.Array(Type.String()),
  role: Type.Enum(["agent", "dp"]),
  /** Name of the DP in use, null for none. */
  dp: Type.Union([EndpointNameSchema, Type.Null()]),
  lastSeen: Type.Union([InstantSchema, Type.Null()]),
  jobs: Type.Array(StatusJobSchema),
  bytes: SourceBytesSchema,
  /** What it gives to its neighbours by its own judgement; absent while it has not said. */
  sharing: Type.Optional(SharingSchema),
  /** What package content takes of its disk. */
  cache: Type.Optional(CacheUseSchema),
  /** Bytes of no use since its last start. */
  wasted: Type.Optional(WastedBytesSchema),
  refusals: Type.Array(
    Type.Object({ code: Type.String(), detail: Type.String(), at: InstantSchema }),
  ),
});
export type StatusEndpoint = Static<typeof StatusEndpointSchema>;

export const StatusSiteSchema = Type.Object({
  name: SiteNameSchema,
  dps: Type.Array(EndpointNameSchema),
  /** Bytes the origin sent into the site ÷ wire bytes of the packages it sent; 0 while it sent none. */
  wanRatio: Type.Number(),
  originBytes: Type.Integer(),
  packageBytes: Type.Integer(),
  /** Fragments granted although the site had them or was fetching them, by reason. */
  forced: Type.Object({ holderUnreachable: Type.Integer(), noProgress: Type.Integer() }),
  /** The same bytes by reason. */
  wan: Type.Optional(WanBytesSchema),
  line: Type.Optional(StatusLineSchema),
});
export type StatusSite = Static<typeof StatusSiteSchema>;

/** Something that a person must do before a day that is near. */
export const NoticeSchema = Type.Object({
  code: Type.String(),
  message: Type.String(),
  hint: Type.String(),
});
export type Notice = Static<typeof NoticeSchema>;

/** GET /v1/status */
export const StatusSchema = Type.Object({
  endpoints: Type.Array(StatusEndpointSchema),
  sites: Type.Array(StatusSiteSchema),
  packages: Type.Array(PackageAnswerSchema),
  notices: Type.Array(NoticeSchema),
});
export type Status = Static<typeof StatusSchema>;
export const parseStatus = parserOf("the status", StatusSchema);
