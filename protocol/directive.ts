/**
 * The directive: the custom parts of an endpoint's own director metadata (trust 2.4). It chooses among
 * what manifests allow and can add nothing to them.
 */
import { Type, type Static } from "typebox";
import { SwarmTagSchema } from "./ids.ts";
import { parserOf } from "./json.ts";
import { MatchSchema } from "./manifest.ts";

const closed = { additionalProperties: false } as const;

/** `perform` runs the package's action; `replicate` only holds its content for the site (role dp). */
export const InstructionSchema = Type.Object(
  {
    /** Stable for one desired state of one package on one endpoint. */
    job: Type.String({ pattern: "^[0-9A-Za-z-]{1,64}$" }),
    purpose: Type.Enum(["perform", "replicate"]),
    /** Hash of the desired state; a change resets the attempts (SE-23, D7). */
    revision: Type.String({ pattern: "^[0-9a-f]{16}$" }),
    /** Order within the directive, from 0. */
    sequence: Type.Integer({ minimum: 0, maximum: 100_000 }),
    attemptLimit: Type.Integer({ minimum: 1, maximum: 100 }),
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
