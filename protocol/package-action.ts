/**
 * The three kinds of action (OCS-25…OCS-33): the only commands that an endpoint ever runs.
 */
import { Type, type Static } from "typebox";

const closed = { additionalProperties: false } as const;
const Argument = Type.String({ maxLength: 4096, pattern: "^[^\\u0000]*$" });

const runFields = {
  timeoutSec: Type.Integer({ minimum: 1, maximum: 86_400 }),
  /** Exit codes that mean success; an empty list means every code does (OCO-50). */
  successCodes: Type.Array(Type.Integer({ minimum: -2_147_483_648, maximum: 4_294_967_295 }), {
    maxItems: 64,
  }),
};

/** OCS-25…27: content is required; `program` is a file of the content's top folder, without a path. */
export const LaunchActionSchema = Type.Object(
  {
    kind: Type.Literal("launch"),
    program: Type.String({ minLength: 1, maxLength: 120, pattern: "^[^/\\\\\\u0000]+$" }),
    args: Type.Array(Argument, { maxItems: 256 }),
    ...runFields,
  },
  closed,
);

/** OCS-28…31: content is optional; the command runs in the temporary folder. */
export const ExecuteActionSchema = Type.Object(
  {
    kind: Type.Literal("execute"),
    /** Executable and arguments; with `shell`, one script for the system's shell. */
    command: Type.Array(Argument, { minItems: 1, maxItems: 257 }),
    shell: Type.Boolean(),
    /** Decision D3: off, the result has no exit code. */
    captureExitCode: Type.Boolean(),
    ...runFields,
  },
  closed,
);

/** OCS-32, OCS-33: no command, only a path. A relative path lies below the node's own store folder. */
export const StoreActionSchema = Type.Object(
  {
    kind: Type.Literal("store"),
    path: Type.String({ minLength: 1, maxLength: 1024, pattern: "^[^\\u0000]+$" }),
  },
  closed,
);

export const ActionSchema = Type.Union([
  LaunchActionSchema,
  ExecuteActionSchema,
  StoreActionSchema,
]);
export type LaunchAction = Static<typeof LaunchActionSchema>;
export type ExecuteAction = Static<typeof ExecuteActionSchema>;
export type StoreAction = Static<typeof StoreActionSchema>;
export type Action = Static<typeof ActionSchema>;
