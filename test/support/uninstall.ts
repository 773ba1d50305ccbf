/** An uninstall command, as almost every package of a test has one. */
import type { PackageRules } from "../../protocol/package-rules.ts";

export const UNINSTALL = {
  kind: "execute",
  command: ["remove"],
  shell: false,
  captureExitCode: true,
  timeoutSec: 60,
  successCodes: [0],
} as const satisfies PackageRules["uninstall"];
