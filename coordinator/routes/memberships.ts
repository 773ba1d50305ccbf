/**
 * Who an endpoint is to its site, and who shares with it right now: memberships (24 h) and rosters. A roster
 * gets a new version only when its content changes.
 */
import type { CheckInAnswer, CheckInRequest, Roster } from "../../protocol/check-in.ts";
import type { Envelope } from "../../protocol/dsse.ts";
import { parseSiteName, type EndpointId } from "../../protocol/ids.ts";
import { canonicalText } from "../../protocol/json.ts";
import { digestOf } from "../store/catalog-shelf.ts";
import { TABLES, type EndpointRecord, type Presence } from "../store/tables.ts";
import { signMembership, signRoster } from "../trust/statements.ts";
import type { Parts } from "./parts.ts";

/** Site of the membership of an endpoint at no site: no other endpoint is a member. */
export const NO_SITE_PREFIX = "none.";

const MEMBERSHIP_LIFE_MS = 24 * 3_600_000;
const PEERS_MAX = 500;
const DPS_MAX = 16;
const SEEN_WITHIN_MS = 120_000;

type Issue = (
  request: CheckInRequest,
  record: EndpointRecord,
  nowMs: number,
) => Partial<CheckInAnswer>;

export function membershipMaker({ presence, online, fleet }: Parts): Issue {
  const issued = new Map<EndpointId, string>();
  return ({ held }, { id, isDp }, nowMs) => {
    const site = presence.get(id)?.site ?? parseSiteName(NO_SITE_PREFIX + id);
    const role = isDp ? "dp" : "agent";
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
    return { membership: signMembership(online, membership) };
  };
}

interface IssuedRoster {
  readonly content: string;
  readonly version: number;
  readonly envelope: Envelope;
}

export function rosterMaker(parts: Parts): Issue {
  const issued = new Map<EndpointId, IssuedRoster>();
  return ({ held }, record, nowMs) => {
    const roster = rosterContent(parts, record, nowMs);
    const content = digestOf(canonicalText(roster));
    const last = issued.get(record.id);
    if (last?.content === content) {
      return last.version === held.roster ? {} : { roster: last.envelope };
    }
    // What the endpoint holds counts too: this coordinator may have been started since.
    const newest = Math.max(last?.version ?? 0, held.roster);
    const version = Math.min(newest + 1, Number.MAX_SAFE_INTEGER);
    const envelope = signRoster(parts.online, { ...roster, version });
    issued.set(record.id, { content, version, envelope });
    return { roster: envelope };
  };
}

function rosterContent(
  parts: Parts,
  { id }: EndpointRecord,
  nowMs: number,
): Omit<Roster, "version"> {
  const own = parts.presence.get(id);
  const shared = { v: 1 as const, endpoint: id, publicAddress: own?.publicAddress ?? "::" };
  const site = own?.site === undefined ? undefined : parts.records.get(TABLES.sites, own.site);
  if (site === undefined) return { ...shared, epoch: 0, criteria: [], dps: [], peers: [] };
  const others = membersOf(parts, site.name, nowMs).filter((member) => member.record.id !== id);
  const dps = others.filter(({ record }) => record.isDp);
  const peers = others.filter(({ record }) => !record.isDp);
  return {
    ...shared,
    site: site.name,
    epoch: site.epoch,
    criteria: site.criteria,
    dps: dps.slice(0, DPS_MAX).map(({ record, seen }, rank) => {
      return { endpoint: record.id, site: site.name, rank, addresses: seen.listen };
    }),
    peers: peers.slice(0, PEERS_MAX).map(({ record, seen }) => {
      return { endpoint: record.id, addresses: seen.listen };
    }),
  };
}

interface Member {
  readonly record: EndpointRecord;
  readonly seen: Presence;
}

/** Endpoints at the site that were seen lately, in the order of their joining. */
function membersOf(parts: Parts, site: string, nowMs: number): readonly Member[] {
  return parts.records
    .all(TABLES.endpoints)
    .flatMap((record) => {
      const seen = parts.presence.get(record.id);
      const isHere = seen?.site === site && isSeenLately(parts, record.id, seen, nowMs);
      return isHere ? [{ record, seen }] : [];
    })
    .sort((a, b) => a.record.joinedMs - b.record.joinedMs || (a.record.id < b.record.id ? -1 : 1));
}

function isSeenLately({ presence }: Parts, id: EndpointId, seen: Presence, nowMs: number): boolean {
  const lastMs = Math.max(seen.seenMs, presence.activeMs(id));
  return nowMs - lastMs < Math.max(SEEN_WITHIN_MS, 3 * seen.gapMs);
}

/** Enabled DPs at a site that spoke to the coordinator within `withinMs`. */
export function activeDps(
  parts: Parts,
  site: string,
  nowMs: number,
  withinMs: number,
): readonly EndpointId[] {
  return parts.records
    .all(TABLES.endpoints)
    .filter(({ id, isDp }) => {
      const seen = parts.presence.get(id);
      return isDp && seen?.site === site && nowMs - parts.presence.activeMs(id) < withinMs;
    })
    .map(({ id }) => id);
}
