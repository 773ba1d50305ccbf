/**
 * Detection rules on this endpoint: whether a package is there, whatever was done before (SE-19). All
 * rules of a package have to hold.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Manifest } from "../../protocol/manifest.ts";
import type { DetectionRule } from "../../protocol/package-rules.ts";
import type { DetectedSoftware } from "../../protocol/report.ts";
import { inVersionRange, parseVersionRange } from "../../protocol/version-order.ts";
import { isErrorCode } from "../content/write-file.ts";
import type { Found } from "../core/detection.ts";
import { runBounded } from "./bounded-command.ts";

const OUTPUT_MAX_BYTES = 1024;

export interface DetectionParts {
  /** Relative paths lie here. */
  readonly storeFolder: string;
  readonly env: Readonly<Record<string, string>>;
  /** The package databases, read once for all rules of one look. */
  readonly software: () => Promise<readonly DetectedSoftware[]>;
  readonly signal: AbortSignal;
}

/** Rejects with the signal's reason only. */
export async function detect(manifest: Manifest, parts: DetectionParts): Promise<Found> {
  const rules = manifest.rules?.detection;
  if (rules === undefined) return "unknown";
  let hasTrace = false;
  let isSame = true;
  for (const rule of rules) {
    const found = await foundBy(rule, manifest, parts);
    parts.signal.throwIfAborted();
    hasTrace ||= found !== "none";
    isSame &&= found === "same";
  }
  if (isSame) return "same";
  return hasTrace ? "other" : "none";
}

async function foundBy(
  rule: DetectionRule,
  manifest: Manifest,
  parts: DetectionParts,
): Promise<Exclude<Found, "unknown">> {
  switch (rule.kind) {
    case "file":
      return foundFile(rule, parts.storeFolder);
    case "software":
      return foundSoftware(rule, manifest, await parts.software());
    case "command":
      return foundByCommand(rule, parts);
    default:
      return rule satisfies never;
  }
}

async function foundFile(
  rule: Extract<DetectionRule, { kind: "file" }>,
  storeFolder: string,
): Promise<"same" | "other" | "none"> {
  const path = isAbsolute(rule.path) ? rule.path : join(storeFolder, rule.path);
  try {
    const { size } = await stat(path);
    if (rule.sizeBytes !== undefined && rule.sizeBytes !== size) return "other";
    return rule.sha256 === undefined || rule.sha256 === (await sha256Of(path)) ? "same" : "other";
  } catch (cause) {
    // Not there, or not readable for us: either way it was not found.
    const codes = ["ENOENT", "ENOTDIR", "EACCES", "EISDIR", "ELOOP", "ENAMETOOLONG"];
    if (codes.some((code) => isErrorCode(cause, code))) return "none";
    throw cause;
  }
}

function foundSoftware(
  rule: Extract<DetectionRule, { kind: "software" }>,
  manifest: Manifest,
  software: readonly DetectedSoftware[],
): "same" | "other" | "none" {
  const found = software.filter(({ name }) => name === rule.name);
  if (found.length === 0) return "none";
  if (rule.versions === undefined) return "same";
  const range = parseVersionRange(rule.versions);
  const scheme = manifest.rules?.versionScheme ?? "numbers";
  return found.some(({ version }) => inVersionRange(range, scheme, version)) ? "same" : "other";
}

async function foundByCommand(
  rule: Extract<DetectionRule, { kind: "command" }>,
  { env, storeFolder, signal }: DetectionParts,
): Promise<"same" | "none"> {
  const [first = "", ...rest] = rule.command;
  const [file, args] = rule.shell ? shellWords(first, rest) : [first, rest];
  const end = await runBounded({
    file,
    args,
    env,
    folder: storeFolder,
    timeoutMs: rule.timeoutSec * 1000,
    outputLimitBytes: OUTPUT_MAX_BYTES,
    signal,
  });
  return end.kind === "exited" && end.exitCode === 0 ? "same" : "none";
}

// As in `execute`: a shell only where the signed manifest says so (trust X8).
function shellWords(script: string, args: readonly string[]): [string, readonly string[]] {
  return process.platform === "win32"
    ? ["cmd.exe", ["/d", "/s", "/c", script, ...args]]
    : ["/bin/sh", ["-c", script, "sh", ...args]];
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
