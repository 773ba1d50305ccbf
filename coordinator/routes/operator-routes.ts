/**
 * What operators set up: sites, join tokens, distribution points, deployments. Nothing here waits for an
 * endpoint (SE-3, SE-9).
 */
import { randomBytes } from "node:crypto";
import { Type, type Static, type TSchema } from "typebox";
import { DeployError } from "../../protocol/errors.ts";
import { packageRefText, type EndpointId } from "../../protocol/ids.ts";
import { ChangesAnswerSchema, type ChangesAnswer } from "../../protocol/intent-api.ts";
import { fleetPin, joinTokenText } from "../../protocol/join-token.ts";
import { checkCriterion } from "../../protocol/location-match.ts";
import {
  DeploymentAnswerSchema,
  DeploymentInputSchema,
  DpInputSchema,
  SiteCallSchema,
  SiteInputSchema,
  TokenAnswerSchema,
  TokenInputSchema,
  type DeploymentAnswer,
  type DeploymentInput,
  type DpInput,
  type SiteCall,
  type SiteInput,
  type TokenAnswer,
  type TokenInput,
} from "../../protocol/operator-api.ts";
import { setRecord } from "../store/records.ts";
import { TABLES, type DeploymentRecord } from "../store/tables.ts";
import type { App } from "./app-type.ts";
import { dryRunAnswer } from "./dry-run.ts";
import { requireEndpoint } from "./endpoint-views.ts";
import { notFound } from "./intent-pen.ts";
import { NO_SITE_PREFIX } from "./memberships.ts";
import type { Parts } from "./parts.ts";
import { effectiveSite, isDeployedTo } from "./planning.ts";
import { joinSecret } from "./session.ts";

const config = { caller: "operator" } as const;

/** The usual answer, or that of a dry run. */
const orChanges = <T extends TSchema>(answer: T) => Type.Union([answer, ChangesAnswerSchema]);

const DpAnswerSchema = Type.Object({
  endpoint: Type.String(),
  name: Type.String(),
  isEnabled: Type.Boolean(),
});
type DpAnswer = Static<typeof DpAnswerSchema>;

export function addOperatorRoutes(app: App, parts: Parts): void {
  const { records } = parts;
  app.get(
    "/v1/sites",
    { config, schema: { response: { 200: Type.Array(SiteInputSchema) } } },
    async () =>
      [...records.all(TABLES.sites)]
        .sort((a, b) => a.order - b.order)
        .map(({ name, criteria, tenant }) => ({
          name,
          criteria,
          ...(tenant === undefined ? {} : { tenant }),
        })),
  );
  app.post(
    "/v1/sites",
    { config, schema: { body: SiteCallSchema, response: { 200: orChanges(SiteInputSchema) } } },
    async (request) => putSite(parts, request.body),
  );
  app.post(
    "/v1/tokens",
    { config, schema: { body: TokenInputSchema, response: { 200: orChanges(TokenAnswerSchema) } } },
    async (request) => makeToken(parts, request.body),
  );
  app.put(
    "/v1/endpoints/:endpoint/dp",
    {
      config,
      schema: {
        params: Type.Object({ endpoint: Type.String({ maxLength: 100 }) }),
        body: DpInputSchema,
        response: { 200: orChanges(DpAnswerSchema) },
      },
    },
    async (request) => setDp(parts, request.params.endpoint, request.body),
  );
  app.post(
    "/v1/deployments",
    { config, schema: { body: DeploymentInputSchema, response: { 200: DeploymentAnswerSchema } } },
    async (request) => deploy(parts, request.body),
  );
}

/** Makes a site, or gives a known one new criteria; its place in the order stays. */
async function putSite(
  { records }: Parts,
  { isDryRun = false, ...input }: SiteCall,
): Promise<SiteInput | ChangesAnswer> {
  for (const criterion of input.criteria) checkCriterion(criterion);
  if (input.name.startsWith(NO_SITE_PREFIX)) {
    const expected = `a name that does not begin with ${NO_SITE_PREFIX}`;
    throw new DeployError("INPUT_INVALID", { what: `the site name "${input.name}"`, expected });
  }
  return records.change<SiteInput | ChangesAnswer>(() => {
    const known = records.get(TABLES.sites, input.name);
    if (isDryRun) {
      const { name, criteria, tenant } = { ...known, ...input };
      const before = known && { criteria: known.criteria, tenant: known.tenant };
      const result = dryRunAnswer({ kind: "site", name, before, after: { criteria, tenant } });
      return { changes: [], result };
    }
    const order = known?.order ?? records.all(TABLES.sites).length;
    const epoch = (known?.epoch ?? 0) + 1;
    const changes = [setRecord(TABLES.sites, input.name, { ...known, ...input, order, epoch })];
    return { changes, result: input };
  });
}

async function makeToken(
  parts: Parts,
  { site, uses, ttlSec, isDryRun = false }: TokenInput,
): Promise<TokenAnswer | ChangesAnswer> {
  const { records, online, fleet, now } = parts;
  if (records.get(TABLES.sites, site) === undefined) throw notFound(`site ${site}`);
  if (isDryRun) {
    const after = { uses, ttlSec };
    return dryRunAnswer({ kind: "token", name: site, before: undefined, after, endpointCount: 0 });
  }
  const id = randomBytes(8).toString("hex");
  const expiresMs = now() + ttlSec * 1000;
  const secret = joinSecret(online.sessionSecret, id);
  return records.change(() => ({
    changes: [setRecord(TABLES.tokens, id, { id, site, usesLeft: uses, expiresMs })],
    result: {
      token: joinTokenText({ pin: fleetPin(fleet), id, secret }),
      id,
      site,
      uses,
      expiresAt: new Date(expiresMs).toISOString(),
    },
  }));
}

async function setDp(parts: Parts, nameOrId: string, { isEnabled, isDryRun = false }: DpInput) {
  const { records } = parts;
  return records.change<DpAnswer | ChangesAnswer>(() => {
    const record = requireEndpoint(parts, nameOrId);
    const { name, isDp } = record;
    const result = { endpoint: record.id, name, isEnabled };
    if (isDryRun) {
      const [before, after] = [{ isDp }, { isDp: isEnabled }];
      const dry = dryRunAnswer({ kind: "endpoint", name, before, after, endpointCount: 1 });
      return { changes: [], result: dry };
    }
    if (record.isDp === isEnabled) return { changes: [], result };
    const site = records.get(TABLES.sites, effectiveSite(parts, record));
    const changes = [
      setRecord(TABLES.endpoints, record.id, { ...record, isDp: isEnabled }),
      ...(site === undefined
        ? []
        : [setRecord(TABLES.sites, site.name, { ...site, epoch: site.epoch + 1 })]),
    ];
    return { changes, result };
  });
}

/** The same package to the same target is the same deployment: calling twice changes nothing. */
async function deploy(
  parts: Parts,
  { isDryRun = false, ...input }: DeploymentInput,
): Promise<DeploymentAnswer> {
  const { records, now } = parts;
  return records.change(() => {
    const { endpoint, isActive } = requireTarget(parts, input);
    const known = records.all(TABLES.deployments);
    const same = known.find((other) => isSameDeployment(other, input, endpoint));
    const record: DeploymentRecord = same ?? {
      id: randomBytes(8).toString("hex"),
      ...input,
      ...(endpoint === undefined ? {} : { endpoint }),
      order: parts.intents.nextOrder(),
      createdMs: now(),
    };
    const { id, name, version, target } = record;
    const endpoints = records
      .all(TABLES.endpoints)
      .filter((other) => isDeployedTo(parts, record, other))
      .map((other) => other.name);
    const isNew = same === undefined && !isDryRun;
    const changes = isNew ? [setRecord(TABLES.deployments, id, record)] : [];
    return { changes, result: { id, name, version, target, endpoints, isActive } };
  });
}

function requireTarget(
  parts: Parts,
  { name, version, target }: DeploymentInput,
): { readonly endpoint: EndpointId | undefined; readonly isActive: boolean } {
  const ref = packageRefText({ name, version });
  const known = parts.records.get(TABLES.packages, ref);
  if (known === undefined) throw notFound(`package ${ref}`);
  const { isActive } = known;
  if (target.kind === "endpoint") {
    return { endpoint: requireEndpoint(parts, target.name).id, isActive };
  }
  if (target.kind === "site" && parts.records.get(TABLES.sites, target.name) === undefined) {
    throw notFound(`site ${target.name}`);
  }
  return { endpoint: undefined, isActive };
}

function isSameDeployment(
  other: DeploymentRecord,
  { name, version, target }: DeploymentInput,
  endpoint: EndpointId | undefined,
): boolean {
  if (other.name !== name || other.version !== version) return false;
  if (other.target.kind !== target.kind || other.endpoint !== endpoint) return false;
  return (
    target.kind !== "site" || (other.target.kind === "site" && other.target.name === target.name)
  );
}
