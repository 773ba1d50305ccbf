/**
 * Which site an endpoint is at: its home site while that matches, else the first site that matches, where
 * a longer subnet beats a shorter one. No match means no site, no DP and no peers (MYP-8, MYP-26).
 */
import type { SiteName } from "../../protocol/ids.ts";
import { matchesSite, parseCidr } from "../../protocol/location-match.ts";
import type { Criterion, LocationFacts } from "../../protocol/location.ts";

export interface SiteCriteria {
  readonly name: SiteName;
  readonly criteria: readonly Criterion[];
}

export interface PlacementInput {
  readonly facts: LocationFacts;
  /** As the coordinator saw it. */
  readonly publicAddress: string;
  readonly homeSite: SiteName;
  /** In the order in which operators made them. */
  readonly sites: readonly SiteCriteria[];
}

/** Name of the site, undefined for none. */
export function placeEndpoint(input: PlacementInput): SiteName | undefined {
  const { facts, publicAddress, homeSite, sites } = input;
  const matches = sites.flatMap(({ name, criteria }) => {
    const criterion = matchesSite(criteria, facts, publicAddress);
    return criterion === undefined ? [] : [{ name, subnetBits: subnetBits(criterion) }];
  });
  if (matches.some(({ name }) => name === homeSite)) return homeSite;
  const [first, ...others] = matches;
  if (first === undefined) return undefined;
  const best = others.reduce(
    (chosen, other) => (isLongerSubnet(other.subnetBits, chosen.subnetBits) ? other : chosen),
    first,
  );
  return best.name;
}

function isLongerSubnet(other: number | undefined, chosen: number | undefined): boolean {
  return other !== undefined && chosen !== undefined && other > chosen;
}

function subnetBits(criterion: Criterion): number | undefined {
  return criterion.kind === "subnet" ? parseCidr(criterion.cidr).prefixBits : undefined;
}
