/**
 * What a package does: built from the publisher's options, and held against the content. A package has a
 * level, an action, optional content and an optional command, in the combinations of OCS-21…33 only.
 */
import { DeployError } from "../../protocol/errors.ts";
import { COMMAND_TIMEOUT_DEFAULT_SEC } from "../../protocol/limits.ts";
import type { Action, LaunchAction, StoreAction } from "../../protocol/package-action.ts";
import { checkPackagePath } from "../../protocol/package-path.ts";
import type { ContentEntry } from "./content-reader.ts";
import { splitCommand } from "./split-command.ts";

export interface ActionOptions {
  readonly action: string;
  readonly command?: string;
  readonly path?: string;
  readonly shell?: boolean;
  readonly captureExitCode?: boolean;
  readonly timeoutSec?: number;
  readonly successCodes?: readonly number[];
}

// What an installer returns when all went well; others are named by the publisher.
const SUCCESS_CODES_DEFAULT = [0];
const SHOWN_CANDIDATES = 10;

/** Throws PUBLISH_ACTION_INVALID for a combination that no package may have. */
export function actionFrom(options: ActionOptions): Action {
  switch (options.action) {
    case "launch":
      return launchFrom(options);
    case "execute":
      return executeFrom(options);
    case "store":
      return storeFrom(options);
    default:
      throw new DeployError("INPUT_INVALID", {
        what: `action "${options.action.slice(0, 100)}"`,
        expected: "launch, execute or store",
      });
  }
}

/** Checks that need no content; before anything is read. */
export function checkAction(action: Action, hasContent: boolean): void {
  if (action.kind === "launch") {
    if (!hasContent) throw misfit("launch", "it needs content that holds the program (OCS-25)");
    refuseProgramPath(action.program);
  }
  if (action.kind === "store") {
    if (!hasContent) throw misfit("store", "it needs content to store (OCS-32)");
    refuseStorePath(action.path);
  }
}

/**
 * The content with the launch program found and executable. A zip made on Windows knows no executable bit,
 * and a program that is launched has to be one. Throws PUBLISH_ACTION_INVALID naming the candidates.
 */
export function withProgram(
  action: Action,
  tree: readonly ContentEntry[],
): readonly ContentEntry[] {
  if (action.kind !== "launch") return tree;
  const { program } = action;
  const isProgram = (entry: ContentEntry): boolean =>
    entry.kind === "file" && entry.path === program;
  if (!tree.some(isProgram)) throw misfit("launch", missingProgram(program, tree));
  return tree.map((entry) =>
    entry.kind === "file" && isProgram(entry) ? { ...entry, isExecutable: true } : entry,
  );
}

function launchFrom(options: ActionOptions): LaunchAction {
  refuseOption("launch", "path", options.path, "it unpacks into a temporary folder (OCS-25)");
  refuseOption("launch", "shell", options.shell, "it starts a program of the content (OCS-25)");
  const [program, ...args] = splitCommand(options.command ?? "");
  if (program === undefined || program === "") {
    throw misfit("launch", "--command is missing: the program's file name (OCS-26)");
  }
  refuseProgramPath(program);
  return { kind: "launch", program, args, ...runFields(options) };
}

function executeFrom(options: ActionOptions): Action {
  refuseOption("execute", "path", options.path, "its command runs in a temporary folder (OCS-30)");
  const text = options.command ?? "";
  const command = options.shell === true ? [text] : splitCommand(text);
  if (text.trim() === "" || command[0] === "") {
    throw misfit("execute", "--command is missing (OCS-28)");
  }
  return {
    kind: "execute",
    command,
    shell: options.shell ?? false,
    captureExitCode: options.captureExitCode ?? false,
    ...runFields(options),
  };
}

function storeFrom(options: ActionOptions): StoreAction {
  const why = "it only stores files and runs nothing (OCS-33)";
  refuseOption("store", "command", options.command, why);
  refuseOption("store", "shell", options.shell, why);
  refuseOption("store", "capture-exit-code", options.captureExitCode, why);
  refuseOption("store", "timeout", options.timeoutSec, why);
  refuseOption("store", "success-codes", options.successCodes, why);
  if (options.path === undefined || options.path === "") {
    throw misfit("store", "--path is missing: where to store the content (OCS-33)");
  }
  refuseStorePath(options.path);
  return { kind: "store", path: options.path };
}

function runFields(options: ActionOptions): { timeoutSec: number; successCodes: number[] } {
  return {
    timeoutSec: options.timeoutSec ?? COMMAND_TIMEOUT_DEFAULT_SEC,
    successCodes: [...(options.successCodes ?? SUCCESS_CODES_DEFAULT)],
  };
}

function refuseOption(action: string, name: string, value: unknown, why: string): void {
  // A switch that is off was not asked for.
  if (value !== undefined && value !== false)
    throw misfit(action, `--${name} is given, but ${why}`);
}

function refuseProgramPath(program: string): void {
  if (/[/\\]/u.test(program)) {
    throw misfit("launch", `${program} is a path; name the program's file only (OCS-26)`);
  }
}

function refuseStorePath(path: string): void {
  const isAbsolute = path.startsWith("/") || /^[A-Za-z]:[\\/]/u.test(path);
  if (!isAbsolute) {
    const reason = checkPackagePath(path);
    if (reason !== undefined) throw misfit("store", `the path ${path} is not good: ${reason}`);
  } else if (path.split(/[\\/]/u).some((segment) => segment === ".." || segment === ".")) {
    throw misfit("store", `the path ${path} holds a segment . or ..`);
  }
}

function missingProgram(program: string, tree: readonly ContentEntry[]): string {
  const files = tree.filter((entry) => entry.kind === "file").map((entry) => entry.path);
  const deeper = files.find((path) => path.endsWith(`/${program}`));
  if (deeper !== undefined) {
    return `${program} is not in the top folder of the content but at ${deeper}; pack the inside of its folder`;
  }
  const top = files.filter((path) => !path.includes("/"));
  if (top.length === 0) return `the top folder of the content has no file, so no ${program}`;
  const shown = top.slice(0, SHOWN_CANDIDATES).join(", ");
  const more = top.length > SHOWN_CANDIDATES ? ` and ${top.length - SHOWN_CANDIDATES} more` : "";
  return `the top folder of the content has no ${program}; it has ${shown}${more}`;
}

function misfit(action: string, problem: string): DeployError {
  return new DeployError("PUBLISH_ACTION_INVALID", { action, problem });
}
