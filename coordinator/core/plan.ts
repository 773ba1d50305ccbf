/**
 * The planner: everything that one endpoint shall do, in order, and for the rest why it waits. The same
 * input gives the same output, so an unchanged endpoint keeps its directive.
 */
import { createHash } from "node:crypto";
import type { Instruction } from "../../protocol/directive.ts";
import {
  packageRefText,
  type Digest,
  type EndpointId,
  type PackageRef,
  type SiteName,
} from "../../protocol/ids.ts";
import { canonicalBytes } from "../../protocol/json.ts";
import { ATTEMPT_LIMIT_DEFAULT } from "../../protocol/limits.ts";
import type { JobState } from "../../protocol/report.ts";

export type PlanTarget =
  | { readonly kind: "endpoint"; readonly endpoint: EndpointId }
  | { readonly kind: "site"; readonly site: SiteName }
  | { readonly kind: "all" };

export interface PlanDeployment {
  readonly id: string;
  readonly ref: PackageRef;
  readonly target: PlanTarget;
  /** Place in the order of creation. */
  readonly order: number;
}

export interface PlanPackage {
  readonly manifest: Digest;
  readonly isActive: boolean;
  /** 0..10, lower first (OCS-22, OCS-24). */
  readonly level: number;
  readonly hasContent: boolean;
}

/** What the endpoint last reported of one job. */
export interface PlanRecord {
  readonly revision: string;
  readonly state: JobState;
}

export interface PlanInput {
  readonly endpoint: EndpointId;
  /** Where it is, or its home site while it is nowhere known. */
  readonly site: SiteName;
  readonly role: "agent" | "dp";
  readonly deployments: readonly PlanDeployment[];
  /** By `acme/app@1.2.3`. */
  readonly packages: ReadonlyMap<string, PlanPackage>;
  /** Reports of this endpoint by job id. */
  readonly records: ReadonlyMap<string, PlanRecord>;
  /** All endpoints of the same site, for a DP's replication. */
  readonly neighbours: ReadonlySet<EndpointId>;
}

export interface PlannedInstruction extends Instruction {
  readonly ref: PackageRef;
}

export interface WaitingJob {
  readonly ref: PackageRef;
  readonly job: string;
  readonly reason: string;
}

export interface Plan {
  readonly instructions: readonly PlannedInstruction[];
  readonly waiting: readonly WaitingJob[];
}

interface Candidate {
  readonly ref: PackageRef;
  readonly order: number;
  readonly known: PlanPackage;
  readonly job: string;
  readonly revision: string;
}

export function planEndpoint(input: PlanInput): Plan {
  const assigned = candidates(input, "perform", (target) => isFor(target, input));
  const active = assigned.filter(({ known }) => known.isActive);
  const blocker = active.find((candidate) => blocksOthers(candidate, input));
  const handedOut = blocker === undefined ? active : [blocker];
  const performs = handedOut.map((candidate) => ({ candidate, purpose: "perform" as const }));
  const replicates = replications(input).map((candidate) => ({
    candidate,
    purpose: "replicate" as const,
  }));
  return {
    instructions: [...performs, ...replicates].map(({ candidate, purpose }, sequence) => ({
      ref: candidate.ref,
      job: candidate.job,
      revision: candidate.revision,
      purpose,
      sequence,
      attemptLimit: ATTEMPT_LIMIT_DEFAULT,
    })),
    waiting: assigned
      .filter((candidate) => !handedOut.includes(candidate))
      .map((candidate) => ({
        ref: candidate.ref,
        job: candidate.job,
        reason: waitingReason(candidate, blocker),
      })),
  };
}

/** Stable name of what one endpoint does with one package version. */
function jobIdOf(endpoint: EndpointId, ref: PackageRef, purpose: Instruction["purpose"]): string {
  return `${purpose}-${shortHash([endpoint, packageRefText(ref), purpose])}`;
}

function candidates(
  { endpoint, deployments, packages }: PlanInput,
  purpose: Instruction["purpose"],
  isWanted: (target: PlanTarget) => boolean,
): readonly Candidate[] {
  const byRef = new Map<string, Candidate>();
  for (const { ref, order, target } of inCreationOrder(deployments)) {
    const known = packages.get(packageRefText(ref));
    if (known === undefined || !isWanted(target) || byRef.has(packageRefText(ref))) continue;
    const revision = shortHash([packageRefText(ref), known.manifest, purpose]);
    const job = jobIdOf(endpoint, ref, purpose);
    byRef.set(packageRefText(ref), { ref, order, known, job, revision });
  }
  return [...byRef.values()].sort((a, b) => a.known.level - b.known.level || a.order - b.order);
}

/** A DP holds the content of everything that any endpoint of its site is assigned. */
function replications(input: PlanInput): readonly Candidate[] {
  if (input.role !== "dp") return [];
  return candidates(input, "replicate", (target) => reachesSite(target, input)).filter(
    ({ known }) => known.isActive && known.hasContent,
  );
}

function isFor(target: PlanTarget, { endpoint, site }: PlanInput): boolean {
  if (target.kind === "endpoint") return target.endpoint === endpoint;
  return target.kind === "all" || target.site === site;
}

function reachesSite(target: PlanTarget, { site, neighbours, endpoint }: PlanInput): boolean {
  if (target.kind !== "endpoint") return target.kind === "all" || target.site === site;
  return target.endpoint === endpoint || neighbours.has(target.endpoint);
}

// OCS-23: a level 0 package must succeed before anything else is handed out.
function blocksOthers({ known, job, revision }: Candidate, { records }: PlanInput): boolean {
  if (known.level !== 0) return false;
  const record = records.get(job);
  const isDone = record?.state === "succeeded" || record?.state === "alreadyInstalled";
  return !(isDone && record.revision === revision);
}

function waitingReason({ known }: Candidate, blocker: Candidate | undefined): string {
  if (!known.isActive || blocker === undefined) return "not activated";
  return `blocked by ${packageRefText(blocker.ref)}: it has level 0 and has not succeeded yet`;
}

function inCreationOrder(deployments: readonly PlanDeployment[]): readonly PlanDeployment[] {
  return [...deployments].sort((a, b) => a.order - b.order);
}

function shortHash(value: unknown): string {
  return createHash("sha256").update(canonicalBytes(value)).digest("hex").slice(0, 16);
}
