/**
 * The status page: what every endpoint was told, what it reported, and what each site's line carried.
 */
import type { CacheUse, SourceBytes } from "../../protocol/check-in.ts";
import type { Digest, EndpointId, EndpointName, SiteName } from "../../protocol/ids.ts";
import type { Match } from "../../protocol/manifest.ts";
import type {
  Notice,
  PackageAnswer,
  Status,
  StatusEndpoint,
  StatusJob,
  StatusSite,
} from "../../protocol/operator-api.ts";
import type { JobReport, RefusalReport } from "../../protocol/report.ts";
import {
  NO_WAN_BYTES,
  WAN_REASONS,
  type Sharing,
  type StatusLine,
  type WanBytes,
  type WastedBytes,
} from "../../protocol/traffic.ts";
import type { Plan, PlannedInstruction, WaitingJob } from "./plan/plan-model.ts";

export interface StatusPackage {
  readonly name: PackageAnswer["name"];
  readonly version: PackageAnswer["version"];
  readonly manifest: Digest;
  readonly match: Match;
  readonly level: number;
  readonly isActive: boolean;
  readonly wireBytes: number;
  readonly fileBytes: number;
  readonly fragmentCount: number;
  readonly createdMs: number;
}

export interface StatusMember {
  readonly id: EndpointId;
  readonly name: EndpointName;
  readonly isDp: boolean;
  readonly site: SiteName;
  readonly isAtSite: boolean;
  readonly addresses: readonly string[];
  /** Undefined: it never checked in. */
  readonly seenMs: number | undefined;
  readonly joinedMs: number;
  readonly dp: EndpointName | undefined;
  readonly bytes: SourceBytes;
  readonly sharing?: Sharing;
  readonly cache?: CacheUse;
  readonly wasted?: WastedBytes;
  readonly plan: Plan;
  readonly reports: readonly JobReport[];
  readonly refusals: readonly RefusalReport[];
}

export interface StatusTraffic {
  readonly site: string;
  readonly manifest: Digest;
  readonly originBytes: number;
  readonly wan?: WanBytes;
  readonly forced: { readonly holderUnreachable: number; readonly noProgress: number };
}

export interface StatusInput {
  readonly members: readonly StatusMember[];
  readonly sites: readonly SiteName[];
  readonly packages: readonly StatusPackage[];
  readonly traffic: readonly StatusTraffic[];
  /** By site; none for a site without limits. */
  readonly lines?: ReadonlyMap<SiteName, StatusLine>;
  readonly notices: readonly Notice[];
}

const NO_BYTES: SourceBytes = { local: 0, peer: 0, dp: 0, origin: 0 };

export function statusOfFleet(input: StatusInput): Status {
  const { members, sites, packages, traffic, lines = new Map(), notices } = input;
  return {
    endpoints: members.map(endpointStatus),
    sites: sites.map((name) => siteStatus(name, { members, packages, traffic, lines })),
    packages: packages.map(packageAnswer),
    notices: [...notices],
  };
}

export function packageAnswer(known: StatusPackage): PackageAnswer {
  const { name, version, manifest, isActive, level, wireBytes, fileBytes, fragmentCount } = known;
  const createdAt = instant(known.createdMs);
  const { kind } = known.match;
  return {
    name,
    version,
    manifest,
    isActive,
    level,
    kind,
    wireBytes,
    fileBytes,
    fragmentCount,
    createdAt,
  };
}

function endpointStatus(member: StatusMember): StatusEndpoint {
  const { name, id, site, isAtSite, addresses, isDp, dp, seenMs, bytes, refusals } = member;
  const { sharing, wasted, cache } = member;
  return {
    name,
    id,
    site,
    isAtSite,
    addresses: [...addresses],
    role: isDp ? "dp" : "agent",
    dp: dp ?? null,
    lastSeen: seenMs === undefined ? null : instant(seenMs),
    jobs: jobsOf(member),
    bytes,
    ...(sharing === undefined ? {} : { sharing }),
    ...(cache === undefined ? {} : { cache }),
    ...(wasted === undefined ? {} : { wasted }),
    refusals: refusals.map(({ code, detail, atMs }) => ({ code, detail, at: instant(atMs) })),
  };
}

function jobsOf(member: StatusMember): StatusJob[] {
  const { plan, reports } = member;
  const performs = plan.instructions.filter(({ purpose }) => purpose === "perform");
  const reported = reports.filter(({ purpose }) => purpose === "perform");
  const isReported = ({ job }: { readonly job: string }): boolean =>
    reported.some((report) => report.job === job);
  return [
    ...reported.map((report) => jobStatus(report, plan.waiting)),
    ...performs
      .filter((planned) => !isReported(planned))
      .map((planned) => unseenJob(member, planned)),
    ...plan.waiting.filter((waiting) => !isReported(waiting)).flatMap(plannedJob),
  ];
}

function jobStatus(report: JobReport, waiting: readonly WaitingJob[]): StatusJob {
  const { name, version, state, outcome, exitCode, systemCode, attempt, bytes } = report;
  // A job that the planner holds back waits for the planner's reason, not for what was reported before.
  const held = state === "waiting" ? waiting.find(({ job }) => job === report.job) : undefined;
  const reason = held === undefined ? report.reason : reasonText(held);
  return {
    package: name,
    version,
    state,
    ...(outcome === undefined ? {} : { outcome }),
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(systemCode === undefined ? {} : { systemCode }),
    ...(reason === undefined ? {} : { reason }),
    attempt,
    since: instant(report.atMs),
    trace: report.trace.map(({ step, atMs, detail }) => {
      return { step, at: instant(atMs), ...(detail === undefined ? {} : { detail }) };
    }),
    bytes,
  };
}

function unseenJob({ seenMs, joinedMs }: StatusMember, { ref }: PlannedInstruction): StatusJob {
  const contact = seenMs === undefined ? "none since it joined" : instant(seenMs);
  const reason = `not yet picked up; last contact ${contact}`;
  return silentJob(ref, "waiting", reason, seenMs ?? joinedMs);
}

/** What the planner says of a job that the endpoint has not spoken of; nothing is shown without a version. */
function plannedJob(planned: WaitingJob): readonly StatusJob[] {
  const { name, version } = planned.ref;
  if (version === undefined) return [];
  const [{ sinceMs } = { sinceMs: 0 }] = planned.reasons;
  return [silentJob({ name, version }, planned.state, reasonText(planned), sinceMs)];
}

function reasonText({ reasons }: WaitingJob): string {
  return reasons.map(({ text }) => text).join(" ");
}

function silentJob(
  ref: PlannedInstruction["ref"],
  state: StatusJob["state"],
  reason: string,
  sinceMs: number,
): StatusJob {
  return {
    package: ref.name,
    version: ref.version,
    state,
    reason,
    attempt: 0,
    since: instant(sinceMs),
    trace: [],
    bytes: NO_BYTES,
  };
}

function siteStatus(
  name: SiteName,
  { members, packages, traffic, lines }: Omit<StatusInput, "sites" | "notices">,
): StatusSite {
  const own = traffic.filter(({ site, originBytes }) => site === name && originBytes > 0);
  const originBytes = sum(own.map((entry) => entry.originBytes));
  const sent = new Set(own.map(({ manifest }) => manifest));
  const packageBytes = sum(
    packages.filter(({ manifest }) => sent.has(manifest)).map(({ wireBytes }) => wireBytes),
  );
  const line = lines?.get(name);
  return {
    name,
    dps: members.filter(({ isDp, site }) => isDp && site === name).map((member) => member.name),
    wanRatio: packageBytes === 0 ? 0 : originBytes / packageBytes,
    originBytes,
    packageBytes,
    forced: {
      holderUnreachable: sum(own.map(({ forced }) => forced.holderUnreachable)),
      noProgress: sum(own.map(({ forced }) => forced.noProgress)),
    },
    wan: own.map(({ wan }) => wan ?? NO_WAN_BYTES).reduce(addedWan, NO_WAN_BYTES),
    ...(line === undefined ? {} : { line }),
  };
}

function addedWan(one: WanBytes, other: WanBytes): WanBytes {
  const sums = { ...one };
  for (const reason of WAN_REASONS) sums[reason] += other[reason];
  return sums;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function instant(atMs: number): string {
  return new Date(atMs).toISOString();
}
