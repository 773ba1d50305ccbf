/**
 * What detection means for an action: whether there is anything to do (SE-15), and whether it was done
 * (SE-19, field report of installers that say success and install nothing).
 */
import type { Instruction } from "../../protocol/directive.ts";

/**
 * `same`: exactly this package; `other`: another version or content of it; `unknown`: the package has no
 * detection rules.
 */
export type Found = "same" | "other" | "none" | "unknown";

export interface DetectionQuestion {
  readonly instruction: Pick<Instruction, "operation" | "ensure" | "force">;
  readonly found: Found;
  /** Whether this node itself installed some version of the package before. */
  readonly isKnownInstalled: boolean;
}

export type Need =
  | { readonly kind: "act" }
  | { readonly kind: "nothingToDo"; readonly reason: string }
  | { readonly kind: "notHere"; readonly reason: string };

const ACT: Need = { kind: "act" };

export function needOf({ instruction, found, isKnownInstalled }: DetectionQuestion): Need {
  const { operation = "install", ensure, force } = instruction;
  if (operation === "launch") return ACT;
  if (operation === "uninstall") {
    const isGone = found === "none" || found === "other";
    return isGone && force !== true ? { kind: "nothingToDo", reason: "it is not installed" } : ACT;
  }
  const exists = found === "same" || found === "other" || isKnownInstalled;
  // The base rule of update catalogues: what is not there is not brought.
  if (ensure === "updateOnly" && !exists) {
    return {
      kind: "notHere",
      reason: "it is not installed, and only existing software is updated",
    };
  }
  return found === "same" && force !== true
    ? { kind: "nothingToDo", reason: "it was found on the endpoint" }
    : ACT;
}

/** After an action that said success; undefined: the endpoint agrees. */
export function contradictionOf(
  operation: Instruction["operation"],
  found: Found,
): string | undefined {
  if (found === "unknown" || operation === "launch") return undefined;
  if (operation === "uninstall") {
    return found === "same"
      ? "the command said success, and the package is still there"
      : undefined;
  }
  return found === "same"
    ? undefined
    : "the command said success, and the package is not found afterwards";
}

/** Whether what was done before still holds (SE-19). */
export function hasDrifted(operation: Instruction["operation"], found: Found): boolean {
  if (found === "unknown" || operation === "launch") return false;
  return operation === "uninstall" ? found === "same" : found !== "same";
}
