/** What the coordinator's routes work with, over a memory store and real folders, with a fleet of its own. */
import path from "node:path";
import { INTENT_SETTINGS_DEFAULT } from "../../coordinator/core/intent/intent-settings.ts";
import type { Parts } from "../../coordinator/routes/parts.ts";
import { catalogChanges, openCatalogShelf } from "../../coordinator/store/catalog-shelf.ts";
import { openChoreBook } from "../../coordinator/store/chore-book.ts";
import { openFragmentFolder } from "../../coordinator/store/fragment-folder.ts";
import { openGateBook } from "../../coordinator/store/gate-book.ts";
import { openIntentBook } from "../../coordinator/store/intent-book.ts";
import { openLineBook } from "../../coordinator/store/line-book.ts";
import { openMemoryStore } from "../../coordinator/store/memory-store.ts";
import { openOriginBook } from "../../coordinator/store/origin-book.ts";
import { openPlanBook } from "../../coordinator/store/plan-book.ts";
import { openPresenceBook } from "../../coordinator/store/presence-book.ts";
import { openRecords } from "../../coordinator/store/records.ts";
import { openSiteBook } from "../../coordinator/store/site-book.ts";
import { openStandingBook } from "../../coordinator/store/standing-book.ts";
import { openTurns } from "../../coordinator/store/turns.ts";
import { openWakeBook } from "../../coordinator/store/wake-book.ts";
import { keyOfSeed, type OfflineKeys } from "../../coordinator/trust/fleet-keys.ts";
import { initTrust } from "../../coordinator/trust/init-trust.ts";

export async function openCoordinatorParts(
  folder: string,
  nowMs: number,
): Promise<{ readonly parts: Parts; readonly offline: OfflineKeys }> {
  const { offline, online, fleet, catalog } = initTrust({ nowMs });
  const store = openMemoryStore();
  await store.commit({ set: catalogChanges(catalog) });
  const records = await openRecords(store);
  const presence = openPresenceBook(records, []);
  const standing = openStandingBook(records);
  const now = (): number => nowMs;
  const parts: Parts = {
    records,
    presence,
    sites: openSiteBook(records, presence, standing),
    standing,
    plans: openPlanBook(),
    chores: openChoreBook(),
    wakes: openWakeBook(records),
    settings: INTENT_SETTINGS_DEFAULT,
    intents: openIntentBook(records, presence, { zone: "UTC", now }),
    gate: openGateBook(records, now),
    lines: openLineBook({ policyOf: () => undefined, nowMs: now }),
    origins: openOriginBook(records, online.leaseSecret),
    catalog: openCatalogShelf(records),
    fragments: await openFragmentFolder(path.join(folder, "fragments")),
    manifests: await openFragmentFolder(path.join(folder, "manifests")),
    contentTurns: openTurns(),
    fleet,
    online,
    director: keyOfSeed(online.director),
    now,
  };
  return { parts, offline };
}
