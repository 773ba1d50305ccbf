/** Wake-ups by the node that broadcasts them: short lists, made from the records at start and kept up. */
import type { EndpointId } from "../../protocol/ids.ts";
import type { Records } from "./records.ts";
import { TABLES } from "./tables.ts";

export interface RelayedWake {
  readonly id: string;
  readonly macs: string[];
}

export interface WakeBook {
  /** What this node shall broadcast, newest last; the same array while nothing changed. */
  ofRelay(relay: EndpointId, nowMs: number): readonly RelayedWake[];
}

/** A roster holds so many, and one wake so many addresses (protocol/check-in.ts). */
const WAKES_MAX = 32;
const MACS_MAX = 256;
/** A relay that checks in later than this is too late: the endpoints count as not woken (OCO-11). */
const HANDED_OUT_MS = 300_000;
const NONE: readonly RelayedWake[] = [];

export function openWakeBook(records: Records): WakeBook {
  let known:
    | { readonly revision: number; readonly byRelay: ReadonlyMap<string, Listed> }
    | undefined;

  function byRelay(): ReadonlyMap<string, Listed> {
    const revision = records.revision(TABLES.wakes);
    if (known?.revision !== revision) known = { revision, byRelay: listedByRelay(records) };
    return known.byRelay;
  }

  return {
    ofRelay: (relay, nowMs) => {
      const listed = byRelay().get(relay);
      return listed === undefined || nowMs - listed.sentMs >= HANDED_OUT_MS ? NONE : listed.wakes;
    },
  };
}

interface Listed {
  /** Of the newest. */
  readonly sentMs: number;
  readonly wakes: readonly RelayedWake[];
}

function listedByRelay(records: Records): ReadonlyMap<string, Listed> {
  const all = records.all(TABLES.wakes).filter(({ relay }) => relay !== undefined);
  const listed = new Map<string, Listed>();
  for (const [relay, wakes] of Map.groupBy(all, (one) => one.relay ?? "")) {
    const sentMs = wakes.reduce((last, one) => Math.max(last, one.sentMs), 0);
    const fresh = wakes.filter((one) => sentMs - one.sentMs < HANDED_OUT_MS);
    const byId = Map.groupBy(fresh, ({ id }) => id);
    const shown = [...byId].map(([id, ones]) => ({
      id,
      macs: ones.flatMap(({ macs }) => macs).slice(0, MACS_MAX),
    }));
    listed.set(relay, { sentMs, wakes: shown.slice(-WAKES_MAX) });
  }
  return listed;
}
