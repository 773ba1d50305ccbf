/**
 * Everything that the routes work with, opened over one store and two folders: by the program on a disk, by
 * tests in memory.
 */
import type { Fleet } from "../protocol/check-in.ts";
import type { IntentSettings } from "./core/intent/intent-settings.ts";
import type { Parts } from "./routes/parts.ts";
import { openCatalogShelf } from "./store/catalog-shelf.ts";
import { openChoreBook } from "./store/chore-book.ts";
import { openFragmentFolder } from "./store/fragment-folder.ts";
import { openGateBook } from "./store/gate-book.ts";
import { openIntentBook } from "./store/intent-book.ts";
import { openLineBook } from "./store/line-book.ts";
import { openOriginBook } from "./store/origin-book.ts";
import { openPlanBook } from "./store/plan-book.ts";
import { openPresenceBook } from "./store/presence-book.ts";
import { openRecords } from "./store/records.ts";
import { openSiteBook } from "./store/site-book.ts";
import { openStandingBook } from "./store/standing-book.ts";
import type { Store } from "./store/store.ts";
import { TABLES } from "./store/tables.ts";
import { openTurns } from "./store/turns.ts";
import { openWakeBook } from "./store/wake-book.ts";
import { keyOfSeed, type OnlineKeys } from "./trust/fleet-keys.ts";

export interface PartsGround {
  /** Stays with the caller, who closes it. */
  readonly store: Store;
  readonly folders: { readonly fragments: string; readonly manifests: string };
  readonly fleet: Fleet;
  readonly online: OnlineKeys;
  readonly settings: IntentSettings;
  /** In which time frames without a zone of their own are meant. */
  readonly zone: string;
  readonly now: () => number;
  /** Milliseconds that never jump: rates must not with the system's clock. */
  readonly steadyMs: () => number;
}

export async function openParts(ground: PartsGround): Promise<Parts> {
  const { store, folders, fleet, online, settings, zone, now, steadyMs } = ground;
  const records = await openRecords(store);
  const presence = openPresenceBook(records, records.all(TABLES.endpoints));
  const standing = openStandingBook(records);
  return {
    records,
    presence,
    sites: openSiteBook(records, presence, standing),
    standing,
    plans: openPlanBook(),
    chores: openChoreBook(),
    wakes: openWakeBook(records),
    settings,
    intents: openIntentBook(records, presence, { zone, now }),
    gate: openGateBook(records, now),
    lines: openLineBook({
      policyOf: (site) => records.get(TABLES.sites, site)?.policy,
      nowMs: steadyMs,
    }),
    origins: openOriginBook(records, online.leaseSecret),
    catalog: openCatalogShelf(records),
    fragments: await openFragmentFolder(folders.fragments),
    manifests: await openFragmentFolder(folders.manifests),
    contentTurns: openTurns(),
    fleet,
    online,
    director: keyOfSeed(online.director),
    now,
  };
}
