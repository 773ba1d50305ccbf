/**
 * The look of a run at everything that was done: what no longer holds is due again (SE-19), what turned
 * out to be there after all is done, and which packages of ours are on the endpoint (SE-18).
 */
import type { Manifest } from "../../protocol/manifest.ts";
import type { DetectedSoftware } from "../../protocol/report.ts";
import { NO_ATTEMPTS, wishKey, isExhausted } from "../core/attempts.ts";
import { hasDrifted, type Found } from "../core/detection.ts";
import type { VerifiedInstruction } from "../trust/verified-instruction.ts";
import { reasonOf } from "./command-result.ts";
import type { JobParts } from "./job-parts.ts";
import { findPackage } from "./judge-job.ts";

export interface JobReview {
  /** Packages of ours that their detection rules find. */
  readonly software: readonly DetectedSoftware[];
  readonly drifted: readonly VerifiedInstruction[];
  /** Given up before, and yet there. */
  readonly arrived: readonly VerifiedInstruction[];
}

/** Rejects with the signal's reason only. */
export async function reviewJobs(
  parts: JobParts,
  instructions: readonly VerifiedInstruction[],
  signal: AbortSignal,
): Promise<JobReview> {
  const software: DetectedSoftware[] = [];
  const drifted: VerifiedInstruction[] = [];
  const arrived: VerifiedInstruction[] = [];
  const judges = lastWords(instructions);
  for (const instruction of instructions) {
    const found = await foundHere(parts, instruction, signal);
    if (found === undefined) continue;
    const { operation = "install", attemptLimit } = instruction.instruction;
    const { name, version } = instruction.ref;
    if (found === "same") software.push({ name, version, source: "rule" });
    if (judges.get(name) !== instruction) continue;
    const record = parts.journal.state.records.get(wishKey(instruction.instruction)) ?? NO_ATTEMPTS;
    if (record.isDone && hasDrifted(operation, found)) drifted.push(instruction);
    const isGivenUp = isExhausted(record, attemptLimit);
    if (isGivenUp && operation === "install" && found === "same") arrived.push(instruction);
  }
  return { software, drifted, arrived };
}

// Where several jobs are about one package, only the last of them says what has to hold: an older
// version that a newer one replaced has not drifted.
function lastWords(
  instructions: readonly VerifiedInstruction[],
): ReadonlyMap<string, VerifiedInstruction> {
  const ordered = instructions
    .filter(({ instruction }) => instruction.purpose === "perform")
    .filter(({ instruction }) => instruction.operation !== "launch")
    .toSorted((one, other) => one.instruction.sequence - other.instruction.sequence);
  return new Map(ordered.map((one) => [one.ref.name, one] as const));
}

async function foundHere(
  parts: JobParts,
  instruction: VerifiedInstruction,
  signal: AbortSignal,
): Promise<Exclude<Found, "unknown"> | undefined> {
  const { purpose, operation } = instruction.instruction;
  if (purpose !== "perform" || operation === "launch") return undefined;
  const manifest = await heldManifest(parts, instruction);
  if (manifest?.rules?.detection === undefined) return undefined;
  try {
    const found = await findPackage(parts, manifest, signal);
    return found === "unknown" ? undefined : found;
  } catch (error) {
    signal.throwIfAborted();
    // Rules that cannot be followed say nothing; the job itself reports them.
    parts.onAgentError(error, reasonOf(error));
    return undefined;
  }
}

export async function heldManifest(
  { manifests, trust, onAgentError }: JobParts,
  instruction: VerifiedInstruction,
): Promise<Manifest | undefined> {
  const bytes = await manifests.held(instruction.manifestDigest);
  if (bytes === undefined) return undefined;
  try {
    return trust.verifyManifest(bytes, instruction);
  } catch (error) {
    // Damaged on disk: it is fetched and verified again before anything acts on it.
    onAgentError(error, reasonOf(error));
    return undefined;
  }
}
