/**
 * The operators' HTTP API of intent: groups, assignments, rules, containers, rollouts, and what became of
 * them on each endpoint. Objects are those of intent.ts. A release may add fields, never rename.
 */
import { Type, type Static } from "typebox";
import { DryRunSchema, InstantSchema } from "./field-schemas.ts";
import {
  EndpointNameSchema,
  PackageNameSchema,
  PackageVersionSchema,
  SiteNameSchema,
} from "./ids.ts";
import {
  AssignmentSchema,
  DeploymentRuleSchema,
  IntentFileSchema,
  IntentNameSchema,
  OperationSchema,
  RolloutSchema,
  ScheduleSchema,
} from "./intent.ts";
import { parserOf } from "./json.ts";
import { DeployTargetSchema } from "./operator-api.ts";
import { OutcomeSchema } from "./outcome.ts";
import { JobStateSchema } from "./report.ts";

const closed = { additionalProperties: false } as const;
const PackageText = Type.String({ minLength: 3, maxLength: 200 });

export const IntentKindSchema = Type.Enum([
  "endpointGroup",
  "packageGroup",
  "assignment",
  "rule",
  "container",
  "rollout",
  "window",
]);
export type IntentKind = Static<typeof IntentKindSchema>;

/** One object that a call changes or, as a dry run, would change. */
export const IntentChangeSchema = Type.Object({
  kind: Type.Union([
    IntentKindSchema,
    Type.Enum(["deployment", "package", "jobs", "site", "token", "endpoint"]),
  ]),
  /** An assignment is named `packageGroup x endpointGroup`. */
  name: Type.String(),
  change: Type.Enum(["create", "update", "delete", "none"]),
  /** Names of the parts that differ, for an update. */
  fields: Type.Array(Type.String()),
  /** Endpoints that it reaches right now; null where a query over a large fleet was not asked. */
  endpointCount: Type.Union([Type.Integer(), Type.Null()]),
});
export type IntentChange = Static<typeof IntentChangeSchema>;
export const ChangesAnswerSchema = Type.Object({
  isDryRun: Type.Boolean(),
  changes: Type.Array(IntentChangeSchema),
});
export type ChangesAnswer = Static<typeof ChangesAnswerSchema>;
export const parseChangesAnswer = parserOf("the answer", ChangesAnswerSchema);

/** POST /v1/intent: makes every object of the file as it is written there; others stay. */
export const ApplyInputSchema = Type.Object(
  {
    intent: IntentFileSchema,
    isDryRun: DryRunSchema,
    /** Also deletes what the file does not name, kind by kind that it has. */
    isPruning: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type ApplyInput = Static<typeof ApplyInputSchema>;

/** POST /v1/intent/remove */
export const RemoveInputSchema = Type.Object(
  {
    kind: IntentKindSchema,
    name: Type.String({ minLength: 1, maxLength: 140 }),
    isDryRun: DryRunSchema,
  },
  closed,
);
export type RemoveInput = Static<typeof RemoveInputSchema>;

/** POST /v1/intent/pause: nothing more is handed out; what runs ends. */
export const PauseInputSchema = Type.Object(
  {
    kind: Type.Enum(["assignment", "rule", "container", "rollout", "deployment"]),
    name: Type.String({ minLength: 1, maxLength: 140 }),
    isPaused: Type.Boolean(),
    isDryRun: DryRunSchema,
  },
  closed,
);
export type PauseInput = Static<typeof PauseInputSchema>;

/** POST /v1/endpoint-groups/members: of a group without a query. */
export const MembersInputSchema = Type.Object(
  {
    group: IntentNameSchema,
    add: Type.Optional(Type.Array(EndpointNameSchema, { maxItems: 100_000 })),
    remove: Type.Optional(Type.Array(EndpointNameSchema, { maxItems: 100_000 })),
    isDryRun: DryRunSchema,
  },
  closed,
);
export type MembersInput = Static<typeof MembersInputSchema>;

/** GET /v1/endpoint-groups */
export const EndpointGroupViewSchema = Type.Object({
  name: IntentNameSchema,
  tenant: IntentNameSchema,
  query: Type.Optional(Type.String()),
  endpointCount: Type.Integer(),
});
export type EndpointGroupView = Static<typeof EndpointGroupViewSchema>;
export const parseEndpointGroups = parserOf("the groups", Type.Array(EndpointGroupViewSchema));
/** GET /v1/endpoint-groups/{name}: with its members right now, also of a query. */
export const EndpointGroupDetailSchema = Type.Object({
  ...EndpointGroupViewSchema.properties,
  endpoints: Type.Array(EndpointNameSchema),
});
export type EndpointGroupDetail = Static<typeof EndpointGroupDetailSchema>;
export const parseEndpointGroupDetail = parserOf("the group", EndpointGroupDetailSchema);

/** GET /v1/assignments: the same links as a list and as a matrix (SE-7). */
export const AssignmentsSchema = Type.Object({
  list: Type.Array(AssignmentSchema),
  matrix: Type.Object({
    packageGroups: Type.Array(IntentNameSchema),
    endpointGroups: Type.Array(IntentNameSchema),
    /** A row for each package group, a cell for each endpoint group. */
    cells: Type.Array(Type.Array(Type.Boolean())),
  }),
});
export type Assignments = Static<typeof AssignmentsSchema>;
export const parseAssignments = parserOf("the assignments", AssignmentsSchema);

/** PUT /v1/assignments: one cell of the matrix. */
export const CellInputSchema = Type.Object(
  {
    packageGroup: IntentNameSchema,
    endpointGroup: IntentNameSchema,
    isAssigned: Type.Boolean(),
    isDryRun: DryRunSchema,
  },
  closed,
);
export type CellInput = Static<typeof CellInputSchema>;

/** One package of one container, rule, assignment or rollout on one endpoint. */
export const JobViewSchema = Type.Object({
  endpoint: EndpointNameSchema,
  name: PackageNameSchema,
  /** Null where no version fits the wish. */
  version: Type.Union([PackageVersionSchema, Type.Null()]),
  operation: OperationSchema,
  state: JobStateSchema,
  outcome: Type.Optional(OutcomeSchema),
  exitCode: Type.Optional(Type.Integer()),
  systemCode: Type.Optional(Type.Integer()),
  attempt: Type.Integer(),
  reason: Type.Optional(Type.String()),
  since: InstantSchema,
  startedAt: Type.Optional(InstantSchema),
  endedAt: Type.Optional(InstantSchema),
});
export type JobView = Static<typeof JobViewSchema>;

const StateCounts = Type.Record(Type.String(), Type.Integer());

export const ContainerViewSchema = Type.Object({
  name: IntentNameSchema,
  schedule: ScheduleSchema,
  createdAt: InstantSchema,
  state: Type.Enum(["scheduled", "waiting", "running", "succeeded", "failed"]),
  isAborted: Type.Boolean(),
  /** Of its jobs, by state. */
  counts: StateCounts,
  jobCount: Type.Integer(),
  /** From the container's start to the end of the last job; `~` in front while one is open (OCO-25). */
  totalRuntime: Type.String(),
  /** From the start of the first job to the end of the last (OCO-26). */
  effectiveRuntime: Type.String(),
  totalRuntimeSec: Type.Integer(),
  effectiveRuntimeSec: Type.Integer(),
});
export type ContainerView = Static<typeof ContainerViewSchema>;
export const parseContainers = parserOf("the containers", Type.Array(ContainerViewSchema));
export const ContainerDetailSchema = Type.Object({
  ...ContainerViewSchema.properties,
  jobs: Type.Array(JobViewSchema),
});
export type ContainerDetail = Static<typeof ContainerDetailSchema>;
export const parseContainerDetail = parserOf("the container", ContainerDetailSchema);

/** POST /v1/containers: the assistant; one job for each endpoint and package (OCO-3). */
export const AssistInputSchema = Type.Object(
  {
    name: IntentNameSchema,
    schedule: Type.Optional(ScheduleSchema),
    endpoints: Type.Optional(Type.Array(EndpointNameSchema, { maxItems: 100_000 })),
    endpointGroups: Type.Optional(Type.Array(IntentNameSchema, { maxItems: 100 })),
    /** Every endpoint that has one of these installed (OCO-40). */
    having: Type.Optional(Type.Array(PackageText, { maxItems: 100 })),
    packages: Type.Optional(Type.Array(PackageText, { maxItems: 1000 })),
    packageGroups: Type.Optional(Type.Array(IntentNameSchema, { maxItems: 100 })),
    operation: Type.Optional(OperationSchema),
    force: Type.Optional(Type.Boolean()),
    isDryRun: DryRunSchema,
  },
  closed,
);
export type AssistInput = Static<typeof AssistInputSchema>;

/** GET /v1/containers/draft?endpoint=&package=&having=: the selection that a page begins with (OCO-4). */
export const DraftSchema = Type.Object({
  endpoints: Type.Array(EndpointNameSchema),
  packages: Type.Array(PackageText),
});
export type Draft = Static<typeof DraftSchema>;
export const parseDraft = parserOf("the draft", DraftSchema);

/** PUT /v1/containers/{name}: all pending jobs follow (OCO-2). */
export const ScheduleInputSchema = Type.Object(
  { schedule: ScheduleSchema, isDryRun: DryRunSchema },
  closed,
);

/** GET /v1/rules, GET /v1/rules/{name} */
export const RuleViewSchema = Type.Object({
  ...DeploymentRuleSchema.properties,
  isEnabled: Type.Boolean(),
});
export type RuleView = Static<typeof RuleViewSchema>;
export const RuleDetailSchema = Type.Object({
  ...RuleViewSchema.properties,
  /** Members of its group right now. */
  endpointCount: Type.Integer(),
  /** Of a disabled rule: what it would do (OCO-30). Those of the first 1,000 members. */
  jobs: Type.Array(JobViewSchema),
});
export type RuleDetail = Static<typeof RuleDetailSchema>;
export const parseRules = parserOf("the rules", Type.Array(RuleViewSchema));
export const parseRuleDetail = parserOf("the rule", RuleDetailSchema);
/** POST /v1/rules/{name} */
export const RuleActionSchema = Type.Object(
  { action: Type.Enum(["enable", "disable", "reevaluate"]), isDryRun: DryRunSchema },
  closed,
);
export type RuleAction = Static<typeof RuleActionSchema>;

/** GET /v1/rollouts, GET /v1/rollouts/{name} */
export const RolloutViewSchema = Type.Object({
  ...RolloutSchema.properties,
  state: Type.Enum(["running", "paused", "stopped", "succeeded"]),
  stopReason: Type.Optional(Type.String()),
  standing: Type.Array(
    Type.Object({
      ring: IntentNameSchema,
      openedAt: Type.Union([InstantSchema, Type.Null()]),
      targets: Type.Integer(),
      succeeded: Type.Integer(),
      failed: Type.Integer(),
    }),
  ),
});
export type RolloutView = Static<typeof RolloutViewSchema>;
export const parseRollouts = parserOf("the rollouts", Type.Array(RolloutViewSchema));
export const parseRolloutView = parserOf("the rollout", RolloutViewSchema);
/** POST /v1/rollouts/{name} */
export const RolloutActionSchema = Type.Object(
  { action: Type.Enum(["stop", "resume"]), isDryRun: DryRunSchema },
  closed,
);
export type RolloutAction = Static<typeof RolloutActionSchema>;

/** POST /v1/jobs/retry: failed jobs that fit all of these begin their attempts anew. */
export const RetryInputSchema = Type.Object(
  {
    endpoint: Type.Optional(EndpointNameSchema),
    endpointGroup: Type.Optional(IntentNameSchema),
    site: Type.Optional(SiteNameSchema),
    name: Type.Optional(PackageNameSchema),
    container: Type.Optional(IntentNameSchema),
    isDryRun: DryRunSchema,
  },
  closed,
);
export type RetryInput = Static<typeof RetryInputSchema>;
export const RetryAnswerSchema = Type.Object({
  isDryRun: Type.Boolean(),
  jobs: Type.Array(
    Type.Object({ endpoint: EndpointNameSchema, name: PackageNameSchema, resets: Type.Integer() }),
  ),
});
export type RetryAnswer = Static<typeof RetryAnswerSchema>;
export const parseRetryAnswer = parserOf("the answer", RetryAnswerSchema);

/** GET /v1/deployments */
export const DeploymentViewSchema = Type.Object({
  id: Type.String(),
  name: PackageNameSchema,
  version: PackageVersionSchema,
  target: DeployTargetSchema,
  isPaused: Type.Boolean(),
  endpointCount: Type.Integer(),
  createdAt: InstantSchema,
});
export type DeploymentView = Static<typeof DeploymentViewSchema>;
export const parseDeployments = parserOf("the deployments", Type.Array(DeploymentViewSchema));
/** POST /v1/deployments/cancel */
export const CancelInputSchema = Type.Object(
  { id: Type.String({ maxLength: 64 }), isDryRun: DryRunSchema },
  closed,
);
export type CancelInput = Static<typeof CancelInputSchema>;
