/**
 * The endpoint's own word on a job, right before it acts: whether it can run here (ZEN-15), and whether
 * there is anything to do (SE-15).
 */
import { join } from "node:path";
import type { Manifest } from "../../protocol/manifest.ts";
import { contradictionOf, needOf, type Found } from "../core/detection.ts";
import { missingRequirement } from "../core/requirements.ts";
import { detect } from "../scan/detect.ts";
import type { VerifiedInstruction } from "../trust/verified-instruction.ts";
import type { JobParts } from "./job-parts.ts";

/** An end without an attempt. */
export interface QuietVerdict {
  readonly end: "alreadyInstalled" | "incompatible";
  readonly reason: string;
}

/** Undefined: it shall act. */
export async function judgeJob(
  parts: JobParts,
  manifest: Manifest,
  { instruction }: VerifiedInstruction,
  signal: AbortSignal,
): Promise<QuietVerdict | undefined> {
  const { operation = "install" } = instruction;
  if (operation === "install") {
    const missing = await missingHere(parts, manifest, signal);
    if (missing !== undefined) return { end: "incompatible", reason: missing };
  }
  const need = needOf({
    instruction,
    found: operation === "launch" ? "unknown" : await findPackage(parts, manifest, signal),
    isKnownInstalled: parts.journal.state.installed.has(manifest.name),
  });
  switch (need.kind) {
    case "act":
      return undefined;
    case "nothingToDo":
      return { end: "alreadyInstalled", reason: need.reason };
    case "notHere":
      return { end: "incompatible", reason: need.reason };
    default:
      return need satisfies never;
  }
}

/** After a command that said success: what the endpoint says against it. */
export async function contradiction(
  parts: JobParts,
  manifest: Manifest,
  { instruction }: VerifiedInstruction,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (manifest.rules?.detection === undefined) return undefined;
  return contradictionOf(instruction.operation, await findPackage(parts, manifest, signal));
}

export async function findPackage(
  { machine, dataDir, environment }: JobParts,
  manifest: Manifest,
  signal: AbortSignal,
): Promise<Found> {
  return detect(manifest, {
    storeFolder: join(dataDir, "store"),
    env: environment,
    software: async () => machine.software(signal),
    signal,
  });
}

async function missingHere(
  { machine, journal, placement }: JobParts,
  { rules }: Manifest,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (rules?.requirements === undefined) return undefined;
  const { inventory, memoryBytes, freeDiskBytes } = await machine.facts();
  const { site, publicAddress } = placement();
  const installed = [...journal.state.installed].map(([name, version]) => ({ name, version }));
  // Asked for only where a query may name it: a look into the package database costs most.
  const { query } = rules.requirements;
  const software = query === undefined ? [] : await machine.software(signal);
  const full = { ...inventory, site, address: publicAddress, software, installed };
  return missingRequirement(rules.requirements, { inventory: full, memoryBytes, freeDiskBytes });
}
