/**
 * Who is there and who is where: kept in memory by endpoint and by site, written to the store every few
 * seconds and at the end. A change that others act on (site, addresses) is written at once.
 */
import { silenceLimitMs } from "../core/silence.ts";
import type { EndpointId } from "../../protocol/ids.ts";
import { setRecord, type Records } from "./records.ts";
import { TABLES, type EndpointRecord, type Presence } from "./tables.ts";

export interface PresenceBook {
  get(endpoint: EndpointId): Presence | undefined;
  /** Time of the endpoint's last authenticated request of any kind. */
  activeMs(endpoint: EndpointId): number;
  touch(endpoint: EndpointId, nowMs: number): void;
  note(endpoint: EndpointId, presence: Presence): void;
  /** Everyone whose last check-in placed it at this site, seen lately or not. */
  membersAt(site: string): ReadonlySet<EndpointId>;
  /**
   * A number that changes when somebody comes to the site, leaves it, gets other addresses, or speaks
   * again after a silence.
   */
  siteRevision(site: string): number;
  /** A number that changes when any endpoint changes its site. */
  moves(): number;
  flush(): Promise<void>;
}

/** One that does not say how often it checks in counts as there for this long, or for three intervals. */
const SEEN_WITHIN_MS = 120_000;

/** Until when an endpoint counts as there. */
export function seenUntilMs({ seenMs, gapMs, system }: Presence, activeMs: number): number {
  // Two check-ins may be a second apart, for news, or a night: what it said of itself counts more.
  const limitMs =
    system?.checkInMs === undefined
      ? Math.max(SEEN_WITHIN_MS, 3 * gapMs)
      : silenceLimitMs(system.checkInMs);
  return Math.max(seenMs, activeMs) + limitMs;
}

const NOBODY: ReadonlySet<EndpointId> = new Set();

export function openPresenceBook(
  records: Records,
  endpoints: readonly EndpointRecord[],
): PresenceBook {
  const known = new Map<EndpointId, Presence>();
  const active = new Map<EndpointId, number>();
  const changed = new Set<EndpointId>();
  const places = openPlaces();

  function touch(endpoint: EndpointId, nowMs: number): void {
    const presence = known.get(endpoint);
    const lastMs = active.get(endpoint) ?? 0;
    if (presence !== undefined && seenUntilMs(presence, lastMs) <= nowMs)
      places.bump(presence.site);
    active.set(endpoint, nowMs);
  }

  for (const { id } of endpoints) {
    const presence = records.get(TABLES.presence, id);
    if (presence === undefined) continue;
    known.set(id, presence);
    places.move(id, undefined, presence.site);
  }
  return {
    get: (endpoint) => known.get(endpoint),
    activeMs: (endpoint) => active.get(endpoint) ?? 0,
    touch,
    note: (endpoint, presence) => {
      touch(endpoint, presence.seenMs);
      const before = known.get(endpoint);
      known.set(endpoint, presence);
      changed.add(endpoint);
      if (before?.site !== presence.site) places.move(endpoint, before?.site, presence.site);
      else if (isOtherForPeers(before, presence)) places.bump(presence.site);
    },
    membersAt: (site) => places.membersAt(site),
    siteRevision: (site) => places.revision(site),
    moves: () => places.moves(),
    flush: async () => {
      const due = [...changed];
      changed.clear();
      await records.change(() => ({
        changes: due.map((id) => setRecord(TABLES.presence, id, known.get(id))),
        result: undefined,
      }));
    },
  };
}

function isOtherForPeers(before: Presence | undefined, now: Presence): boolean {
  if (before?.listen.join() !== now.listen.join()) return true;
  return (before?.sharing?.uploadSlots === 0) !== (now.sharing?.uploadSlots === 0);
}

/** Endpoints by site. */
function openPlaces() {
  const members = new Map<string, Set<EndpointId>>();
  const revisions = new Map<string, number>();
  let moveCount = 0;

  function bump(site: string | undefined): void {
    if (site !== undefined) revisions.set(site, (revisions.get(site) ?? 0) + 1);
  }

  return {
    bump,
    move: (id: EndpointId, from: string | undefined, to: string | undefined): void => {
      moveCount++;
      if (from !== undefined) members.get(from)?.delete(id);
      if (to !== undefined) members.set(to, (members.get(to) ?? new Set()).add(id));
      bump(from);
      bump(to);
    },
    membersAt: (site: string) => members.get(site) ?? NOBODY,
    revision: (site: string) => revisions.get(site) ?? 0,
    moves: () => moveCount,
  };
}
