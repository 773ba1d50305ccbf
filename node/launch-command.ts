/** The `launch` verb behind the command line: asks the node that runs on a data folder. */
import { DeployError } from "../protocol/errors.ts";
import { parsePackageName, parsePackageRef } from "../protocol/ids.ts";
import { askLaunch, type LaunchAnswer } from "./actions/launch-desk.ts";
import type { NodeSurroundings } from "./command.ts";

/** Launches a package on the node that runs on `data`, and says what was done (ZEN-13). */
export async function runLaunchCommand(
  text: string,
  options: { readonly data: string; readonly json?: boolean },
  surroundings: Pick<NodeSurroundings, "signal" | "writeOut">,
): Promise<void> {
  const wish = text.includes("@") ? parsePackageRef(text) : { name: parsePackageName(text) };
  const answer = await askLaunch(options.data, wish, surroundings.signal);
  surroundings.writeOut(options.json === true ? `${JSON.stringify(answer)}\n` : launchText(answer));
  if (answer.problem === undefined) return;
  throw new DeployError("LAUNCH_FAILED", { problem: answer.problem });
}

function launchText({ steps }: LaunchAnswer): string {
  return steps.map((step) => `${step.operation} ${step.package}: ${step.outcome}\n`).join("");
}
