/**
 * The files of one run, through which the agent and its detached runner talk: they outlive both.
 * `order.json` says what to run, `claim.json` that it was started, `result.json` how it ended.
 */
import { join } from "node:path";
import { Type, type Static } from "typebox";
import { parserOf, readJson, type Parse } from "../../protocol/json.ts";
import { OutcomeSchema } from "../../protocol/outcome.ts";
import { TraceStepSchema } from "../../protocol/report.ts";
import { readFileIfAny } from "../content/write-file.ts";

const closed = { additionalProperties: false } as const;
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
/** The kept output and 1 MiB of arguments, in JSON's worst spelling. */
const RUN_FILE_MAX_BYTES = 16 * 1024 * 1024;

export const RunOrderSchema = Type.Object(
  {
    executable: Type.String({ minLength: 1 }),
    args: Type.Array(Type.String()),
    /** Working folder; removed when the run has been reported. */
    folder: Type.String({ minLength: 1 }),
    env: Type.Record(Type.String(), Type.String()),
    timeoutMs: Count,
    outputLimitBytes: Count,
    /** Value of RUN_VARIABLE in the command's environment; finds processes that left their parents. */
    run: Type.String({ pattern: "^[0-9A-Za-z-]{1,120}$" }),
    successCodes: Type.Array(Type.Integer()),
    /** Classes of the package's own; they come before the list. */
    exitCodes: Type.Optional(
      Type.Array(Type.Object({ code: Type.Integer(), outcome: OutcomeSchema }, closed)),
    ),
    /** Off for `execute` without `captureExitCode` (OCS-31). */
    isExitCodeReported: Type.Boolean(),
    /** Steps up to the start, for the report of an agent that attaches later. */
    trace: Type.Array(
      Type.Object(
        { step: TraceStepSchema, atMs: Count, detail: Type.Optional(Type.String()) },
        closed,
      ),
    ),
  },
  closed,
);
export type RunOrder = Static<typeof RunOrderSchema>;

/** Environment variable that marks every process of a run. */
export const RUN_VARIABLE = "BRANCHLINE_RUN";

/** Made exclusively and synced before the command is started: whoever makes it may start it, once. */
export const RunClaimSchema = Type.Object(
  { bootId: Type.String(), pid: Count, startTime: Type.String() },
  closed,
);
export type RunClaim = Static<typeof RunClaimSchema>;

const outputField = { output: Type.String(), endedAtMs: Count };
export const RunResultSchema = Type.Union([
  Type.Object({ kind: Type.Literal("exited"), exitCode: Type.Integer(), ...outputField }, closed),
  Type.Object({ kind: Type.Literal("killed"), by: Type.String(), ...outputField }, closed),
  Type.Object({ kind: Type.Literal("timedOut"), ...outputField }, closed),
  Type.Object({ kind: Type.Literal("notStarted"), problem: Type.String(), ...outputField }, closed),
]);
export type RunResult = Static<typeof RunResultSchema>;

const parseOrder = parserOf("a run's order", RunOrderSchema);
const parseClaim = parserOf("a run's claim", RunClaimSchema);
const parseResult = parserOf("a run's result", RunResultSchema);

export function runFile(folder: string, kind: "order" | "claim" | "result"): string {
  return join(folder, `${kind}.json`);
}

export async function readOrder(folder: string): Promise<RunOrder | undefined> {
  return readRunFile(folder, "order", parseOrder);
}

export async function readResult(folder: string): Promise<RunResult | undefined> {
  return readRunFile(folder, "result", parseResult);
}

/** `torn`: made but not whole; its command may have been started or not. */
export async function readClaim(folder: string): Promise<RunClaim | "torn" | undefined> {
  const bytes = await readFileIfAny(runFile(folder, "claim"));
  if (bytes === undefined) return undefined;
  try {
    return parseClaim(JSON.parse(bytes.toString("utf8")));
  } catch {
    return "torn";
  }
}

async function readRunFile<T>(
  folder: string,
  kind: "order" | "result",
  parse: Parse<T>,
): Promise<T | undefined> {
  const bytes = await readFileIfAny(runFile(folder, kind));
  return bytes === undefined
    ? undefined
    : parse(readJson(`the run's ${kind}`, bytes, RUN_FILE_MAX_BYTES));
}
