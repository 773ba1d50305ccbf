/**
 * What the coordinator keeps: one schema and one key prefix per kind of record. A value read from the disk
 * is unchecked until its table has parsed it.
 */
import { Type, type Static, type TSchema } from "typebox";
import { CacheUseSchema, SourceBytesSchema, SystemFactsSchema } from "../../protocol/check-in.ts";
import {
  DigestSchema,
  EndpointIdSchema,
  EndpointNameSchema,
  PackageNameSchema,
  PackageVersionSchema,
  SiteNameSchema,
} from "../../protocol/ids.ts";
import { parserOf, type Parse } from "../../protocol/json.ts";
import { CriterionSchema, LocationFactsSchema, MultiaddrSchema } from "../../protocol/location.ts";
import { MatchSchema } from "../../protocol/manifest.ts";
import { DeployTargetSchema } from "../../protocol/operator-api.ts";
import { PackageRulesSchema } from "../../protocol/package-rules.ts";
import { OriginInputSchema } from "../../protocol/plain-origin.ts";
import {
  JobReportSchema,
  RefusalReportSchema,
  RunReportSchema,
  ScanReportSchema,
} from "../../protocol/report.ts";
import {
  SharingSchema,
  SitePolicySchema,
  WanBytesSchema,
  WastedBytesSchema,
} from "../../protocol/traffic.ts";
import {
  AssignmentRecordSchema,
  ContainerJobRecordSchema,
  ContainerRecordSchema,
  EndpointGroupRecordSchema,
  InstalledRecordSchema,
  MemberRecordSchema,
  PackageGroupRecordSchema,
  ResetRecordSchema,
  RolloutRecordSchema,
  RuleRecordSchema,
  WakeRecordSchema,
  WindowRecordSchema,
} from "./intent-records.ts";

const closed = { additionalProperties: false } as const;
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** A kind of record, kept below its own prefix. */
export interface Table<T> {
  readonly prefix: string;
  readonly parse: Parse<T>;
}

function table<const S extends TSchema>(prefix: string, schema: S): Table<Static<S>> {
  const check = parserOf(`a stored ${prefix}`, schema);
  // Records are never changed in place: what has passed the schema once need not pass it at every read.
  const checked = new WeakSet<object>();
  const isChecked = (value: unknown): value is Static<S> =>
    typeof value === "object" && value !== null && checked.has(value);
  const parse = (value: unknown): Static<S> => {
    if (isChecked(value)) return value;
    const record = check(value);
    if (typeof record === "object" && record !== null) checked.add(record);
    return record;
  };
  return { prefix: `${prefix}/`, parse };
}

const SiteSchema = Type.Object(
  {
    name: SiteNameSchema,
    criteria: Type.Array(CriterionSchema),
    /** Place in the order of creation. */
    order: Count,
    /** Fencing number: grows when the site's DPs change. */
    epoch: Count,
    policy: Type.Optional(SitePolicySchema),
    /** Absent: `default` (SE-5). */
    tenant: Type.Optional(Type.String()),
  },
  closed,
);
export type Site = Static<typeof SiteSchema>;

// The secret is not here: it is derived from the coordinator's own key and the id.
const TokenSchema = Type.Object(
  { id: Type.String(), site: SiteNameSchema, usesLeft: Count, expiresMs: Count },
  closed,
);
export type TokenRecord = Static<typeof TokenSchema>;

const EndpointSchema = Type.Object(
  {
    id: EndpointIdSchema,
    name: EndpointNameSchema,
    homeSite: SiteNameSchema,
    isDp: Type.Boolean(),
    joinedMs: Count,
  },
  closed,
);
export type EndpointRecord = Static<typeof EndpointSchema>;

const PresenceSchema = Type.Object(
  {
    /** Of the last accepted check-in. */
    counter: Count,
    seenMs: Count,
    /** Time between the last two check-ins. */
    gapMs: Count,
    facts: LocationFactsSchema,
    publicAddress: Type.String(),
    /** Absent: at no site. */
    site: Type.Optional(SiteNameSchema),
    listen: Type.Array(MultiaddrSchema),
    os: Type.String(),
    arch: Type.String(),
    nodeVersion: Type.String(),
    bytes: SourceBytesSchema,
    system: Type.Optional(SystemFactsSchema),
    sharing: Type.Optional(SharingSchema),
    cache: Type.Optional(CacheUseSchema),
    wasted: Type.Optional(WastedBytesSchema),
  },
  closed,
);
export type Presence = Static<typeof PresenceSchema>;

const PackageSchema = Type.Object(
  {
    name: PackageNameSchema,
    version: PackageVersionSchema,
    manifest: DigestSchema,
    manifestBytes: Count,
    level: Count,
    match: MatchSchema,
    wireBytes: Count,
    /** All sets of patches; a site whose endpoints are of different versions carries both. Absent: none. */
    deltaBytes: Type.Optional(Count),
    fileBytes: Count,
    fragmentCount: Count,
    hasContent: Type.Boolean(),
    isActive: Type.Boolean(),
    createdMs: Count,
    /** Absent: none. */
    rules: Type.Optional(PackageRulesSchema),
  },
  closed,
);
export type PackageRecord = Static<typeof PackageSchema>;

const DeploymentSchema = Type.Object(
  {
    id: Type.String(),
    name: PackageNameSchema,
    version: PackageVersionSchema,
    target: DeployTargetSchema,
    /** The endpoint of an endpoint target, resolved when the deployment was made. */
    endpoint: Type.Optional(EndpointIdSchema),
    order: Count,
    createdMs: Count,
    isPaused: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type DeploymentRecord = Static<typeof DeploymentSchema>;

const DirectiveSchema = Type.Object(
  {
    version: Count,
    /** Digest of the instructions that were signed. */
    content: DigestSchema,
    signedMs: Count,
    files: Type.Record(Type.String(), Type.String()),
  },
  closed,
);
export type DirectiveRecord = Static<typeof DirectiveSchema>;

const TrafficSchema = Type.Object(
  {
    site: Type.String(),
    manifest: DigestSchema,
    originBytes: Count,
    /** The same by reason. */
    wan: Type.Optional(WanBytesSchema),
    /** Of these, what plain HTTPS origins sent. */
    plainBytes: Type.Optional(Count),
    holders: Type.Array(EndpointIdSchema),
    /** Pages of the gate's served marks, 16-bit little-endian numbers in base64. */
    served: Type.Array(Type.Tuple([Count, Type.String()])),
    forced: Type.Object({ holderUnreachable: Count, noProgress: Count }, closed),
  },
  closed,
);
export type TrafficRecord = Static<typeof TrafficSchema>;

const OriginSchema = Type.Object({ ...OriginInputSchema.properties, addedMs: Count }, closed);
export type OriginRecord = Static<typeof OriginSchema>;

const StandingSchema = Type.Object(
  {
    /** The one that is accused. */
    endpoint: EndpointIdSchema,
    /** Those that say it sends wrong bytes, each with the last time. */
    reporters: Type.Array(Type.Object({ endpoint: EndpointIdSchema, atMs: Count }, closed)),
    /** Digests of the signatures that convicted it. */
    proofs: Type.Array(DigestSchema),
    /** Absent: no proof is in force. */
    convictedMs: Type.Optional(Count),
  },
  closed,
);
export type StandingRecord = Static<typeof StandingSchema>;

const OperatorSchema = Type.Object({ tokenHash: DigestSchema, createdMs: Count }, closed);

/** Every kind of record by its name in the code. */
export const TABLES = {
  sites: table("site", SiteSchema),
  tokens: table("token", TokenSchema),
  endpoints: table("endpoint", EndpointSchema),
  names: table("name", Type.Object({ endpoint: EndpointIdSchema }, closed)),
  presence: table("presence", PresenceSchema),
  packages: table("package", PackageSchema),
  deployments: table("deployment", DeploymentSchema),
  endpointGroups: table("endpoint-group", EndpointGroupRecordSchema),
  members: table("member", MemberRecordSchema),
  packageGroups: table("package-group", PackageGroupRecordSchema),
  assignments: table("assignment", AssignmentRecordSchema),
  rules: table("rule", RuleRecordSchema),
  containers: table("container", ContainerRecordSchema),
  containerJobs: table("container-job", ContainerJobRecordSchema),
  rollouts: table("rollout", RolloutRecordSchema),
  windows: table("window", WindowRecordSchema),
  resets: table("reset", ResetRecordSchema),
  installed: table("installed", InstalledRecordSchema),
  wakes: table("wake", WakeRecordSchema),
  jobs: table("job", JobReportSchema),
  reports: table("report", Type.Object({ atMs: Count }, closed)),
  refusals: table("refusals", Type.Array(RefusalReportSchema)),
  /** What others have against an endpoint, by the accused. */
  standings: table("standing", StandingSchema),
  /** What the last scan of an endpoint found, by endpoint. */
  scans: table("scan", ScanReportSchema),
  /** The last runs of an endpoint, oldest first. */
  runs: table("runs", Type.Array(RunReportSchema)),
  directives: table("directive", DirectiveSchema),
  traffic: table("traffic", TrafficSchema),
  /** Plain HTTPS origins, by their URL. */
  origins: table("origin", OriginSchema),
  catalog: table("catalog", Type.Object({ text: Type.String() }, closed)),
  operators: table("operator", OperatorSchema),
} as const;
