/**
 * What operators want, as the coordinator keeps it: the objects of protocol/intent.ts with their place in
 * the order of creation, the members and jobs one by one, and what is known of the endpoints for them.
 */
import { Type, type Static } from "typebox";
import { EndpointIdSchema, PackageNameSchema, PackageVersionSchema } from "../../protocol/ids.ts";
import {
  AssignmentSchema,
  DeploymentRuleSchema,
  IntentNameSchema,
  MaintenanceWindowSchema,
  OperationSchema,
  PackageGroupSchema,
  RolloutSchema,
  ScheduleSchema,
} from "../../protocol/intent.ts";

const closed = { additionalProperties: false } as const;
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** Place in the order of creation of all intents, and when that was. */
const made = { order: Count, createdMs: Count };

/** Static where it has no query; then its members are records of their own. */
export const EndpointGroupRecordSchema = Type.Object(
  {
    name: IntentNameSchema,
    tenant: IntentNameSchema,
    query: Type.Optional(Type.String()),
    ...made,
  },
  closed,
);
export type EndpointGroupRecord = Static<typeof EndpointGroupRecordSchema>;

/** By `<endpoint>/<group>`, so that one change of a member is one small record. */
export const MemberRecordSchema = Type.Object(
  { group: IntentNameSchema, endpoint: EndpointIdSchema },
  closed,
);

export const PackageGroupRecordSchema = Type.Object(
  {
    ...PackageGroupSchema.properties,
    /** How often an entry of a package was added after it had been there before (SE-23). */
    additions: Type.Record(Type.String(), Count),
    ...made,
  },
  closed,
);
export type PackageGroupRecord = Static<typeof PackageGroupRecordSchema>;

/** By `<endpoint group>/<package group>`. */
export const AssignmentRecordSchema = Type.Object(
  { ...AssignmentSchema.properties, ...made },
  closed,
);
export type AssignmentRecord = Static<typeof AssignmentRecordSchema>;

export const RuleRecordSchema = Type.Object(
  {
    ...DeploymentRuleSchema.properties,
    /** Exact version by entry as it is written: what the jobs were made from (OCO-33). */
    snapshot: Type.Record(Type.String(), PackageVersionSchema),
    ...made,
  },
  closed,
);
export type RuleRecord = Static<typeof RuleRecordSchema>;

export const ContainerRecordSchema = Type.Object(
  {
    name: IntentNameSchema,
    schedule: Type.Optional(ScheduleSchema),
    /** A failed job has ended it for everybody (OCO-48, D4). */
    abortedMs: Type.Optional(Count),
    ...made,
  },
  closed,
);
export type ContainerRecord = Static<typeof ContainerRecordSchema>;

/** By `<endpoint>/<container>/<sequence>`. */
export const ContainerJobRecordSchema = Type.Object(
  {
    container: IntentNameSchema,
    endpoint: EndpointIdSchema,
    name: PackageNameSchema,
    version: PackageVersionSchema,
    operation: OperationSchema,
    force: Type.Optional(Type.Boolean()),
    sequence: Count,
  },
  closed,
);
export type ContainerJobRecord = Static<typeof ContainerJobRecordSchema>;

export const RolloutRecordSchema = Type.Object(
  {
    ...RolloutSchema.properties,
    /** When each ring was opened, in order; the rest is closed. */
    openedMs: Type.Array(Count),
    /** Set by the error threshold or by an operator; nothing is handed out while it is there. */
    stopped: Type.Optional(Type.Object({ atMs: Count, reason: Type.String() }, closed)),
    /** Failures up to then no longer count: an operator went on in spite of them. */
    resumedMs: Type.Optional(Count),
    ...made,
  },
  closed,
);
export type RolloutRecord = Static<typeof RolloutRecordSchema>;

export const WindowRecordSchema = Type.Object(
  { ...MaintenanceWindowSchema.properties, ...made },
  closed,
);
export type WindowRecord = Static<typeof WindowRecordSchema>;

/** By `<endpoint>/<package>`: how often an operator started the attempts anew. */
export const ResetRecordSchema = Type.Object({ count: Count, atMs: Count }, closed);

/** By `<endpoint>/<package>/<version>`: the belief that a version is there, or was (core/installed.ts). */
export const InstalledRecordSchema = Type.Object(
  {
    name: PackageNameSchema,
    version: PackageVersionSchema,
    sinceMs: Count,
    removedMs: Type.Optional(Count),
  },
  closed,
);

/** By `<endpoint>/<container>`: one wake-up, and whether the endpoint came up in time (OCO-9…OCO-11). */
export const WakeRecordSchema = Type.Object(
  {
    container: IntentNameSchema,
    endpoint: EndpointIdSchema,
    id: Type.String(),
    /** The node that broadcasts it. */
    relay: Type.Optional(EndpointIdSchema),
    macs: Type.Array(Type.String()),
    sentMs: Count,
    /** It has spoken since, in time or not. */
    isSettled: Type.Optional(Type.Boolean()),
    wokenMs: Type.Optional(Count),
  },
  closed,
);
export type WakeRecord = Static<typeof WakeRecordSchema>;
