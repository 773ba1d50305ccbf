/**
 * A launch asked for on the endpoint itself (ZEN-13, ZEN-17, ZEN-19): which jobs it takes, dependents
 * first. It can only name what the directive in force names; it works from the cache without the network.
 */
import { createHash } from "node:crypto";
import type { Instruction } from "../../protocol/directive.ts";
import { DeployError } from "../../protocol/errors.ts";
import { packageRefText, type PackageName, type PackageVersion } from "../../protocol/ids.ts";
import type { Manifest } from "../../protocol/manifest.ts";
import type { Dependency } from "../../protocol/package-rules.ts";
import { inVersionRange, parseVersionRange } from "../../protocol/version-order.ts";
import type { VerifiedInstruction } from "../trust/verified-instruction.ts";
import type { JobParts } from "./job-parts.ts";

/** Before everything that the directive orders: somebody waits for it. */
const FIRST_SEQUENCE = -10_000;
/** As deep as chains of dependencies get anywhere. */
const DEPTH_MAX = 32;

export interface LaunchWish {
  readonly name: PackageName;
  readonly version?: PackageVersion | undefined;
}

/** Whether a job was asked for on the endpoint; its id is used again. */
export function isLocalJob(job: string): boolean {
  return job.startsWith("local-");
}

/** Throws LAUNCH_REFUSED, or what keeps a manifest from being read. */
export async function planLaunch(
  parts: JobParts,
  inForce: readonly VerifiedInstruction[],
  wish: LaunchWish,
  signal: AbortSignal,
): Promise<readonly VerifiedInstruction[]> {
  const planner = new LaunchPlanner(parts, inForce, signal);
  const text = wish.version === undefined ? wish.name : `${wish.name}@${wish.version}`;
  await planner.add(wish, [text]);
  return planner.orders;
}

class LaunchPlanner {
  readonly orders: VerifiedInstruction[] = [];
  readonly #parts: JobParts;
  readonly #inForce: readonly VerifiedInstruction[];
  readonly #signal: AbortSignal;
  /** Last job of each package that was added, by target path. */
  readonly #added = new Map<string, string | undefined>();
  readonly #revision: string;

  constructor(parts: JobParts, inForce: readonly VerifiedInstruction[], signal: AbortSignal) {
    this.#parts = parts;
    this.#inForce = inForce;
    this.#signal = signal;
    this.#revision = parts.outbox.nextOrder().toString(16).padStart(16, "0").slice(-16);
  }

  /** The last job of the package, undefined where it needs none. */
  async add(wish: LaunchWish | Dependency, path: readonly string[]): Promise<string | undefined> {
    const source = this.#sourceOf(wish, path);
    if (this.#added.has(source.targetPath)) return this.#added.get(source.targetPath);
    if (path.length > DEPTH_MAX) throw refused(path, "its dependencies go too deep");
    this.#added.set(source.targetPath, undefined);
    const manifest = await this.#manifestOf(source);
    const after: string[] = [];
    for (const dependency of manifest.rules?.dependencies ?? []) {
      if (dependency.actionSet === "uninstall") continue;
      const job = await this.add(dependency, [...path, dependency.name]);
      if (job !== undefined) after.push(job);
    }
    const last = this.#addJobs(source, manifest, after);
    this.#added.set(source.targetPath, last);
    return last;
  }

  #addJobs(
    source: VerifiedInstruction,
    manifest: Manifest,
    after: readonly string[],
  ): string | undefined {
    let before = after;
    let last: string | undefined;
    if (!this.#isInstalled(source)) {
      last = this.#push(source, "install", before);
      before = [last];
    }
    if (manifest.rules?.onLaunch === undefined) return last;
    return this.#push(source, "launch", before);
  }

  #push(
    source: VerifiedInstruction,
    operation: "install" | "launch",
    after: readonly string[],
  ): string {
    const name = createHash("sha256").update(source.targetPath).digest("hex").slice(0, 16);
    const job = `local-${operation}-${name}`;
    const instruction: Instruction = {
      job,
      purpose: "perform",
      operation,
      revision: this.#revision,
      sequence: FIRST_SEQUENCE + this.orders.length,
      attemptLimit: 1,
      after: [...after],
    };
    this.orders.push({ ...source, instruction });
    return job;
  }

  #isInstalled({ ref }: VerifiedInstruction): boolean {
    return this.#parts.journal.state.installed.get(ref.name) === ref.version;
  }

  #sourceOf(wish: LaunchWish | Dependency, path: readonly string[]): VerifiedInstruction {
    const fitting = this.#inForce.filter(
      ({ ref, instruction }) =>
        ref.name === wish.name &&
        isWanted(wish, ref.version) &&
        instruction.operation !== "uninstall" &&
        instruction.purpose !== "replicate",
    );
    const installed = fitting.find((one) => this.#isInstalled(one));
    const source = installed ?? fitting.at(-1);
    if (source === undefined) throw refused(path, "it is not among the orders of this endpoint");
    return source;
  }

  async #manifestOf(source: VerifiedInstruction): Promise<Manifest> {
    const bytes = await this.#parts.manifests.get(source.manifestDigest, this.#signal);
    return this.#parts.trust.verifyManifest(bytes, source);
  }
}

function isWanted(wish: LaunchWish | Dependency, version: PackageVersion): boolean {
  if ("version" in wish && wish.version !== undefined) return wish.version === version;
  const range = "versions" in wish ? wish.versions : undefined;
  return range === undefined || inVersionRange(parseVersionRange(range), "numbers", version);
}

function refused(path: readonly string[], problem: string): DeployError {
  return new DeployError("LAUNCH_REFUSED", { package: path.join(" > "), problem });
}

/** What became of one job of a launch. */
export interface LaunchStep {
  readonly package: string;
  readonly operation: "install" | "launch";
  readonly outcome: string;
}

export function launchStep({ ref, instruction }: VerifiedInstruction, outcome: string): LaunchStep {
  const operation = instruction.operation === "launch" ? "launch" : "install";
  return { package: packageRefText(ref), operation, outcome };
}
