/** Schemas of single fields that occur in many documents. */
import { Type } from "typebox";

/** ISO 8601 UTC. */
export const InstantSchema = Type.String({ maxLength: 30 });

/** Milliseconds since 1970, by the clock of whoever signs or sends the document. */
export const TimeMsSchema = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** The call only says what it would change. */
export const DryRunSchema = Type.Optional(Type.Boolean());

/** Hardware address of a network interface. */
export const MacSchema = Type.String({ pattern: "^[0-9a-f]{2}(:[0-9a-f]{2}){5}$" });

/** One TUF file, as its exact text. */
export const MetadataTextSchema = Type.String({ minLength: 2, maxLength: 262_144 });
