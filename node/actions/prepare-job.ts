/**
 * Everything before an execution, in the order that BR-5 asks for: location, DP, manifest, content.
 */
import type { SourceBytes } from "../../protocol/check-in.ts";
import { DeployError } from "../../protocol/errors.ts";
import type { Manifest } from "../../protocol/manifest.ts";
import type { TraceStep } from "../../protocol/report.ts";
import type { FetchProgress, SwarmItem } from "../content/ports.ts";
import type { VerifiedInstruction } from "../trust/verified-instruction.ts";
import type { TraceEntry } from "./attempt.ts";
import { reasonOf } from "./command-result.ts";
import type { JobParts } from "./job-parts.ts";
import { jobReport, type JobFacts } from "./job-report.ts";

/** Progress is told at most this often. */
const PROGRESS_MIN_MS = 1000;
const NO_BYTES: SourceBytes = { local: 0, peer: 0, dp: 0, origin: 0 };

/** A job whose manifest is verified and whose fragments are on this node. */
export interface PreparedJob {
  readonly manifest: Manifest;
  readonly facts: () => JobFacts;
  readonly trace: () => readonly TraceEntry[];
  readonly onStep: (step: TraceStep, detail?: string) => void;
  readonly refetch: (signal: AbortSignal) => Promise<void>;
}

/** Rejects with the signal's reason, or with why the manifest or its content cannot be had now. */
export async function prepareJob(
  parts: JobParts,
  instruction: VerifiedInstruction,
  attempt: number,
  signal: AbortSignal,
): Promise<PreparedJob> {
  const job = jobInPreparation(parts, instruction, attempt);
  job.onStep("location", parts.placement().site ?? "no site");
  job.onStep("dpChosen", parts.placement().dp ?? "none");
  try {
    const manifest = await verifiedManifest(parts, instruction, signal);
    job.onStep("manifestVerified");
    const refetch = async (within: AbortSignal): Promise<void> => job.fetch(manifest, within);
    await refetch(signal);
    return { manifest, refetch, facts: job.facts, trace: job.trace, onStep: job.onStep };
  } catch (error) {
    if (!signal.aborted) job.mention("waiting", reasonOf(error));
    throw error;
  }
}

async function verifiedManifest(
  parts: JobParts,
  instruction: VerifiedInstruction,
  signal: AbortSignal,
): Promise<Manifest> {
  try {
    const bytes = await parts.manifests.get(instruction.manifestDigest, signal);
    return parts.trust.verifyManifest(bytes, instruction);
  } catch (error) {
    // BR-2: what is not what was signed is told to the fleet's operators, and not used.
    if (error instanceof DeployError && !error.code.startsWith("UPLINK_")) {
      const detail = `${instruction.targetPath}: ${error.message}`;
      parts.onRefusal({ code: error.code, detail });
    }
    throw error;
  }
}

interface JobInPreparation {
  readonly facts: () => JobFacts;
  readonly trace: () => readonly TraceEntry[];
  readonly onStep: (step: TraceStep, detail?: string) => void;
  readonly mention: (state: "waiting" | "downloading", reason?: string) => void;
  readonly fetch: (manifest: Manifest, signal: AbortSignal) => Promise<void>;
}

function jobInPreparation(
  parts: JobParts,
  instruction: VerifiedInstruction,
  attempt: number,
): JobInPreparation {
  const trace: TraceEntry[] = [];
  const meter = byteMeter(parts);
  const place = parts.placement();
  const facts = (): JobFacts => ({
    endpoint: parts.endpoint,
    ref: instruction.ref,
    instruction: instruction.instruction,
    attempt,
    trace,
    bytes: meter.bytes(),
    site: place.site,
    dp: place.dp,
  });
  const mention: JobInPreparation["mention"] = (state, reason) => {
    const fields = reason === undefined ? {} : { reason };
    parts.outbox.mention(jobReport(facts(), state, parts.outbox.nextOrder(), parts.now(), fields));
  };
  const onStep: JobInPreparation["onStep"] = (step, detail) => {
    const more = detail === undefined ? {} : { detail: detail.slice(0, 200) };
    trace.push({ step, atMs: parts.now(), ...more });
  };
  const fetch: JobInPreparation["fetch"] = async (manifest, signal) => {
    if (manifest.content === undefined) return;
    const { swarm, manifestDigest } = instruction;
    const item: SwarmItem = { swarm, manifestDigest, manifest };
    let toldMs = Number.NEGATIVE_INFINITY;
    meter.start();
    // Counted bytes outlive a kill, and the next check-in already tells them.
    const saves = new AsyncQueue();
    const onProgress = (progress: FetchProgress): void => {
      meter.count(progress.bytes);
      if (parts.now() - toldMs < PROGRESS_MIN_MS) return;
      toldMs = parts.now();
      mention("downloading");
      saves.add(meter.save);
    };
    mention("downloading");
    try {
      meter.count((await parts.exchange.fetch(item, signal, onProgress)).bytes);
    } finally {
      saves.add(meter.save);
      await saves.ended();
    }
    onStep("contentFetched");
  };
  return { facts, trace: () => trace, onStep, mention, fetch };
}

/** Runs one after the other what callers cannot wait for; the first failure shows at the end. */
class AsyncQueue {
  #last: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;

  add(work: () => Promise<void>): void {
    this.#last = this.#last.then(work).catch((error: unknown) => {
      this.#failure ??= { error };
    });
  }

  async ended(): Promise<void> {
    await this.#last;
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

interface ByteMeter {
  /** A new fetch counts from zero again. */
  readonly start: () => void;
  readonly count: (bytes: SourceBytes) => void;
  /** Of this job, over all its fetches in this process. */
  readonly bytes: () => SourceBytes;
  /** What has come in since the last save goes into the journal. */
  readonly save: () => Promise<void>;
}

function byteMeter(parts: JobParts): ByteMeter {
  let before = NO_BYTES;
  let current = NO_BYTES;
  let saved = NO_BYTES;
  const total = (): SourceBytes => combined(before, current, (one, other) => one + other);
  return {
    start: () => {
      before = total();
      current = NO_BYTES;
    },
    count: (bytes) => {
      // Counters of a source only grow, whatever the exchange says.
      current = combined(current, bytes, Math.max);
    },
    bytes: total,
    save: async () => {
      const growth = combined(total(), saved, (one, other) => one - other);
      saved = total();
      if (Object.values(growth).some((count) => count > 0)) {
        await parts.journal.note({ type: "bytes", bytes: growth });
      }
    },
  };
}

function combined(
  one: SourceBytes,
  other: SourceBytes,
  operation: (one: number, other: number) => number,
): SourceBytes {
  return {
    local: operation(one.local, other.local),
    peer: operation(one.peer, other.peer),
    dp: operation(one.dp, other.dp),
    origin: operation(one.origin, other.origin),
  };
}
