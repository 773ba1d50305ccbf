/**
 * Who is at a site right now, ready for rosters and gates: made again only when somebody came, left, moved
 * or fell silent, so that an unchanged check-in looks at nobody else.
 */
import type { EndpointId } from "../../protocol/ids.ts";
import { seenUntilMs, type PresenceBook } from "./presence-book.ts";
import type { Records } from "./records.ts";
import type { StandingBook } from "./standing-book.ts";
import { TABLES, type EndpointRecord, type Presence, type Site } from "./tables.ts";

export interface SiteMember {
  readonly record: EndpointRecord;
  readonly seen: Presence;
}

/** The same object as long as its content is the same. */
export interface SiteListing {
  readonly site: Site;
  /** Endpoints that were seen lately, in the order of their joining. */
  readonly dps: readonly SiteMember[];
  readonly peers: readonly SiteMember[];
  /** Kept out of both for wrong bytes, wherever they are. */
  readonly barred: readonly EndpointId[];
}

export interface SiteBook {
  /** In the order in which operators made them. */
  ordered(): readonly Site[];
  /** Undefined where there is no such site. */
  at(site: string, nowMs: number): SiteListing | undefined;
  /** Enabled DPs at a site that spoke to the coordinator within `withinMs`. */
  activeDps(site: string, nowMs: number, withinMs: number): readonly EndpointId[];
}

interface Known {
  readonly inputs: string;
  readonly listing: SiteListing;
  readonly content: string;
  /** The first of the members counts as gone from then on, unless it speaks. */
  readonly untilMs: number;
}

export function openSiteBook(
  records: Records,
  presence: PresenceBook,
  standing: StandingBook,
): SiteBook {
  const known = new Map<string, Known>();
  let order: { readonly revision: number; readonly sites: readonly Site[] } | undefined;

  function at(name: string, nowMs: number): SiteListing | undefined {
    const site = records.get(TABLES.sites, name);
    if (site === undefined) return undefined;
    const inputs = `${presence.siteRevision(name)} ${records.revision(TABLES.sites)} ${records.revision(TABLES.standings)}`;
    const last = known.get(name);
    if (last?.inputs === inputs && nowMs < last.untilMs) return last.listing;
    const members = membersAt(name, nowMs);
    const made = listingOf(site, members, barredOf(name, nowMs));
    const content = contentOf(made);
    const listing = last?.content === content ? last.listing : made;
    const untilMs = Math.min(...members.map(untilOf), standing.changesMs(nowMs));
    known.set(name, { inputs, listing, content, untilMs });
    return listing;
  }

  function untilOf({ record, seen }: SiteMember): number {
    return seenUntilMs(seen, presence.activeMs(record.id));
  }

  function membersAt(name: string, nowMs: number): readonly SiteMember[] {
    return [...presence.membersAt(name)]
      .flatMap((id) => {
        const record = records.get(TABLES.endpoints, id);
        const seen = presence.get(id);
        return record === undefined || seen === undefined ? [] : [{ record, seen }];
      })
      .filter((member) => nowMs < untilOf(member))
      .filter(({ record }) => !standing.isBarred(record.id, nowMs))
      .sort(
        (a, b) => a.record.joinedMs - b.record.joinedMs || (a.record.id < b.record.id ? -1 : 1),
      );
  }

  /** A barred endpoint is at no site any more: those that come from here are named by their home. */
  function barredOf(name: string, nowMs: number): readonly EndpointId[] {
    return [...standing.bars(nowMs).keys()].filter((id) => {
      const isHere = presence.get(id)?.site === name;
      return isHere || records.get(TABLES.endpoints, id)?.homeSite === name;
    });
  }

  return {
    at,
    ordered: () => {
      const revision = records.revision(TABLES.sites);
      if (order?.revision !== revision) {
        const sites = [...records.all(TABLES.sites)].sort((a, b) => a.order - b.order);
        order = { revision, sites };
      }
      return order.sites;
    },
    activeDps: (name, nowMs, withinMs) =>
      (at(name, nowMs)?.dps ?? [])
        .map(({ record }) => record.id)
        .filter((id) => nowMs - presence.activeMs(id) < withinMs),
  };
}

function listingOf(
  site: Site,
  members: readonly SiteMember[],
  barred: readonly EndpointId[],
): SiteListing {
  return {
    site,
    dps: members.filter(({ record }) => record.isDp),
    peers: members.filter(({ record }) => !record.isDp),
    barred,
  };
}

/** What others act on; times of contact are not among it. */
function contentOf({ site, dps, peers, barred }: SiteListing): string {
  return JSON.stringify([
    site,
    [...dps, ...peers].map(({ record, seen }) => [
      record.id,
      record.isDp,
      seen.listen,
      isSharing(seen),
    ]),
    barred,
  ]);
}

/** Whether an endpoint serves its neighbours, by its own judgement at its last check-in. */
export function isSharing({ sharing }: Presence): boolean {
  return sharing === undefined || sharing.uploadSlots > 0;
}
