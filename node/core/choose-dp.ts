/**
 * The choice of a distribution point, made on the endpoint by location criteria, before any content is
 * fetched or anything is run (BR-5, MYP-8, MYP-26).
 */
import type { Roster } from "../../protocol/check-in.ts";
import { matchesSite } from "../../protocol/location-match.ts";
import type { DpCandidate, LocationFacts } from "../../protocol/location.ts";

/**
 * The candidate with the lowest rank, or none: a node whose own facts do not match the site's criteria
 * uses no DP, whatever the roster says, and a DP never chooses itself.
 */
export function chooseDp(facts: LocationFacts, roster: Roster): DpCandidate | undefined {
  if (roster.site === undefined) return undefined;
  if (!matchesSite(roster.criteria, facts, roster.publicAddress)) return undefined;
  // BR-6: a candidate of another site would pull content across a WAN line.
  return roster.dps
    .filter((dp) => dp.site === roster.site && dp.endpoint !== roster.endpoint)
    .toSorted((one, other) => one.rank - other.rank || compared(one.endpoint, other.endpoint))
    .at(0);
}

function compared(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
