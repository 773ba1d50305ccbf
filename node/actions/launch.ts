/**
 * launch (OCS-25…27): a program out of the package's content, in a fresh temporary folder; its exit
 * code is the result.
 */
import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { DeployError } from "../../protocol/errors.ts";
import type { LaunchAction } from "../../protocol/package-action.ts";
import { isErrorCode } from "../content/write-file.ts";

export interface Command {
  readonly executable: string;
  readonly args: readonly string[];
}

/** Throws COMMAND_NOT_STARTED where the program is not a file of the content's top folder. */
export async function launchCommand(action: LaunchAction, folder: string): Promise<Command> {
  const refuse = (problem: string): DeployError =>
    new DeployError("COMMAND_NOT_STARTED", { command: action.program, problem });
  // OCS-26; the manifest's schema says so too, but this is where a path would do harm.
  if (/[/\\]/u.test(action.program) || action.program === "." || action.program === "..") {
    throw refuse("a program is named without a path");
  }
  const executable = join(folder, action.program);
  if (!(await isFile(executable))) throw refuse("the package's top folder has no such file");
  return { executable, args: action.args };
}

export async function isFile(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isFile();
  } catch (cause) {
    if (isErrorCode(cause, "ENOENT", "ENOTDIR", "EINVAL", "ENAMETOOLONG")) return false;
    throw cause;
  }
}
