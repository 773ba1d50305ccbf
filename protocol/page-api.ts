/**
 * The operators' HTTP API of single endpoints and packages: what is known of one, why it waits, and what is
 * done to it by hand. A release may add fields, never rename.
 */
import { Type, type Static } from "typebox";
import { DryRunSchema, InstantSchema } from "./field-schemas.ts";
import {
  DigestSchema,
  EndpointIdSchema,
  EndpointNameSchema,
  PackageNameSchema,
  PackageVersionSchema,
  SiteNameSchema,
} from "./ids.ts";
import { IntentNameSchema, OperationSchema } from "./intent.ts";
import { parserOf } from "./json.ts";
import { ActionSchema } from "./package-action.ts";
import { ActionSetSchema, PackageRulesSchema } from "./package-rules.ts";
import { DetectedSoftwareSchema, JobStateSchema, RunReportSchema } from "./report.ts";
import { BarNoteSchema } from "./standing.ts";

const closed = { additionalProperties: false } as const;

const InstalledSchema = Type.Object({
  name: PackageNameSchema,
  version: PackageVersionSchema,
  since: InstantSchema,
});

/** GET /v1/endpoints/{name or id} */
export const EndpointDetailSchema = Type.Object({
  name: EndpointNameSchema,
  id: EndpointIdSchema,
  site: SiteNameSchema,
  tenant: IntentNameSchema,
  groups: Type.Array(IntentNameSchema),
  installed: Type.Array(InstalledSchema),
  detected: Type.Array(DetectedSoftwareSchema),
  /** Of the last scan; null before the first. */
  scannedAt: Type.Union([InstantSchema, Type.Null()]),
  /** The last runs, newest first (SE-17). */
  runs: Type.Array(RunReportSchema),
  /** Present while it is kept out of its site. */
  bar: Type.Optional(BarNoteSchema),
});
export type EndpointDetail = Static<typeof EndpointDetailSchema>;
export const parseEndpointDetail = parserOf("the endpoint", EndpointDetailSchema);

/** POST /v1/installed/remove: nothing runs on the endpoint (OCO-36). */
export const ForgetInputSchema = Type.Object(
  {
    endpoint: EndpointNameSchema,
    name: PackageNameSchema,
    version: PackageVersionSchema,
    isDryRun: DryRunSchema,
  },
  closed,
);
export type ForgetInput = Static<typeof ForgetInputSchema>;

/** One link of the chain of reasons. */
export const ReasonViewSchema = Type.Object({
  code: Type.String(),
  text: Type.String(),
  since: InstantSchema,
  endsWhen: Type.String(),
  endsAt: Type.Optional(InstantSchema),
});
export const WhySchema = Type.Object({
  endpoint: EndpointNameSchema,
  /** Present while it is kept out of its site: it gets everything over the line, for itself alone. */
  bar: Type.Optional(BarNoteSchema),
  jobs: Type.Array(
    Type.Object({
      name: PackageNameSchema,
      version: Type.Union([PackageVersionSchema, Type.Null()]),
      operation: OperationSchema,
      state: JobStateSchema,
      /** Who wants it: `rule/nightly`, `container/c1`. */
      from: Type.Array(Type.String()),
      attempt: Type.Integer(),
      attemptLimit: Type.Integer(),
      /** Outermost first; empty for what is done. */
      reasons: Type.Array(ReasonViewSchema),
      /** Of a disabled rule. */
      isPreview: Type.Boolean(),
    }),
  ),
});
export type Why = Static<typeof WhySchema>;
export const parseWhy = parserOf("the reasons", WhySchema);

/** GET /v1/packages/show?package=acme/app@1 */
export const PackageDetailSchema = Type.Object({
  name: PackageNameSchema,
  version: PackageVersionSchema,
  manifest: DigestSchema,
  isActive: Type.Boolean(),
  level: Type.Integer(),
  epoch: Type.Integer(),
  /** As it is signed: what runs, and how (OCS-16). */
  action: ActionSchema,
  rules: PackageRulesSchema,
  wireBytes: Type.Integer(),
  fileBytes: Type.Integer(),
  fragmentCount: Type.Integer(),
  createdAt: InstantSchema,
  /** Packages of its dependencies; an empty list shows as "None" (ZEN-4). */
  dependents: Type.Array(PackageNameSchema),
  /** Packages that depend on it. */
  primaries: Type.Array(Type.String()),
  installedOn: Type.Array(EndpointNameSchema),
});
export type PackageDetail = Static<typeof PackageDetailSchema>;
export const parsePackageDetail = parserOf("the package", PackageDetailSchema);

/** GET /v1/packages/tree?package=acme/app@1: every edge with its action set (ZEN-2…ZEN-8). */
export const PackageTreeSchema = Type.Object({
  package: Type.String(),
  /** Packages on the longest chain; 1 for a leaf, 2 for the simplest chain (ZEN-8). */
  depth: Type.Integer(),
  edges: Type.Array(
    Type.Object({
      primary: Type.String(),
      dependent: PackageNameSchema,
      /** The version that would be taken now; null where none fits. */
      resolved: Type.Union([Type.String(), Type.Null()]),
      versions: Type.Union([Type.String(), Type.Null()]),
      actionSet: ActionSetSchema,
    }),
  ),
});
export type PackageTree = Static<typeof PackageTreeSchema>;
export const parsePackageTree = parserOf("the tree", PackageTreeSchema);

/** POST /v1/packages/delete */
export const PackageDeleteInputSchema = Type.Object(
  {
    name: PackageNameSchema,
    version: PackageVersionSchema,
    isForced: Type.Optional(Type.Boolean()),
    isDryRun: DryRunSchema,
  },
  closed,
);
export type PackageDeleteInput = Static<typeof PackageDeleteInputSchema>;
export const PackageDeleteAnswerSchema = Type.Object({
  isDryRun: Type.Boolean(),
  fragmentCount: Type.Integer(),
  freedBytes: Type.Integer(),
});
export type PackageDeleteAnswer = Static<typeof PackageDeleteAnswerSchema>;
export const parsePackageDeleteAnswer = parserOf("the answer", PackageDeleteAnswerSchema);

/** POST /v1/packages/replace: the new version takes the old one's place in package groups (OCO-42). */
export const ReplaceInputSchema = Type.Object(
  {
    name: PackageNameSchema,
    from: PackageVersionSchema,
    to: PackageVersionSchema,
    /** Absent: every package group that has it. */
    packageGroups: Type.Optional(Type.Array(IntentNameSchema, { maxItems: 1000 })),
    isDryRun: DryRunSchema,
  },
  closed,
);
export type ReplaceInput = Static<typeof ReplaceInputSchema>;
