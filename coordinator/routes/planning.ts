/**
 * The planner's input from the records, and who may have what by the plan.
 */
import { createHmac } from "node:crypto";
import { planEndpoint, type Plan, type PlanDeployment } from "../core/plan.ts";
import {
  packageRefText,
  parseSwarmTag,
  type Digest,
  type EndpointId,
  type SiteName,
  type SwarmTag,
} from "../../protocol/ids.ts";
import { DeployError } from "../../protocol/errors.ts";
import {
  TABLES,
  type DeploymentRecord,
  type EndpointRecord,
  type PackageRecord,
} from "../store/tables.ts";
import type { Parts } from "./parts.ts";

/** Where deployments to a site count for it: where it is, or its home while it is nowhere known. */
export function effectiveSite({ presence }: Parts, { id, homeSite }: EndpointRecord): SiteName {
  return presence.get(id)?.site ?? homeSite;
}

/** Its gate: an endpoint at no site counts as a site of its own. */
export function gateSite({ presence }: Parts, endpoint: EndpointId): string {
  return presence.get(endpoint)?.site ?? `~${endpoint}`;
}

/** The plan in force of one endpoint; the same object while nothing that it depends on has changed. */
export function planFor(parts: Parts, record: EndpointRecord): Plan {
  return parts.plans.get(record.id, planInputs(parts, record), () => freshPlan(parts, record));
}

// A DP also depends on who else is at its site.
function planInputs({ records, presence }: Parts, record: EndpointRecord): string {
  const { id, isDp, homeSite } = record;
  const shared = [
    presence.get(id)?.site ?? homeSite,
    records.revision(TABLES.jobs, id),
    records.revision(TABLES.deployments),
    records.revision(TABLES.packages),
  ];
  const ofDp = isDp ? [presence.moves(), records.revision(TABLES.endpoints)] : [];
  return [...shared, ...ofDp].join(" ");
}

function freshPlan(parts: Parts, record: EndpointRecord): Plan {
  const { records } = parts;
  const site = effectiveSite(parts, record);
  const deployments = records.all(TABLES.deployments);
  const jobs = records.below(TABLES.jobs, record.id);
  return planEndpoint({
    endpoint: record.id,
    site,
    role: record.isDp ? "dp" : "agent",
    deployments: deployments.flatMap(planDeployment),
    packages: new Map(records.all(TABLES.packages).map((known) => [packageRefText(known), known])),
    records: new Map(jobs.map(([, report]) => [report.job, report])),
    neighbours: record.isDp ? targetsAt(parts, site, deployments) : new Set(),
  });
}

/** Endpoints at the site that some deployment names. */
function targetsAt(
  parts: Parts,
  site: SiteName,
  deployments: readonly DeploymentRecord[],
): ReadonlySet<EndpointId> {
  const targets = deployments.flatMap(({ endpoint }) => (endpoint === undefined ? [] : [endpoint]));
  const isHere = (id: EndpointId): boolean => {
    const record = parts.records.get(TABLES.endpoints, id);
    return record !== undefined && effectiveSite(parts, record) === site;
  };
  return new Set(targets.filter(isHere));
}

/** The package of a manifest that this endpoint is instructed to perform or hold. Throws ACCESS_REFUSED. */
export function requireAssigned(
  parts: Parts,
  endpoint: EndpointId,
  manifest: Digest,
): PackageRecord {
  const record = parts.records.get(TABLES.endpoints, endpoint);
  const known = parts.records.all(TABLES.packages).find((other) => other.manifest === manifest);
  const isAssigned =
    record !== undefined &&
    known !== undefined &&
    planFor(parts, record).instructions.some(
      ({ ref }) => ref.name === known.name && ref.version === known.version,
    );
  if (!isAssigned) throw new DeployError("ACCESS_REFUSED", { what: `the manifest ${manifest}` });
  return known;
}

/** Swarm tag that only the site's members learn (trust S7). */
export function swarmTag({ online }: Parts, site: string, manifest: Digest): SwarmTag {
  const mac = createHmac("sha256", Buffer.from(online.swarmSecret, "hex"));
  return parseSwarmTag(mac.update(`swarm\n${site}\n${manifest}`).digest("hex"));
}

export function isDeployedTo(
  parts: Parts,
  { target, endpoint }: DeploymentRecord,
  record: EndpointRecord,
): boolean {
  if (target.kind === "all") return true;
  if (target.kind === "site") return target.name === effectiveSite(parts, record);
  return endpoint === record.id;
}

function planDeployment(record: DeploymentRecord): readonly PlanDeployment[] {
  const { id, name, version, target, endpoint, order } = record;
  const shared = { id, ref: { name, version }, order };
  if (target.kind === "all") return [{ ...shared, target: { kind: "all" } }];
  if (target.kind === "site") return [{ ...shared, target: { kind: "site", site: target.name } }];
  return endpoint === undefined ? [] : [{ ...shared, target: { kind: "endpoint", endpoint } }];
}
