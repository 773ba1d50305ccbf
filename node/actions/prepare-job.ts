/**
 * Everything before an execution, in the order that BR-5 asks for: location, DP, manifest, content.
 */
import type { Bitmap } from "../../protocol/bitmap.ts";
import type { SourceBytes } from "../../protocol/check-in.ts";
import { DeployError } from "../../protocol/errors.ts";
import { packageRefText } from "../../protocol/ids.ts";
import type { Manifest } from "../../protocol/manifest.ts";
import type { TraceStep } from "../../protocol/report.ts";
import type { LocalContent } from "../content/assemble.ts";
import type { FetchProgress, SwarmItem } from "../content/ports.ts";
import type { VerifiedInstruction } from "../trust/verified-instruction.ts";
import type { TraceEntry } from "./attempt.ts";
import { resultOfError } from "./command-result.ts";
import { fetchContent, type ContentParts } from "./fetch-content.ts";
import type { JobParts } from "./job-parts.ts";
import { jobReport, type JobFacts } from "./job-report.ts";
import { needsContent } from "./operation.ts";
import { withStallLimit } from "./stall-limit.ts";

/** Progress is told at most this often: each time is a request over the office line. */
const PROGRESS_MIN_MS = 15_000;
/** Counted bytes outlive a kill. */
const SAVE_MIN_MS = 1000;
const NO_BYTES: SourceBytes = { local: 0, peer: 0, dp: 0, origin: 0 };

/** A job whose manifest is verified and, unless it turned out to be needless, whose fragments are here. */
export interface PreparedJob {
  readonly manifest: Manifest;
  readonly facts: () => JobFacts;
  readonly trace: () => readonly TraceEntry[];
  readonly onStep: (step: TraceStep, detail?: string) => void;
  /** `isPlain`: without what is on this machine, because it proved wrong. `wanted`: nothing else. */
  readonly refetch: (signal: AbortSignal, isPlain: boolean, wanted?: Bitmap) => Promise<void>;
  /** What the files are put together from, besides fragments. */
  readonly local: () => LocalContent | undefined;
  /** Notes for later versions that this one is on this machine, in a folder or as fragments. */
  readonly remember: (folder: string | undefined) => Promise<void>;
}

export interface Preparation {
  readonly instruction: VerifiedInstruction;
  readonly attempt: number;
  /** Asked when the manifest is known; where it says no, nothing is fetched. */
  readonly isContentWanted: (job: PreparedJob) => Promise<boolean>;
}

/** Rejects with the signal's reason, or with why the manifest or its content cannot be had now. */
export async function prepareJob(
  parts: JobParts,
  { instruction, attempt, isContentWanted }: Preparation,
  signal: AbortSignal,
): Promise<PreparedJob> {
  const job = jobInPreparation(parts, instruction, attempt);
  job.onStep("location", parts.placement().site ?? "no site");
  job.onStep("dpChosen", parts.placement().dp ?? "none");
  try {
    const manifest = await verifiedManifest(parts, instruction, signal);
    job.onStep("manifestVerified");
    const refetch: PreparedJob["refetch"] = async (within, isPlain, wanted) =>
      job.fetch(manifest, within, isPlain, wanted);
    const remember = async (folder: string | undefined): Promise<void> =>
      job.remember(manifest, folder);
    const { facts, trace, onStep, local } = job;
    const prepared: PreparedJob = { manifest, refetch, facts, trace, onStep, local, remember };
    if (await isContentWanted(prepared)) await refetch(signal, false);
    return prepared;
  } catch (error) {
    // OCO-45: seen as an error of the agent, and tried again without an attempt being lost.
    if (!signal.aborted) {
      const { systemCode, reason } = resultOfError(error);
      parts.onAgentError(error, reason);
      job.mention("waiting", { systemCode, reason });
    }
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

interface Problem {
  readonly systemCode: number;
  readonly reason: string;
}

interface JobInPreparation {
  readonly facts: () => JobFacts;
  readonly trace: () => readonly TraceEntry[];
  readonly onStep: (step: TraceStep, detail?: string) => void;
  readonly mention: (state: "waiting" | "downloading", problem?: Problem) => void;
  readonly fetch: (
    manifest: Manifest,
    signal: AbortSignal,
    isPlain: boolean,
    wanted?: Bitmap,
  ) => Promise<void>;
  readonly local: () => LocalContent | undefined;
  readonly remember: (manifest: Manifest, folder: string | undefined) => Promise<void>;
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
  const mention: JobInPreparation["mention"] = (state, problem) => {
    const order = parts.outbox.nextOrder();
    parts.outbox.mention(jobReport(facts(), state, order, parts.now(), problem));
  };
  const onStep: JobInPreparation["onStep"] = (step, detail) => {
    const more = detail === undefined ? {} : { detail: detail.slice(0, 200) };
    trace.push({ step, atMs: parts.now(), ...more });
  };
  const content = contentOf(parts, instruction, { meter, mention, onStep });
  return { facts, trace: () => trace, onStep, mention, ...content };
}

type Telling = Pick<JobInPreparation, "mention" | "onStep"> & { readonly meter: ByteMeter };

/** How the content comes to this node, and what is told on the way. */
function contentOf(
  parts: JobParts,
  instruction: VerifiedInstruction,
  { meter, mention, onStep }: Telling,
): Pick<JobInPreparation, "fetch" | "local" | "remember"> {
  const { swarm, manifestDigest } = instruction;
  const isReplica = instruction.instruction.purpose === "replicate";
  let local: LocalContent | undefined;
  const remember: JobInPreparation["remember"] = async (manifest, folder) =>
    parts.packages.remember(manifest, manifestDigest, folder, parts.store);
  const fetch: JobInPreparation["fetch"] = async (manifest, signal, isPlain, wanted) => {
    if (!needsContent(manifest, instruction.instruction)) return;
    const only = wanted === undefined ? {} : { wanted };
    const item: SwarmItem = { swarm, manifestDigest, manifest, ...only };
    let savedMs = Number.NEGATIVE_INFINITY;
    let toldMs = parts.now();
    meter.start();
    const saves = new AsyncQueue();
    const onProgress = (bytes: SourceBytes): void => {
      meter.count(bytes);
      const nowMs = parts.now();
      if (nowMs - savedMs >= SAVE_MIN_MS) {
        savedMs = nowMs;
        saves.add(meter.save);
      }
      if (nowMs - toldMs < PROGRESS_MIN_MS) return;
      toldMs = nowMs;
      mention("downloading");
    };
    mention("downloading");
    try {
      const order = { item, isReplica, isPlain, signal, onProgress };
      const found = await fetchContent(contentParts(parts), order);
      // A few fragments say nothing of the sources of all others.
      if (wanted === undefined) local = found;
      // A DP puts nothing together; that its site has this version is worth knowing all the same.
      if (isReplica) await remember(manifest, undefined);
    } finally {
      saves.add(meter.save);
      await saves.ended();
    }
    onStep("contentFetched");
  };
  return { fetch, local: () => local, remember };
}

function contentParts(parts: JobParts): ContentParts {
  const { exchange } = parts;
  return {
    ...parts,
    fetch: async (item, signal, onProgress) => fetched(parts, item, signal, onProgress),
    isNearby: (item, index) => exchange.isNearby(item, index),
  };
}

/** A fetch that is given up where not a byte comes in for a long time (OCO-45). */
async function fetched(
  parts: JobParts,
  item: SwarmItem,
  signal: AbortSignal,
  onProgress: (progress: FetchProgress) => void,
): Promise<FetchProgress> {
  const limitMs = parts.stallMs;
  const details = { package: packageRefText(item.manifest), minutes: Math.round(limitMs / 60_000) };
  const errorOf = (): DeployError => new DeployError("FETCH_STALLED", details);
  return withStallLimit({ limitMs, errorOf }, signal, async (within, onByte) => {
    let doneBytes = -1;
    return parts.exchange.fetch(item, within, (progress) => {
      if (progress.doneBytes > doneBytes) onByte();
      doneBytes = Math.max(doneBytes, progress.doneBytes);
      onProgress(progress);
    });
  });
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
