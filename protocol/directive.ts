/**
 * The directive: the custom parts of an endpoint's own director metadata (trust 2.4). It chooses among
 * what manifests allow and can add nothing to them.
 */
import { Type, type Static } from "typebox";
import { TimeMsSchema } from "./field-schemas.ts";
import { SwarmTagSchema } from "./ids.ts";
import { parserOf } from "./json.ts";
import { MatchSchema } from "./manifest.ts";

const closed = { additionalProperties: false } as const;
const JobId = Type.String({ pattern: "^[0-9A-Za-z-]{1,64}$" });

/**
 * When and from where an instruction may act. The planner has checked it already; the agent checks again
 * before it acts, because a directive can be hours old (design 6). Times are those of the coordinator.
 */
export const ConditionsSchema = Type.Object(
  {
    /** Not before; content may come earlier (OCO-5). */
    startMs: Type.Optional(TimeMsSchema),
    /** Not at or after (OCO-6). */
    endMs: Type.Optional(TimeMsSchema),
    /** Over the address that the coordinator sees (OCO-15…OCO-20). */
    addressRanges: Type.Optional(Type.String({ minLength: 1, maxLength: 2000 })),
    /** Of the job (OCO-21…OCO-24) and of the endpoint's maintenance windows: all lists have to admit. */
    timeFrames: Type.Optional(
      Type.Array(
        Type.Object(
          {
            frames: Type.String({ minLength: 1, maxLength: 2000 }),
            zone: Type.String({ minLength: 1, maxLength: 60 }),
          },
          closed,
        ),
        { maxItems: 8 },
      ),
    ),
    /** The whole run-time limit of the command has to fit into the window. */
    mustFit: Type.Optional(Type.Boolean()),
    /** Start spread over this long, at an offset that follows from endpoint and job. */
    jitterSec: Type.Optional(Type.Integer({ minimum: 0, maximum: 86_400 })),
  },
  closed,
);
export type Conditions = Static<typeof ConditionsSchema>;

/**
 * `perform` runs the package's action; `replicate` only holds its content for the site (role dp); `cache`
 * brings the content and keeps it, before the start or to be launched offline (ZEN-17).
 */
export const InstructionSchema = Type.Object(
  {
    /** Stable for one desired state of one package on one endpoint. */
    job: JobId,
    purpose: Type.Enum(["perform", "replicate", "cache"]),
    /** Hash of the desired state; a change resets the attempts (SE-23, D7). */
    revision: Type.String({ pattern: "^[0-9a-f]{16}$" }),
    /** Order within the directive, from 0. */
    sequence: Type.Integer({ minimum: 0, maximum: 100_000 }),
    attemptLimit: Type.Integer({ minimum: 1, maximum: 100 }),
    /** Absent: install. `launch` runs the rules' `onLaunch` (ZEN-19). */
    operation: Type.Optional(Type.Enum(["install", "uninstall", "launch"])),
    conditions: Type.Optional(ConditionsSchema),
    /** Jobs of this directive that must have succeeded before (dependents, the old version's uninstall). */
    after: Type.Optional(Type.Array(JobId, { maxItems: 64 })),
    /** Jobs of one sequence; with `abort`, a failed one fails the rest with -8888 (OCO-48, OCO-49). */
    sequenceOf: Type.Optional(
      Type.Object({ id: Type.String({ maxLength: 100 }), abort: Type.Boolean() }, closed),
    ),
    /** Install also where it is detected already ("force same version"). */
    force: Type.Optional(Type.Boolean()),
    /** `latest` and `updateOnly` act on a detected older version; `updateOnly` never on none. */
    ensure: Type.Optional(Type.Enum(["present", "latest", "updateOnly", "absent"])),
    /** Minutes that a logged-in user has before a restart; negative: never (OCO-14). Absent: 20. */
    restartTimeoutMin: Type.Optional(Type.Integer({ minimum: -1, maximum: 1440 })),
    /** Shut down after the last job: only where the coordinator woke it in time (OCO-8…OCO-11). */
    shutdownAfter: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type Instruction = Static<typeof InstructionSchema>;

/** `custom` of one target in the director's targets file. */
export const DirectiveTargetSchema = Type.Object(
  {
    match: MatchSchema,
    swarm: SwarmTagSchema,
    instructions: Type.Array(InstructionSchema, { minItems: 1, maxItems: 16 }),
  },
  closed,
);
export type DirectiveTarget = Static<typeof DirectiveTargetSchema>;
export const parseDirectiveTarget = parserOf("the directive's target", DirectiveTargetSchema);
