/** Restarts and shutdowns by the system's own command, which also warns logged-in users (OCO-14). */
import { DeployError } from "../../protocol/errors.ts";
import { runBounded } from "../scan/bounded-command.ts";

const TIMEOUT_MS = 60_000;
const OUTPUT_MAX_BYTES = 4096;
const NOTICE = "Software deployment: this computer goes down. Please save your work.";

export type PowerKind = "restart" | "shutdown";

/** Arguments of `shutdown` as this platform writes them; an own command gets the same. */
export function powerArgs(
  kind: PowerKind,
  delayMin: number,
  platform: NodeJS.Platform,
): readonly string[] {
  if (platform === "win32") {
    return [kind === "restart" ? "/r" : "/s", "/t", String(delayMin * 60), "/c", NOTICE];
  }
  return [kind === "restart" ? "-r" : "-h", delayMin === 0 ? "now" : `+${delayMin}`, NOTICE];
}

/** Throws POWER_COMMAND_FAILED. */
export async function runPowerCommand(
  command: string,
  env: Readonly<Record<string, string>>,
  kind: PowerKind,
  delayMin: number,
): Promise<void> {
  const end = await runBounded({
    file: command,
    args: powerArgs(kind, delayMin, process.platform),
    env,
    timeoutMs: TIMEOUT_MS,
    outputLimitBytes: OUTPUT_MAX_BYTES,
  });
  if (end.kind === "exited" && end.exitCode === 0) return;
  const problem =
    end.kind === "exited"
      ? `${command} ended with ${end.exitCode}`
      : end.kind === "absent"
        ? `there is no ${command}`
        : end.problem;
  throw new DeployError("POWER_COMMAND_FAILED", { kind, problem });
}
