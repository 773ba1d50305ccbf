/**
 * The account of bytes: what crossed each site's line and why, as the coordinator sent it, beside what its
 * endpoints report by source; and the alarm where a line carried more than it should have.
 */
import type { SourceBytes } from "../../../protocol/check-in.ts";
import {
  packageRefText,
  type Digest,
  type EndpointName,
  type PackageName,
  type PackageVersion,
} from "../../../protocol/ids.ts";
import type { Notice } from "../../../protocol/operator-api.ts";
import {
  NO_WAN_BYTES,
  WAN_REASONS,
  type EndpointTraffic,
  type SiteTraffic,
  type Traffic,
  type WanBytes,
} from "../../../protocol/traffic.ts";
import { isAmplified } from "./byte-budget.ts";

export interface TrafficPackage {
  readonly name: PackageName;
  readonly version: PackageVersion;
  readonly manifest: Digest;
  readonly wireBytes: number;
  /** Patches: content and patches are one copy where a site's endpoints are of different versions. */
  readonly deltaBytes?: number;
}

/** What the coordinator sent of one package to one place. */
export interface SentTraffic {
  /** A site's name, or `~` and the id of an endpoint at no site. */
  readonly site: string;
  readonly manifest: Digest;
  readonly wan: WanBytes;
  /** Of these, what plain HTTPS origins sent; absent: nothing. */
  readonly plainBytes?: number;
}

/** What one endpoint reports of one job. */
export interface ReportedTraffic {
  readonly endpoint: EndpointName;
  readonly site: string;
  readonly name: PackageName;
  readonly version: PackageVersion;
  readonly bytes: SourceBytes;
}

export interface TrafficInput {
  readonly packages: readonly TrafficPackage[];
  readonly sent: readonly SentTraffic[];
  readonly reported: readonly ReportedTraffic[];
  /** Names of endpoints by `~` and their id. */
  readonly away: ReadonlyMap<string, EndpointName>;
}

/** Where only one site or package is asked for. */
export interface TrafficFilter {
  readonly site?: string;
  /** `acme/app` or `acme/app@1.2.3`. */
  readonly package?: string;
}

const NO_BYTES: SourceBytes = { local: 0, peer: 0, dp: 0, origin: 0 };

export function trafficOf(input: TrafficInput, filter: TrafficFilter = {}): Traffic {
  const packages = input.packages.filter((known) => isAsked(known, filter.package));
  const sent = Map.groupBy(input.sent, ({ manifest }) => manifest);
  const reported = Map.groupBy(input.reported, packageRefText);
  const entries = packages.map((known) => ({
    known,
    away: input.away,
    sent: sent.get(known.manifest) ?? [],
    reported: reported.get(packageRefText(known)) ?? [],
  }));
  const sites = entries.flatMap(sitesOf);
  const endpoints = entries.flatMap(endpointsOf);
  const isHere = ({ site }: { readonly site: string }): boolean =>
    filter.site === undefined || site === filter.site;
  return { sites: sites.filter(isHere), endpoints: endpoints.filter(isHere) };
}

/** One notice per site and package whose line carried clearly more than one copy. */
export function trafficNotices({ sites }: Traffic): Notice[] {
  return sites
    .filter(({ wan, expectedBytes }) => isAmplified(wanTotal(wan), expectedBytes))
    .map(({ site, package: name, version, wan, ratio }) => {
      const ref = packageRefText({ name, version });
      const [worst] = [...WAN_REASONS]
        .filter((reason) => reason !== "lease")
        .toSorted((one, other) => wan[other] - wan[one]);
      const reason = worst === undefined || wan[worst] === 0 ? "" : `, most of the rest ${worst}`;
      return {
        code: "WAN_TRAFFIC_HIGH",
        message: `the line of ${site} carried ${ratio.toFixed(2)} times ${ref}${reason}`,
        hint: `Run \`branchline traffic --site ${site}\` and look for endpoints that fail or lose fragments.`,
      };
    });
}

export function wanTotal(wan: WanBytes): number {
  return WAN_REASONS.reduce((total, reason) => total + wan[reason], 0);
}

function isAsked({ name, version }: TrafficPackage, wanted: string | undefined): boolean {
  return wanted === undefined || wanted === name || wanted === packageRefText({ name, version });
}

/** What is known of one package. */
interface PackageTraffic extends Pick<TrafficInput, "sent" | "reported" | "away"> {
  readonly known: TrafficPackage;
}

function sitesOf({ known, sent, reported, away }: PackageTraffic): readonly SiteTraffic[] {
  const sentBySite = new Map(sent.map((one) => [one.site, one]));
  const reportedBySite = Map.groupBy(reported, ({ site }) => site);
  const places = new Set([...sentBySite.keys(), ...reportedBySite.keys()]);
  return [...places].map((place) => {
    const { wan = NO_WAN_BYTES, plainBytes } = sentBySite.get(place) ?? {};
    const here = reportedBySite.get(place) ?? [];
    const total = wanTotal(wan);
    return {
      site: away.get(place) ?? place,
      isAway: place.startsWith("~"),
      package: known.name,
      version: known.version,
      manifest: known.manifest,
      wan,
      ...(plainBytes === undefined ? {} : { plainBytes }),
      expectedBytes: total === 0 ? 0 : known.wireBytes + (known.deltaBytes ?? 0),
      ratio: total === 0 ? 0 : total / Math.max(known.wireBytes, 1),
      sources: here.map(({ bytes }) => bytes).reduce(added, NO_BYTES),
      endpointCount: new Set(here.map(({ endpoint }) => endpoint)).size,
    };
  });
}

function endpointsOf({ known, reported, away }: PackageTraffic): readonly EndpointTraffic[] {
  const lines = new Map<EndpointName, EndpointTraffic>();
  for (const entry of reported) {
    const before = lines.get(entry.endpoint);
    lines.set(entry.endpoint, {
      endpoint: entry.endpoint,
      site: away.get(entry.site) ?? entry.site,
      package: known.name,
      version: known.version,
      sources: added(before?.sources ?? NO_BYTES, entry.bytes),
    });
  }
  return [...lines.values()];
}

function added(one: SourceBytes, other: SourceBytes): SourceBytes {
  return {
    local: one.local + other.local,
    peer: one.peer + other.peer,
    dp: one.dp + other.dp,
    origin: one.origin + other.origin,
  };
}
