/**
 * Who is there: kept in memory, written to the store every few seconds and at the end. A change that others
 * act on (site, addresses) is written at once.
 */
import type { EndpointId } from "../../protocol/ids.ts";
import { setRecord, type Records } from "./records.ts";
import { TABLES, type EndpointRecord, type Presence } from "./tables.ts";

export interface PresenceBook {
  get(endpoint: EndpointId): Presence | undefined;
  /** Time of the endpoint's last authenticated request of any kind. */
  activeMs(endpoint: EndpointId): number;
  touch(endpoint: EndpointId, nowMs: number): void;
  note(endpoint: EndpointId, presence: Presence): void;
  flush(): Promise<void>;
}

export function openPresenceBook(
  records: Records,
  endpoints: readonly EndpointRecord[],
): PresenceBook {
  const known = new Map<EndpointId, Presence>();
  const active = new Map<EndpointId, number>();
  const changed = new Set<EndpointId>();
  for (const { id } of endpoints) {
    const presence = records.get(TABLES.presence, id);
    if (presence !== undefined) known.set(id, presence);
  }
  return {
    get: (endpoint) => known.get(endpoint),
    activeMs: (endpoint) => active.get(endpoint) ?? 0,
    touch: (endpoint, nowMs) => active.set(endpoint, nowMs),
    note: (endpoint, presence) => {
      known.set(endpoint, presence);
      active.set(endpoint, presence.seenMs);
      changed.add(endpoint);
    },
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
