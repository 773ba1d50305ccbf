/**
 * The planner's input from the records, and who may have what by the plan.
 */
import { createHmac } from "node:crypto";
import { placeEndpoint } from "../core/placement.ts";
import { planEndpoint } from "../core/plan/plan.ts";
import type { Intent, Plan, PlanCatalog, PlanInput, PlanRecord } from "../core/plan/plan-model.ts";
import { wishedVersion } from "../core/plan/plan-wishes.ts";
import {
  packageRefText,
  parsePackageName,
  parseSwarmTag,
  type Digest,
  type EndpointId,
  type PackageName,
  type PackageRef,
  type SiteName,
  type SwarmTag,
} from "../../protocol/ids.ts";
import { DeployError } from "../../protocol/errors.ts";
import type { JobReport } from "../../protocol/report.ts";
import type { Records } from "../store/records.ts";
import {
  TABLES,
  type DeploymentRecord,
  type EndpointRecord,
  type PackageRecord,
  type Presence,
  type Table,
} from "../store/tables.ts";
import type { Parts } from "./parts.ts";

/** Where deployments to a site count for it: where it is, or its home while it is nowhere known. */
export function effectiveSite(
  { presence }: Pick<Parts, "presence">,
  { id, homeSite }: EndpointRecord,
): SiteName {
  return presence.get(id)?.site ?? homeSite;
}

/** Its gate: an endpoint at no site, and one that is barred from it, counts as a site of its own. */
export function gateSite(
  { presence, standing, now }: Pick<Parts, "presence" | "standing" | "now">,
  endpoint: EndpointId,
): string {
  const site = standing.isBarred(endpoint, now()) ? undefined : presence.get(endpoint)?.site;
  return site ?? ownSite(endpoint);
}

/** The site whose line carries what the endpoint fetches: that of a barred one is where it stands. */
export function lineSite(
  parts: Pick<Parts, "presence" | "records" | "sites" | "standing" | "now">,
  endpoint: EndpointId,
): string {
  const seen = parts.presence.get(endpoint);
  const site = seen?.site ?? (seen === undefined ? undefined : barredFrom(parts, endpoint, seen));
  return site ?? ownSite(endpoint);
}

/** Where a barred endpoint would be, which is a member of no site. */
function barredFrom(
  { records, sites, standing, now }: Pick<Parts, "records" | "sites" | "standing" | "now">,
  endpoint: EndpointId,
  { facts, publicAddress }: Presence,
): SiteName | undefined {
  const record = records.get(TABLES.endpoints, endpoint);
  if (record === undefined || !standing.isBarred(endpoint, now())) return undefined;
  return placeEndpoint({
    facts,
    publicAddress,
    homeSite: record.homeSite,
    sites: sites.ordered(),
  });
}

function ownSite(endpoint: EndpointId): string {
  return `~${endpoint}`;
}

/** A DP that is barred from its site holds and serves nothing for it meanwhile. */
export function isServingDp(
  { standing, now }: Pick<Parts, "standing" | "now">,
  { id, isDp }: EndpointRecord,
): boolean {
  return isDp && !standing.isBarred(id, now());
}

/** What a plan is made from. */
export type PlanningParts = Pick<
  Parts,
  "records" | "presence" | "plans" | "intents" | "now" | "standing"
>;

/** The plan in force of one endpoint; the same object while nothing that it depends on has changed. */
export function planFor(parts: PlanningParts, record: EndpointRecord): Plan {
  const { records, plans, now } = parts;
  const nowMs = now();
  const replicas = isServingDp(parts, record)
    ? replicasAt(parts, effectiveSite(parts, record))
    : NO_REPLICAS;
  const inputs = `${planInputs(parts, record)} ${replicas.revision}`;
  return plans.get(record.id, { records, inputs, nowMs }, (packages) =>
    planEndpoint(planInput(parts, record, packages, replicas.refs), nowMs),
  );
}

const NO_REPLICAS = { refs: [], revision: 0 } as const;

/** Only what the endpoint's own plan looks at: a change for others costs it nothing. */
function planInputs({ records, presence, intents }: PlanningParts, record: EndpointRecord): string {
  const { id, homeSite, isDp } = record;
  const seen = presence.get(id);
  const facts = [seen?.site ?? homeSite, seen?.publicAddress, seen?.os, seen?.arch, isDp];
  const system = JSON.stringify(seen?.system ?? null);
  return [...facts, system, records.revision(TABLES.jobs, id), intents.revision(record)].join(" ");
}

function planInput(
  parts: PlanningParts,
  record: EndpointRecord,
  packages: PlanCatalog,
  replicate: readonly PackageRef[],
): PlanInput {
  const { records, presence, intents } = parts;
  const { id, name, isDp } = record;
  const seen = presence.get(id);
  const scan = records.get(TABLES.scans, id);
  return {
    ...intents.of(record),
    endpoint: {
      id,
      name,
      site: effectiveSite(parts, record),
      role: isDp ? "dp" : "agent",
      address: seen?.publicAddress,
      os: seen?.os,
      arch: seen?.arch,
      system: seen?.system,
    },
    packages,
    replicate,
    records: new Map(
      records.below(TABLES.jobs, id).map(([, report]) => [report.job, planRecord(report)]),
    ),
    resets: resetsOf(records, id),
    scan:
      scan === undefined
        ? undefined
        : { software: scan.software, atMs: scan.atMs, isComplete: !scan.isCut },
  };
}

function planRecord(report: JobReport): PlanRecord {
  const {
    name,
    version,
    revision,
    state,
    attempt,
    atMs,
    systemCode,
    operation = "install",
  } = report;
  return { name, version, revision, state, operation, attempt, atMs, systemCode };
}

function resetsOf(records: Records, endpoint: EndpointId): ReadonlyMap<PackageName, number> {
  return new Map(
    records
      .below(TABLES.resets, endpoint)
      .map(([id, { count }]) => [parsePackageName(id.slice(id.indexOf("/") + 1)), count]),
  );
}

/** Tables of wishes: while none of them changed, nobody's wishes did. */
const WISH_TABLES = [
  TABLES.endpointGroups,
  TABLES.members,
  TABLES.packageGroups,
  TABLES.assignments,
  TABLES.rules,
  TABLES.rollouts,
  TABLES.containers,
  TABLES.containerJobs,
  TABLES.deployments,
  TABLES.packages,
] as const satisfies readonly Table<unknown>[];

/** Packages that somebody at the site shall have: its DPs hold their content. */
function replicasAt(
  parts: PlanningParts,
  site: SiteName,
): { readonly refs: readonly PackageRef[]; readonly revision: number } {
  const { records, presence, plans, intents } = parts;
  const tables = WISH_TABLES.map((table) => records.revision<unknown>(table));
  const coarse = [presence.siteRevision(site), ...tables].join(" ");
  const members = (): readonly EndpointRecord[] =>
    [...presence.membersAt(site)].flatMap((id) => records.get(TABLES.endpoints, id) ?? []);
  const exact = (): string =>
    [records.revision(TABLES.packages), ...members().map((one) => intents.revision(one))].join(
      "\n",
    );
  return plans.replicas(site, [coarse, exact], () =>
    wishedPackages(
      members().flatMap((one) => intents.of(one).intents),
      plans.packages(records),
      parts.now(),
    ),
  );
}

/** In the order of creation; what waits for its time is brought before it. */
function wishedPackages(
  all: readonly Intent[],
  packages: PlanCatalog,
  nowMs: number,
): readonly PackageRef[] {
  const wished = new Map<string, PackageRef>();
  for (const intent of all.toSorted((one, other) => one.order - other.order)) {
    const { endMs } = intent.schedule;
    const isOver = intent.isPreview || (endMs !== undefined && endMs <= nowMs);
    if (isOver || intent.ensure === "absent") continue;
    const known = wishedVersion(intent, packages);
    if (known !== undefined) wished.set(packageRefText(known), known);
  }
  return [...wished.values()].map(({ name, version }) => ({ name, version }));
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
export function swarmTag(
  { online }: Pick<Parts, "online">,
  site: string,
  manifest: Digest,
): SwarmTag {
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
