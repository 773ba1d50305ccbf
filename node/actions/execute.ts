/**
 * execute (OCS-28…31): any command of the endpoint or of the package, started in the temporary folder,
 * with or without content. Its exit code is not looked at unless the package asks for it.
 */
import { isAbsolute, join } from "node:path";
import { DeployError } from "../../protocol/errors.ts";
import type { ExecuteAction } from "../../protocol/package-action.ts";
import { isFile, type Command } from "./launch.ts";

/** The executable is an absolute path, a path within the folder, a file of the folder, or found by PATH. */
export async function executeCommand(action: ExecuteAction, folder: string): Promise<Command> {
  const [first, ...args] = action.command;
  if (first === undefined || first === "") {
    throw new DeployError("COMMAND_NOT_STARTED", { command: '""', problem: "it is empty" });
  }
  if (action.shell) return shellCommand(first, args);
  if (isAbsolute(first)) return { executable: first, args };
  const inFolder = join(folder, first);
  const hasPath = /[/\\]/u.test(first);
  const executable = hasPath || (await isFile(inFolder)) ? inFolder : first;
  return { executable, args };
}

// Only where the signed manifest says so: nothing else in the project hands text to a shell (trust X8).
function shellCommand(script: string, args: readonly string[]): Command {
  if (process.platform === "win32") {
    return { executable: "cmd.exe", args: ["/d", "/s", "/c", script, ...args] };
  }
  return { executable: "/bin/sh", args: ["-c", script, "sh", ...args] };
}
