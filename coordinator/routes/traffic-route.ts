/**
 * GET /v1/traffic: gathers what the gates counted and what endpoints reported.
 */
import { Type } from "typebox";
import { NO_WAN_BYTES, TrafficSchema, type Traffic } from "../../protocol/traffic.ts";
import { trafficOf, type TrafficFilter, type TrafficInput } from "../core/line/traffic.ts";
import { TABLES } from "../store/tables.ts";
import type { App } from "./app-type.ts";
import type { Parts } from "./parts.ts";
import { gateSite } from "./planning.ts";

const FilterSchema = Type.Object(
  {
    site: Type.Optional(Type.String({ maxLength: 100 })),
    package: Type.Optional(Type.String({ maxLength: 200 })),
  },
  { additionalProperties: false },
);

export function addTrafficRoute(app: App, parts: Parts): void {
  app.get(
    "/v1/traffic",
    {
      config: { caller: "operator" },
      schema: { querystring: FilterSchema, response: { 200: TrafficSchema } },
    },
    async (request) => currentTraffic(parts, request.query),
  );
}

function currentTraffic(parts: Parts, filter: TrafficFilter): Traffic {
  const reported = parts.records.all(TABLES.endpoints).flatMap((record) =>
    parts.records.below(TABLES.jobs, record.id).map(([, { name, version, bytes, site }]) => {
      // Where it fetched, not where it is now.
      const place = site ?? gateSite(parts, record.id);
      return { endpoint: record.name, site: place, name, version, bytes };
    }),
  );
  return trafficOf({ ...sentTraffic(parts), reported }, filter);
}

/** What the lines carried, without what endpoints report: little to gather in a fleet of any size. */
export function lineTraffic(parts: Parts): Traffic {
  return trafficOf({ ...sentTraffic(parts), reported: [] });
}

function sentTraffic({ records, gate }: Parts): Omit<TrafficInput, "reported"> {
  return {
    packages: [...records.all(TABLES.packages)].sort((a, b) => a.createdMs - b.createdMs),
    sent: gate.traffic().map(({ site, manifest, wan = NO_WAN_BYTES, plainBytes }) => {
      return { site, manifest, wan, ...(plainBytes === undefined ? {} : { plainBytes }) };
    }),
    away: new Map(records.all(TABLES.endpoints).map(({ id, name }) => [`~${id}`, name])),
  };
}
