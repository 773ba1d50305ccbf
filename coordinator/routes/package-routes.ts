/** Packages after they were published: on and off, their page and tree, replaced, deleted. */
import { Type } from "typebox";
import { DeployError } from "../../protocol/errors.ts";
import { packageRefText } from "../../protocol/ids.ts";
import { ChangesAnswerSchema, type ChangesAnswer } from "../../protocol/intent-api.ts";
import {
  PackageDeleteAnswerSchema,
  PackageDeleteInputSchema,
  PackageDetailSchema,
  PackageTreeSchema,
  ReplaceInputSchema,
} from "../../protocol/page-api.ts";
import {
  ActivationInputSchema,
  PackageAnswerSchema,
  type ActivationInput,
  type PackageAnswer,
} from "../../protocol/operator-api.ts";
import { restartEdge } from "../core/plan/restart-edges.ts";
import type { PlanPackage } from "../core/plan/plan-model.ts";
import { packageAnswer } from "../core/status.ts";
import { planCatalog } from "../store/plan-catalog.ts";
import { setRecord } from "../store/records.ts";
import { TABLES } from "../store/tables.ts";
import type { App } from "./app-type.ts";
import { dryRunAnswer } from "./dry-run.ts";
import { replaceVersion } from "./intent-actions.ts";
import { deletePackage } from "./package-removal.ts";
import { packageDetail, packageTree } from "./package-views.ts";
import type { Parts } from "./parts.ts";

const config = { caller: "operator" } as const;
const activation = {
  body: ActivationInputSchema,
  response: { 200: Type.Union([PackageAnswerSchema, ChangesAnswerSchema]) },
};
const querystring = Type.Object({ package: Type.String({ maxLength: 200 }) });

export function addPackageRoutes(app: App, parts: Parts): void {
  app.post("/v1/packages/activate", { config, schema: activation }, async (request) =>
    setActive(parts, request.body, true),
  );
  app.post("/v1/packages/deactivate", { config, schema: activation }, async (request) =>
    setActive(parts, request.body, false),
  );
  app.get(
    "/v1/packages/show",
    { config, schema: { querystring, response: { 200: PackageDetailSchema } } },
    async (request) => packageDetail(parts, request.query.package),
  );
  app.get(
    "/v1/packages/tree",
    { config, schema: { querystring, response: { 200: PackageTreeSchema } } },
    async (request) => packageTree(parts, request.query.package),
  );
  app.post(
    "/v1/packages/replace",
    { config, schema: { body: ReplaceInputSchema, response: { 200: ChangesAnswerSchema } } },
    async (request) => replaceVersion(parts, request.body),
  );
  const body = PackageDeleteInputSchema;
  app.post(
    "/v1/packages/delete",
    { config, schema: { body, response: { 200: PackageDeleteAnswerSchema } } },
    async (request) => deletePackage(parts, request.body),
  );
}

async function setActive(
  parts: Parts,
  { isDryRun = false, ...ref }: ActivationInput,
  isActive: boolean,
): Promise<PackageAnswer | ChangesAnswer> {
  const { records } = parts;
  const text = packageRefText(ref);
  return records.change<PackageAnswer | ChangesAnswer>(() => {
    const known = records.get(TABLES.packages, text);
    if (known === undefined) throw new DeployError("NOT_FOUND", { what: `package ${text}` });
    const catalog = planCatalog(records);
    const planned = catalog.get(ref);
    if (isActive && planned !== undefined) refuseRestarts(parts, planned);
    if (isDryRun) {
      const before = { isActive: known.isActive };
      const result = dryRunAnswer({ kind: "package", name: text, before, after: { isActive } });
      return { changes: [], result };
    }
    const changed = { ...known, isActive };
    const changes = known.isActive === isActive ? [] : [setRecord(TABLES.packages, text, changed)];
    return { changes, result: packageAnswer(changed) };
  });
}

/** Throws DEPENDENCY_RESTARTS (ZEN-20). */
export function refuseRestarts({ records }: Parts, known: PlanPackage): void {
  const catalog = planCatalog(records);
  const others = records
    .all(TABLES.packages)
    .flatMap((one) => catalog.get(one) ?? [])
    .filter(({ name }) => name !== known.name);
  const edge = restartEdge(known, others, catalog);
  if (edge === undefined) return;
  const { primary, dependent, postAction } = edge;
  throw new DeployError("DEPENDENCY_RESTARTS", { primary, dependent, postAction });
}
