/**
 * Intent: what operators want of their fleet, as they write it through the API, the command line or a
 * file for `branchline apply`. Names are unique per kind; every object can be exported and applied again.
 */
import { Type, type Static } from "typebox";
import { EndpointNameSchema, PackageNameSchema, PackageVersionSchema } from "./ids.ts";
import { parserOf } from "./json.ts";

const closed = { additionalProperties: false } as const;

export const IntentNameSchema = Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" });
/** ISO 8601 with offset or Z. */
const Instant = Type.String({ minLength: 10, maxLength: 40 });
const TenantSchema = IntentNameSchema;

/** Everything that a container, rule, assignment or rollout says of when and how its jobs run. */
export const ScheduleSchema = Type.Object(
  {
    description: Type.Optional(Type.String({ maxLength: 500 })),
    /** Absent: at once (OCO-5). */
    start: Type.Optional(Instant),
    /** Unfinished jobs expire then (OCO-6). */
    end: Type.Optional(Instant),
    /** `deploymentPriority`: higher first, 0 by default (OCO-13, D1). */
    priority: Type.Optional(Type.Integer({ minimum: -100, maximum: 100 })),
    /** OCO-15…OCO-20. */
    addressRanges: Type.Optional(Type.String({ minLength: 1, maxLength: 2000 })),
    /** OCO-21…OCO-24. */
    timeFrames: Type.Optional(Type.String({ minLength: 1, maxLength: 2000 })),
    /** Zone of the time frames; the coordinator's by default (D5). */
    zone: Type.Optional(Type.String({ minLength: 1, maxLength: 60 })),
    /** OCO-48, OCO-49; `ignoreFailed` by default. */
    sequenceMode: Type.Optional(Type.Enum(["ignoreFailed", "abortAfterFailed"])),
    /** How far -8888 reaches; `container` by default (D4). */
    abortScope: Type.Optional(Type.Enum(["endpoint", "container"])),
    /** OCO-7. */
    wake: Type.Optional(Type.Boolean()),
    /** Only of endpoints that were woken (OCO-8, OCO-9). */
    shutdown: Type.Optional(Type.Boolean()),
    /** OCO-14; 20 by default, -1: never restart. */
    restartTimeoutMin: Type.Optional(Type.Integer({ minimum: -1, maximum: 1440 })),
    /** Uninstall jobs for older versions (OCO-41); true by default. */
    autoUninstall: Type.Optional(Type.Boolean()),
    /** SE-21, SE-22; 3 by default. */
    attemptLimit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
    /** Bring the content before the start. */
    precache: Type.Optional(Type.Boolean()),
    /** Spread the starts over this long. */
    jitterSec: Type.Optional(Type.Integer({ minimum: 0, maximum: 86_400 })),
    /** Nothing is handed out while it is paused; what runs ends. */
    isPaused: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type Schedule = Static<typeof ScheduleSchema>;

/** A set of endpoints of one tenant: listed, or by a query over the inventory (SE-5). */
export const EndpointGroupSchema = Type.Object(
  {
    name: IntentNameSchema,
    tenant: Type.Optional(TenantSchema),
    /** Exactly one of the two. */
    endpoints: Type.Optional(Type.Array(EndpointNameSchema, { maxItems: 100_000 })),
    query: Type.Optional(Type.String({ minLength: 1, maxLength: 1000 })),
  },
  closed,
);
export type EndpointGroup = Static<typeof EndpointGroupSchema>;

export const EnsureSchema = Type.Enum(["present", "latest", "updateOnly", "absent"]);
export type Ensure = Static<typeof EnsureSchema>;

/** One package of a group, with settings of its own (SE-4). */
export const PackageEntrySchema = Type.Object(
  {
    name: PackageNameSchema,
    /** Absent for `latest`, `updateOnly` (newest active version) and `absent` (any version). */
    version: Type.Optional(PackageVersionSchema),
    /** `present` by default. */
    ensure: Type.Optional(EnsureSchema),
    attemptLimit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
    /** Kept in the cache of every endpoint of the group (ZEN-17). */
    isPinned: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type PackageEntry = Static<typeof PackageEntrySchema>;

export const PackageGroupSchema = Type.Object(
  { name: IntentNameSchema, entries: Type.Array(PackageEntrySchema, { maxItems: 1000 }) },
  closed,
);
export type PackageGroup = Static<typeof PackageGroupSchema>;

/** Wishlists: every package of the one group on every endpoint of the other (SE-6, SE-8). */
export const AssignmentSchema = Type.Object(
  {
    packageGroup: IntentNameSchema,
    endpointGroup: IntentNameSchema,
    schedule: Type.Optional(ScheduleSchema),
  },
  closed,
);
export type Assignment = Static<typeof AssignmentSchema>;

export const OperationSchema = Type.Enum(["install", "uninstall", "launch"]);
export type Operation = Static<typeof OperationSchema>;

/** OCO-1: a job exists only inside its container. */
export const ContainerJobSchema = Type.Object(
  {
    endpoint: EndpointNameSchema,
    name: PackageNameSchema,
    version: PackageVersionSchema,
    /** `install` by default. */
    operation: Type.Optional(OperationSchema),
    /** Install also where the same version is there. */
    force: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type ContainerJob = Static<typeof ContainerJobSchema>;

export const JobContainerSchema = Type.Object(
  {
    name: IntentNameSchema,
    schedule: Type.Optional(ScheduleSchema),
    /** In sequence. */
    jobs: Type.Array(ContainerJobSchema, { minItems: 1, maxItems: 100_000 }),
  },
  closed,
);
export type JobContainer = Static<typeof JobContainerSchema>;

/** OCO-27, OCO-28: both groups are required. */
export const DeploymentRuleSchema = Type.Object(
  {
    name: IntentNameSchema,
    endpointGroup: IntentNameSchema,
    packageGroup: IntentNameSchema,
    /** A disabled rule lists its jobs and hands out none (OCO-29, OCO-30); false by default. */
    isEnabled: Type.Optional(Type.Boolean()),
    schedule: Type.Optional(ScheduleSchema),
  },
  closed,
);
export type DeploymentRule = Static<typeof DeploymentRuleSchema>;

const Percent = Type.Integer({ minimum: 0, maximum: 100 });

/** One ring: a share of the group, or a group of its own; the last one takes late joiners. */
export const RingSchema = Type.Object(
  {
    name: IntentNameSchema,
    /** Of the endpoints that no earlier ring has; absent for a ring with a group. */
    sharePercent: Type.Optional(Percent),
    endpointGroup: Type.Optional(IntentNameSchema),
    /** The next ring opens when so many of the live targets succeeded; 95 by default. */
    successPercent: Type.Optional(Percent),
    /** The whole rollout stops when so many failed; 10 by default. */
    errorPercent: Type.Optional(Percent),
    /** Rest after the success before the next ring opens; 0 by default. */
    delayHours: Type.Optional(Type.Integer({ minimum: 0, maximum: 720 })),
  },
  closed,
);
export type Ring = Static<typeof RingSchema>;

export const RolloutSchema = Type.Object(
  {
    name: IntentNameSchema,
    packageGroup: IntentNameSchema,
    endpointGroup: IntentNameSchema,
    rings: Type.Array(RingSchema, { minItems: 1, maxItems: 16 }),
    schedule: Type.Optional(ScheduleSchema),
  },
  closed,
);
export type Rollout = Static<typeof RolloutSchema>;

/** Limits execution on the endpoints of a group, never the transfer of content. */
export const MaintenanceWindowSchema = Type.Object(
  {
    name: IntentNameSchema,
    endpointGroup: IntentNameSchema,
    timeFrames: Type.String({ minLength: 1, maxLength: 2000 }),
    zone: Type.Optional(Type.String({ minLength: 1, maxLength: 60 })),
  },
  closed,
);
export type MaintenanceWindow = Static<typeof MaintenanceWindowSchema>;

/** The whole intent, or a part of it: body of `branchline apply -f FILE`. */
export const IntentFileSchema = Type.Object(
  {
    v: Type.Literal(1),
    endpointGroups: Type.Optional(Type.Array(EndpointGroupSchema, { maxItems: 10_000 })),
    packageGroups: Type.Optional(Type.Array(PackageGroupSchema, { maxItems: 10_000 })),
    assignments: Type.Optional(Type.Array(AssignmentSchema, { maxItems: 100_000 })),
    rules: Type.Optional(Type.Array(DeploymentRuleSchema, { maxItems: 10_000 })),
    containers: Type.Optional(Type.Array(JobContainerSchema, { maxItems: 10_000 })),
    rollouts: Type.Optional(Type.Array(RolloutSchema, { maxItems: 10_000 })),
    windows: Type.Optional(Type.Array(MaintenanceWindowSchema, { maxItems: 10_000 })),
  },
  closed,
);
export type IntentFile = Static<typeof IntentFileSchema>;
export const parseIntentFile = parserOf("the intent file", IntentFileSchema);
