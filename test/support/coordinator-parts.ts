/** What the coordinator's routes work with, over a memory store and real folders, with a fleet of its own. */
import path from "node:path";
import { INTENT_SETTINGS_DEFAULT } from "../../coordinator/core/intent/intent-settings.ts";
import { openParts } from "../../coordinator/open-parts.ts";
import type { Parts } from "../../coordinator/routes/parts.ts";
import { catalogChanges } from "../../coordinator/store/catalog-shelf.ts";
import { openMemoryStore } from "../../coordinator/store/memory-store.ts";
import type { OfflineKeys } from "../../coordinator/trust/fleet-keys.ts";
import { initTrust } from "../../coordinator/trust/init-trust.ts";

export async function openCoordinatorParts(
  folder: string,
  nowMs: number,
): Promise<{ readonly parts: Parts; readonly offline: OfflineKeys }> {
  const { offline, online, fleet, catalog } = initTrust({ nowMs });
  const store = openMemoryStore();
  await store.commit({ set: catalogChanges(catalog) });
  const parts = await openParts({
    store,
    folders: {
      fragments: path.join(folder, "fragments"),
      manifests: path.join(folder, "manifests"),
    },
    fleet,
    online,
    settings: INTENT_SETTINGS_DEFAULT,
    zone: "UTC",
    now: () => nowMs,
    steadyMs: () => nowMs,
  });
  return { parts, offline };
}
