/**
 * Who an endpoint is to its site, and who shares with it right now: memberships (24 h) and rosters. A roster
 * gets a new version only when its content changes.
 */
import type { CheckInAnswer, CheckInRequest, Roster } from "../../protocol/check-in.ts";
import type { Envelope } from "../../protocol/dsse.ts";
import { parseSiteName, type EndpointId } from "../../protocol/ids.ts";
import { canonicalText } from "../../protocol/json.ts";
import type { PlainOrigin } from "../../protocol/plain-origin.ts";
import { digestOf } from "../store/catalog-shelf.ts";
import { isSharing, type SiteListing, type SiteMember } from "../store/site-book.ts";
import type { RelayedWake } from "../store/wake-book.ts";
import type { EndpointRecord } from "../store/tables.ts";
import { signMembership, signRoster } from "../trust/statements.ts";
import type { Parts } from "./parts.ts";
import { isServingDp } from "./planning.ts";
import { ownZone } from "./site-policy-routes.ts";

/** Site of the membership of an endpoint at no site: no other endpoint is a member. */
export const NO_SITE_PREFIX = "none.";

const MEMBERSHIP_LIFE_MS = 24 * 3_600_000;
const PEERS_MAX = 500;
const DPS_MAX = 16;

type Issue = (
  request: CheckInRequest,
  record: EndpointRecord,
  nowMs: number,
) => Partial<CheckInAnswer>;

export function membershipMaker(parts: Parts): Issue {
  const { presence, director, fleet } = parts;
  const issued = new Map<EndpointId, string>();
  return ({ held }, record, nowMs) => {
    const { id } = record;
    const site = presence.get(id)?.site ?? parseSiteName(NO_SITE_PREFIX + id);
    const role = isServingDp(parts, record) ? "dp" : "agent";
    const isYoung = held.membershipMs - nowMs > MEMBERSHIP_LIFE_MS / 2;
    if (isYoung && issued.get(id) === `${role} ${site}`) return {};
    issued.set(id, `${role} ${site}`);
    const notAfterMs = nowMs + MEMBERSHIP_LIFE_MS;
    const membership = {
      v: 1 as const,
      endpoint: id,
      fleet: fleet.fleet,
      site,
      role,
      notAfterMs,
    } as const;
    return { membership: signMembership(director, membership) };
  };
}

interface IssuedRoster {
  /** What the content was made from. */
  readonly listing: SiteListing | undefined;
  readonly publicAddress: string;
  readonly wakes: readonly RelayedWake[];
  readonly origins: readonly PlainOrigin[];
  readonly content: string;
  readonly version: number;
  readonly envelope: Envelope;
}

export function rosterMaker(parts: Parts): Issue {
  const { presence, sites, wakes: wakeBook, director } = parts;
  const issued = new Map<EndpointId, IssuedRoster>();
  return ({ held }, { id }, nowMs) => {
    const own = presence.get(id);
    const listing = own?.site === undefined ? undefined : sites.at(own.site, nowMs);
    const publicAddress = own?.publicAddress ?? "::";
    const last = issued.get(id);
    const wakes = wakeBook.ofRelay(id, nowMs);
    const origins = parts.origins.at(own?.site ?? "");
    const isSame =
      last?.listing === listing &&
      last?.publicAddress === publicAddress &&
      last.wakes === wakes &&
      last.origins === origins;
    if (last !== undefined && isSame) {
      return last.version === held.roster ? {} : { roster: last.envelope };
    }
    const roster = {
      ...rosterContent(id, publicAddress, listing),
      ...(wakes.length === 0 ? {} : { wakes: [...wakes] }),
      ...(origins.length === 0 ? {} : { origins: [...origins] }),
    };
    const content = digestOf(canonicalText(roster));
    if (last?.content === content) {
      issued.set(id, { ...last, listing, publicAddress, wakes, origins });
      return last.version === held.roster ? {} : { roster: last.envelope };
    }
    // What the endpoint holds counts too: this coordinator may have been started since.
    const newest = Math.max(last?.version ?? 0, held.roster);
    const version = Math.min(newest + 1, Number.MAX_SAFE_INTEGER);
    const envelope = signRoster(director, { ...roster, version });
    issued.set(id, { listing, publicAddress, wakes, origins, content, version, envelope });
    return { roster: envelope };
  };
}

function rosterContent(
  id: EndpointId,
  publicAddress: string,
  listing: SiteListing | undefined,
): Omit<Roster, "version"> {
  const shared = { v: 1 as const, endpoint: id, publicAddress };
  if (listing === undefined) return { ...shared, epoch: 0, criteria: [], dps: [], peers: [] };
  const { site } = listing;
  const dps = listing.dps.filter(({ record }) => record.id !== id);
  const peers = listing.peers.filter(({ record }) => record.id !== id);
  return {
    ...shared,
    site: site.name,
    epoch: site.epoch,
    criteria: site.criteria,
    dps: dps.slice(0, DPS_MAX).map(({ record, seen }, rank) => {
      return { endpoint: record.id, site: site.name, rank, addresses: seen.listen };
    }),
    peers: sharingFirst(peers)
      .slice(0, PEERS_MAX)
      .map(({ record, seen }) => {
        const { id: endpoint } = record;
        const addresses = seen.listen;
        return isSharing(seen)
          ? { endpoint, addresses }
          : { endpoint, addresses, isSharing: false };
      }),
    ...(listing.barred.length === 0 ? {} : { barred: listing.barred.slice(0, PEERS_MAX) }),
    ...(site.policy === undefined ? {} : { policy: { zone: ownZone(), ...site.policy } }),
  };
}

/** In a large site those that serve nobody are left out first; they still find the others. */
function sharingFirst(peers: readonly SiteMember[]): readonly SiteMember[] {
  return [
    ...peers.filter(({ seen }) => isSharing(seen)),
    ...peers.filter(({ seen }) => !isSharing(seen)),
  ];
}
