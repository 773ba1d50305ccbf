/**
 * What operators allow a site's line to be used for: rate, hours, class of traffic. In force at once, without
 * a word to the endpoints: the coordinator sends what crosses the line.
 */
import { Type } from "typebox";
import { DeployError } from "../../protocol/errors.ts";
import { ChangesAnswerSchema, type ChangesAnswer } from "../../protocol/intent-api.ts";
import { SiteNameSchema, type SiteName } from "../../protocol/ids.ts";
import { checkTimeZone, parseTimeFrames } from "../../protocol/time-frame.ts";
import {
  SitePolicyAnswerSchema,
  SitePolicyCallSchema,
  type SitePolicy,
  type SitePolicyAnswer,
  type SitePolicyCall,
} from "../../protocol/traffic.ts";
import { setRecord } from "../store/records.ts";
import { TABLES } from "../store/tables.ts";
import type { App } from "./app-type.ts";
import { dryRunAnswer } from "./dry-run.ts";
import type { Parts } from "./parts.ts";

const config = { caller: "operator" } as const;
const params = Type.Object({ site: SiteNameSchema });

export function addSitePolicyRoutes(app: App, parts: Parts): void {
  app.get(
    "/v1/sites/:site/policy",
    { config, schema: { params, response: { 200: SitePolicyAnswerSchema } } },
    async (request) => {
      const { site } = request.params;
      const known = parts.records.get(TABLES.sites, site);
      if (known === undefined) throw new DeployError("NOT_FOUND", { what: `site ${site}` });
      return { site, policy: known.policy ?? {} };
    },
  );
  app.put(
    "/v1/sites/:site/policy",
    {
      config,
      schema: {
        params,
        body: SitePolicyCallSchema,
        response: { 200: Type.Union([SitePolicyAnswerSchema, ChangesAnswerSchema]) },
      },
    },
    async (request) => setPolicy(parts, request.params.site, request.body),
  );
}

/** The policy in force at a gate's place; an endpoint at no site has none. */
export function policyAt(
  { records }: Pick<Parts, "records">,
  site: string,
): SitePolicy | undefined {
  return records.get(TABLES.sites, site)?.policy;
}

/** Zone of hours that name none (D5). */
export function ownZone(): string {
  return Temporal.Now.timeZoneId();
}

async function setPolicy(
  { records }: Parts,
  site: SiteName,
  { isDryRun = false, ...policy }: SitePolicyCall,
): Promise<SitePolicyAnswer | ChangesAnswer> {
  if (policy.hours !== undefined) parseTimeFrames(policy.hours);
  if (policy.zone !== undefined) checkTimeZone(policy.zone);
  return records.change<SitePolicyAnswer | ChangesAnswer>(() => {
    const known = records.get(TABLES.sites, site);
    if (known === undefined) throw new DeployError("NOT_FOUND", { what: `site ${site}` });
    if (isDryRun) {
      const before = known.policy ?? {};
      const result = dryRunAnswer({ kind: "site", name: site, before, after: policy });
      return { changes: [], result };
    }
    return {
      changes: [setRecord(TABLES.sites, site, { ...known, policy })],
      result: { site, policy },
    };
  });
}
