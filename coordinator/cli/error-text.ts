/**
 * How a failure looks: one sentence and one hint for a person, one JSON object for a program, and the
 * exit code. A stack is for BRANCHLINE_DEBUG only.
 */
import { inspect } from "node:util";
import { DeployError } from "../../protocol/errors.ts";

export const EXIT_DONE = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
/** 128 + SIGINT, as shells expect it. */
export const EXIT_INTERRUPTED = 130;

/** What the person typed is at fault; the same words can never succeed. */
const USAGE_CODES: ReadonlySet<string> = new Set([
  "CLI_USAGE",
  "INPUT_INVALID",
  "PUBLISH_ACTION_INVALID",
  "PUBLISH_ARCHIVE_TYPE",
]);

export interface ShownError {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  /** Id of the refused request, to find it in the coordinator's log. */
  readonly requestId?: string;
}

export function shownError(error: unknown): ShownError {
  if (error instanceof DeployError) {
    const { apiCode, requestId } = error.details;
    return {
      // A refusal keeps the code that the coordinator gave.
      code: typeof apiCode === "string" ? apiCode : error.code,
      message: oneLine(error.message),
      hint: oneLine(error.hint),
      ...(typeof requestId === "string" ? { requestId } : {}),
    };
  }
  const reason = error instanceof Error ? error.message : String(error);
  return {
    code: "UNEXPECTED",
    message: `something unexpected went wrong: ${oneLine(reason)}`,
    hint: "Run again with BRANCHLINE_DEBUG=1 for details.",
  };
}

export function exitCodeOf(error: unknown): number {
  if (!(error instanceof DeployError)) return EXIT_FAILED;
  if (error.code === "CLI_INTERRUPTED") return EXIT_INTERRUPTED;
  return USAGE_CODES.has(error.code) ? EXIT_USAGE : EXIT_FAILED;
}

export interface ErrorLook {
  readonly isJson: boolean;
  readonly isDebug: boolean;
  /** Makes the word `error:` red where a terminal reads it. */
  readonly emphasise: (text: string) => string;
}

/** The text for stderr, with its final newline. */
export function errorText(error: unknown, look: ErrorLook): string {
  const shown = shownError(error);
  const details = look.isDebug ? `${inspect(error, { depth: 4 })}\n` : "";
  if (look.isJson) return `${details}${JSON.stringify(shown)}\n`;
  const hint = shown.hint === "" ? "" : `hint: ${shown.hint}\n`;
  return `${look.emphasise("error:")} ${shown.message}\n${hint}${details}`;
}

// Messages may carry text of other machines; neither a line break nor a control character gets out.
function oneLine(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, " ").trim();
}
