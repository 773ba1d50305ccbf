/** Bars as operators see them: who is kept out of its site for wrong bytes, why, and until when. */
import { Type, type Static } from "typebox";
import { InstantSchema, TimeMsSchema } from "./field-schemas.ts";
import { EndpointIdSchema } from "./ids.ts";
import { parserOf } from "./json.ts";

const closed = { additionalProperties: false } as const;

export const BarViewSchema = Type.Object(
  {
    endpoint: EndpointIdSchema,
    name: Type.String(),
    /** `proof`: it signed a wrong digest; `reports`: three say so; `doubt`: it accuses many, alone. */
    reason: Type.Enum(["proof", "reports", "doubt"]),
    sinceMs: TimeMsSchema,
    /** Absent: until an operator lifts it. */
    untilMs: Type.Optional(TimeMsSchema),
    /** Names of the endpoints that reported it. */
    reporters: Type.Array(Type.String()),
  },
  closed,
);
export type BarView = Static<typeof BarViewSchema>;

/** On the pages of the endpoint that it concerns. */
export const BarNoteSchema = Type.Object({
  reason: BarViewSchema.properties.reason,
  since: InstantSchema,
  /** Absent: until an operator lifts it. */
  until: Type.Optional(InstantSchema),
  /** A sentence for a person, and what to do about it. */
  text: Type.String(),
  hint: Type.String(),
});
export type BarNote = Static<typeof BarNoteSchema>;

/** GET /v1/bars */
export const BarsSchema = Type.Object({ bars: Type.Array(BarViewSchema) }, closed);
export const parseBars = parserOf("the bars", BarsSchema);

/** Body and answer of POST /v1/bars/lift; `endpoint` is an id or a name. */
export const BarLiftSchema = Type.Object(
  { endpoint: Type.String({ minLength: 1, maxLength: 100 }) },
  closed,
);
export const parseBarLift = parserOf("the lifted bar", BarLiftSchema);
