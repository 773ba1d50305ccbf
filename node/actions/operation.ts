/**
 * What an operation runs: the package's action to install it, its uninstall command, or what it does at
 * every launch. The signed manifest alone says it.
 */
import type { Instruction } from "../../protocol/directive.ts";
import { DeployError } from "../../protocol/errors.ts";
import { packageRefText } from "../../protocol/ids.ts";
import type { Manifest } from "../../protocol/manifest.ts";
import type { Action } from "../../protocol/package-action.ts";

export interface OperationWork {
  readonly action: Action;
  readonly needsContent: boolean;
}

/** Undefined: the operation has nothing to run. Throws UNINSTALL_IMPOSSIBLE. */
export function workOf(
  manifest: Manifest,
  operation: Instruction["operation"],
): OperationWork | undefined {
  if (operation === "launch") return besides(manifest.rules?.onLaunch);
  if (operation !== "uninstall") {
    return { action: manifest.action, needsContent: manifest.content !== undefined };
  }
  const work = besides(manifest.rules?.uninstall);
  if (work !== undefined) return work;
  throw new DeployError("UNINSTALL_IMPOSSIBLE", { package: packageRefText(manifest) });
}

/** Whether the content has to be here for it. */
export function needsContent(manifest: Manifest, instruction: Instruction): boolean {
  if (instruction.purpose !== "perform") return manifest.content !== undefined;
  const { operation } = instruction;
  if (operation === undefined || operation === "install") return manifest.content !== undefined;
  const action = operation === "launch" ? manifest.rules?.onLaunch : manifest.rules?.uninstall;
  return action?.kind === "launch";
}

/** Longest time that the operation may take. */
export function runLimitMs(manifest: Manifest, operation: Instruction["operation"]): number {
  const { action, rules } = manifest;
  const own =
    operation === "launch"
      ? rules?.onLaunch
      : operation === "uninstall"
        ? rules?.uninstall
        : action;
  return own === undefined || own.kind === "store" ? 0 : own.timeoutSec * 1000;
}

// A whole package is not fetched to run a command of the system: `execute` works without the content here,
// `launch` starts a program of the content and brings it.
function besides(action: Extract<Action, { kind: "launch" | "execute" }> | undefined) {
  return action === undefined ? undefined : { action, needsContent: action.kind === "launch" };
}
