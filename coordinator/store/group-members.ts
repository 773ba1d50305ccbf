/**
 * Who is in which endpoint group: listed members by their records, queried ones by what is known of the
 * endpoint. A query is asked again only when the endpoint's facts or the queries changed.
 */
import type { EndpointId } from "../../protocol/ids.ts";
import {
  matchesInventory,
  parseInventoryQuery,
  type InventoryFacts,
  type InventoryQuery,
} from "../../protocol/inventory-query.ts";
import type { GroupIndex, Identify } from "./group-index.ts";
import { openIdIndex } from "./id-index.ts";
import type { EndpointGroupRecord } from "./intent-records.ts";
import { inventoryFacts } from "./inventory-facts.ts";
import type { PresenceBook } from "./presence-book.ts";
import type { Records } from "./records.ts";
import { TABLES, type EndpointRecord } from "./tables.ts";

export interface GroupMembers {
  /** Names of the groups it is in, in the order of their creation, listed ones first. */
  groupsOf(record: EndpointRecord): readonly string[];
  /** Everyone in a group; looks at every endpoint where the group has a query. */
  membersOf(group: string): readonly EndpointRecord[];
  /** Ids of the member records of a group without a query. */
  memberIds(group: string): ReadonlySet<string>;
}

export const TENANT_DEFAULT = "default";

/** Tenant of the endpoint's home site: it does not change by travelling. */
export function tenantOf(records: Pick<Records, "get">, { homeSite }: EndpointRecord): string {
  return records.get(TABLES.sites, homeSite)?.tenant ?? TENANT_DEFAULT;
}

export interface GroupSources {
  readonly records: Records;
  readonly presence: PresenceBook;
  readonly findIndex: () => GroupIndex;
  readonly identify: Identify;
}

export function openGroupMembers(sources: GroupSources): GroupMembers {
  const { records, findIndex } = sources;
  const members = openIdIndex(records, TABLES.members, (id) => id.slice(id.indexOf("/") + 1));
  const queriedOf = groupMatcher(sources);

  function groupsOf(record: EndpointRecord): readonly string[] {
    const tenant = tenantOf(records, record);
    const listed = records
      .below(TABLES.members, record.id)
      .flatMap(([, { group }]) => records.get(TABLES.endpointGroups, group) ?? [])
      .filter((group) => group.tenant === tenant)
      .toSorted((one, other) => one.order - other.order)
      .map(({ name }) => name);
    return [...listed, ...queriedOf(record, findIndex())];
  }

  return {
    groupsOf,
    memberIds: (group) => members.at(group),
    membersOf: (name) => {
      const group = records.get(TABLES.endpointGroups, name);
      if (group === undefined) return [];
      if (group.query !== undefined) {
        return records.all(TABLES.endpoints).filter((one) => groupsOf(one).includes(name));
      }
      return [...members.at(name)].flatMap((id) => {
        const record = records.get(TABLES.endpoints, id.slice(0, id.indexOf("/")));
        return record === undefined || tenantOf(records, record) !== group.tenant ? [] : [record];
      });
    },
  };
}

/** Groups whose query admits an endpoint; asked again only when its facts or the queries changed. */
function groupMatcher({ records, presence, identify }: GroupSources) {
  const known = new Map<
    EndpointId,
    { readonly revision: string; readonly groups: readonly string[] }
  >();
  const parsed = new WeakMap<EndpointGroupRecord, InventoryQuery>();
  const admits = (group: EndpointGroupRecord, facts: InventoryFacts): boolean => {
    if (group.query === undefined) return false;
    const query = parsed.get(group) ?? parseInventoryQuery(group.query);
    parsed.set(group, query);
    return matchesInventory(query, facts);
  };
  return (record: EndpointRecord, { queried, queriesRevision }: GroupIndex): readonly string[] => {
    if (queried.length === 0) return [];
    const { id } = record;
    const seen = presence.get(id);
    const tenant = tenantOf(records, record);
    const revision = [
      queriesRevision,
      tenant,
      seen?.site,
      seen?.publicAddress,
      JSON.stringify(seen?.system),
      identify(record),
      identify(records.get(TABLES.scans, id)),
      records.revision(TABLES.installed, id),
    ].join(" ");
    const last = known.get(id);
    if (last?.revision === revision) return last.groups;
    const facts = inventoryFacts(records, presence, record);
    const groups = queried
      .filter((group) => group.tenant === tenant && admits(group, facts))
      .map(({ name }) => name);
    known.set(id, { revision, groups });
    return groups;
  };
}
