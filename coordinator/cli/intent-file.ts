/** `apply`, `diff`, `plan` and `export`: intent as a file, in YAML or JSON. */
import { readFile, stat } from "node:fs/promises";
import { parse as parseYaml, stringify as yamlText } from "yaml";
import { DeployError } from "../../protocol/errors.ts";
import { parseChangesAnswer, type ChangesAnswer } from "../../protocol/intent-api.ts";
import { parseIntentFile, type IntentFile } from "../../protocol/intent.ts";
import { INTENT_REQUEST_MAX_BYTES } from "../../protocol/limits.ts";
import { changesText, printChanges } from "./change-text.ts";
import { countText } from "./quantities.ts";
import { openClient, type OperatorOptions } from "./operator.ts";
import { printResult, type Session } from "./terminal.ts";

export interface IntentFileOptions extends OperatorOptions {
  readonly file: string;
  readonly prune?: boolean;
  readonly dryRun?: boolean;
}

export async function apply(options: IntentFileOptions, session: Session): Promise<void> {
  const answer = await send(options, options.dryRun === true, session);
  printChanges(answer, options, session);
}

/** Throws CLI_DIFFERENT, which ends with 1, where the coordinator's intent is another one. */
export async function diff(options: IntentFileOptions, session: Session): Promise<void> {
  const answer = await send(options, true, session);
  const changes = answer.changes.filter(({ change }) => change !== "none");
  printResult(session.terminal, options.json, answer, changesText(answer));
  if (changes.length > 0) {
    const problem = `${countText(changes.length, "object")} of ${options.file} differ from the coordinator`;
    throw new DeployError("CLI_DIFFERENT", { problem });
  }
}

export async function exportFile(options: OperatorOptions, session: Session): Promise<void> {
  await using client = await openClient(options, session);
  const file = await client.ask("/v1/intent", parseIntentFile);
  printResult(session.terminal, options.json, file, yamlText(file, { lineWidth: 120 }));
}

async function send(
  options: IntentFileOptions,
  isDryRun: boolean,
  session: Session,
): Promise<ChangesAnswer> {
  const intent = await readIntentFile(options.file);
  const isPruning = options.prune === true ? { isPruning: true } : {};
  await using client = await openClient(options, session);
  return await client.tell(
    "POST",
    "/v1/intent",
    { intent, isDryRun, ...isPruning },
    parseChangesAnswer,
  );
}

/** Throws CLI_FILE or DOCUMENT_INVALID. */
export async function readIntentFile(path: string): Promise<IntentFile> {
  return parseIntentFile(await readYamlFile(path));
}

/** YAML, of which JSON is a part; without aliases, which could grow without bound. */
export async function readYamlFile(path: string): Promise<unknown> {
  const text = await boundedText(path);
  try {
    const document: unknown = parseYaml(text, { maxAliasCount: 0, schema: "core" });
    return document;
  } catch (cause) {
    const problem = cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause);
    throw new DeployError("DOCUMENT_INVALID", { what: `the file ${path}`, problem }, { cause });
  }
}

async function boundedText(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > INTENT_REQUEST_MAX_BYTES) {
      const limitBytes = INTENT_REQUEST_MAX_BYTES;
      throw new DeployError("DOCUMENT_TOO_LARGE", { what: `the file ${path}`, limitBytes });
    }
    return await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof DeployError) throw cause;
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new DeployError("CLI_FILE", { path, verb: "read", problem }, { cause });
  }
}
