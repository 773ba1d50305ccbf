/**
 * GET /v1/status: gathers the records for the status page.
 */
import { StatusSchema } from "../../protocol/operator-api.ts";
import type { SiteName } from "../../protocol/ids.ts";
import type { StatusLine } from "../../protocol/traffic.ts";
import { lineWindow } from "../core/line/line-window.ts";
import { trafficNotices } from "../core/line/traffic.ts";
import { statusOfFleet, type StatusMember } from "../core/status.ts";
import { TABLES, type EndpointRecord } from "../store/tables.ts";
import type { App } from "./app-type.ts";
import { barNotices } from "./bar-views.ts";
import type { Parts } from "./parts.ts";
import { expiryNotices } from "./renewal-routes.ts";
import { effectiveSite, isServingDp, planFor } from "./planning.ts";
import { ownZone } from "./site-policy-routes.ts";
import { lineTraffic } from "./traffic-route.ts";

export function addStatusRoute(app: App, parts: Parts): void {
  const { records, gate } = parts;
  app.get(
    "/v1/status",
    { config: { caller: "operator" }, schema: { response: { 200: StatusSchema } } },
    async () =>
      statusOfFleet({
        members: [...records.all(TABLES.endpoints)]
          .sort((a, b) => a.joinedMs - b.joinedMs)
          .map((record) => memberOf(parts, record)),
        sites: [...records.all(TABLES.sites)]
          .sort((a, b) => a.order - b.order)
          .map(({ name }) => name),
        packages: [...records.all(TABLES.packages)].sort((a, b) => a.createdMs - b.createdMs),
        traffic: gate.traffic(),
        lines: statusLines(parts),
        notices: [
          ...expiryNotices(parts, parts.now()),
          ...trafficNotices(lineTraffic(parts)),
          ...parts.origins.notices(parts.now()),
          ...barNotices(parts),
        ],
      }),
  );
}

/** Lines that operators limited, or that are in use right now. */
function statusLines({ records, lines, now }: Parts): ReadonlyMap<SiteName, StatusLine> {
  const found = new Map<SiteName, StatusLine>();
  for (const { name, policy } of records.all(TABLES.sites)) {
    if (policy === undefined) continue;
    const { isOpen, changesMs } = lineWindow(policy, ownZone(), now());
    const seen = lines.seen(name);
    found.set(name, {
      policy,
      isOpen,
      ...(changesMs === undefined ? {} : { changesAt: new Date(changesMs).toISOString() }),
      ...(seen === undefined
        ? {}
        : {
            rateBytesPerSec: Math.round(seen.rateBytesPerSec),
            queueMs: Math.round(seen.queueMs),
          }),
    });
  }
  return found;
}

function memberOf(parts: Parts, record: EndpointRecord): StatusMember {
  const { presence, records } = parts;
  const { id, name, joinedMs } = record;
  const seen = presence.get(id);
  const together = seen?.site === undefined ? [] : presence.membersAt(seen.site);
  const dp = [...together]
    .map((other) => records.get(TABLES.endpoints, other))
    .find((other) => other !== undefined && other.id !== id && isServingDp(parts, other));
  return {
    id,
    name,
    isDp: isServingDp(parts, record),
    joinedMs,
    site: effectiveSite(parts, record),
    isAtSite: seen?.site !== undefined,
    addresses: seen?.facts.addresses ?? [],
    seenMs: seen?.seenMs,
    dp: dp?.name,
    bytes: seen?.bytes ?? { local: 0, peer: 0, dp: 0, origin: 0 },
    ...(seen?.sharing === undefined ? {} : { sharing: seen.sharing }),
    ...(seen?.cache === undefined ? {} : { cache: seen.cache }),
    ...(seen?.wasted === undefined ? {} : { wasted: seen.wasted }),
    plan: planFor(parts, record),
    reports: records.below(TABLES.jobs, id).map(([, report]) => report),
    refusals: records.get(TABLES.refusals, id) ?? [],
  };
}
