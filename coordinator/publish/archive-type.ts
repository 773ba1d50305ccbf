/** Which archive goes with which system: .zip for Windows, .tar.gz for Linux (OCS-20). */
import { DeployError } from "../../protocol/errors.ts";
import type { Requirements } from "../../protocol/package-rules.ts";

const ZIP = /\.zip$/iu;
const TAR = /\.(?:tar|tar\.gz|tgz)$/iu;

/** Throws PUBLISH_ARCHIVE_TYPE. A package for several systems, or for any, may come in either. */
export function checkArchiveType(source: string, os: Requirements["os"]): void {
  const [only, ...others] = os ?? [];
  if (others.length > 0) return;
  const isWrong = (only === "linux" && ZIP.test(source)) || (only === "win32" && TAR.test(source));
  if (!isWrong) return;
  const system = only === "linux" ? "Linux" : "Windows";
  const expected = only === "linux" ? ".tar.gz" : ".zip";
  throw new DeployError("PUBLISH_ARCHIVE_TYPE", { path: source, system, expected });
}
