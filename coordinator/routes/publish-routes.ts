/**
 * Publishing: fragments first, then the signed package, which is inactive (OCS-4, OCS-5). The coordinator
 * checks all of it and signs none of it.
 */
import { Readable } from "node:stream";
import { Type } from "typebox";
import { DeployError } from "../../protocol/errors.ts";
import {
  DigestSchema,
  packageRefOfTargetPath,
  packageRefText,
  targetPathOf,
} from "../../protocol/ids.ts";
import { canonicalBytes, readJson } from "../../protocol/json.ts";
import {
  FRAGMENT_WIRE_MAX_BYTES,
  MANIFEST_MAX_BYTES,
  PACKAGE_REQUEST_MAX_BYTES,
} from "../../protocol/limits.ts";
import { matchOf, parseManifest, type Manifest } from "../../protocol/manifest.ts";
import {
  MissingAnswerSchema,
  MissingInputSchema,
  PackageAnswerSchema,
  PackageInputSchema,
  PublishingSchema,
  type PackageAnswer,
  type PackageInput,
} from "../../protocol/operator-api.ts";
import type { PlanPackage } from "../core/plan/plan-model.ts";
import { checkRules } from "../core/plan/rules-check.ts";
import { NO_RULES } from "../../protocol/package-rules.ts";
import { packageAnswer } from "../core/status.ts";
import { digestOf } from "../store/catalog-shelf.ts";
import { requireContent } from "../store/package-content.ts";
import { planPackage } from "../store/plan-catalog.ts";
import { setRecord } from "../store/records.ts";
import { TABLES, type PackageRecord } from "../store/tables.ts";
import { addPackage, publishingView } from "../trust/catalog.ts";
import type { App } from "./app-type.ts";
import { refuseRestarts } from "./package-routes.ts";
import type { Parts } from "./parts.ts";

const config = { caller: "operator" } as const;
const StoredSchema = Type.Object({ digest: DigestSchema });

export function addPublishRoutes(app: App, parts: Parts): void {
  app.post(
    "/v1/fragments/missing",
    { config, schema: { body: MissingInputSchema, response: { 200: MissingAnswerSchema } } },
    async (request) => {
      const { digests } = request.body;
      const sizes = await Promise.all(digests.map(async (digest) => parts.fragments.size(digest)));
      return { missing: digests.filter((_digest, index) => sizes[index] === undefined) };
    },
  );
  app.put(
    "/v1/fragments/:digest",
    {
      config,
      bodyLimit: FRAGMENT_WIRE_MAX_BYTES,
      schema: { params: StoredSchema, response: { 200: StoredSchema } },
    },
    async (request) => {
      const { digest } = request.params;
      const { body } = request;
      if (!(body instanceof Readable)) {
        const expected = "bytes of the type application/octet-stream";
        throw new DeployError("INPUT_INVALID", { what: "the request's body", expected });
      }
      await parts.fragments.put(digest, body, FRAGMENT_WIRE_MAX_BYTES);
      return { digest };
    },
  );
  addPackageRoutes(app, parts);
}

function addPackageRoutes(app: App, parts: Parts): void {
  const targetQuery = Type.Object({ target: Type.String({ maxLength: 200 }) });
  app.get(
    "/v1/catalog/publishing",
    { config, schema: { querystring: targetQuery, response: { 200: PublishingSchema } } },
    async (request) => {
      const path = targetPathOf(packageRefOfTargetPath(request.query.target));
      return publishingView(parts.catalog.files(), path);
    },
  );
  app.post(
    "/v1/packages",
    {
      config,
      bodyLimit: PACKAGE_REQUEST_MAX_BYTES,
      schema: { body: PackageInputSchema, response: { 200: PackageAnswerSchema } },
    },
    async (request) => publishPackage(parts, request.body),
  );
}

export async function publishPackage(parts: Parts, input: PackageInput): Promise<PackageAnswer> {
  const manifest = parseManifest(readJson("the manifest", input.manifest, MANIFEST_MAX_BYTES));
  checkRules(manifest.name, manifest.rules ?? NO_RULES);
  return parts.contentTurns(async () => publishInTurn(parts, input, manifest));
}

async function publishInTurn(
  parts: Parts,
  input: PackageInput,
  manifest: Manifest,
): Promise<PackageAnswer> {
  const { catalog, fragments, manifests, online, records, now } = parts;
  await requireContent(fragments, manifest);
  refuseRestarts(parts, plannedOf(manifest));
  const bytes = Buffer.from(input.manifest, "utf8");
  const nowMs = now();
  // Checked once before anything is written; `replace` checks it again on the newest catalog.
  const { digest } = addPackage(catalog.files(), input, online, nowMs);
  await manifests.put(digest, oneChunk(bytes), MANIFEST_MAX_BYTES);
  return catalog.replace((files) => {
    const added = addPackage(files, input, online, nowMs);
    const ref = packageRefText(manifest);
    const known = records.get(TABLES.packages, ref);
    const record = known ?? recordOf(manifest, bytes, nowMs);
    const changes = known === undefined ? [setRecord(TABLES.packages, ref, record)] : [];
    return { files: added.catalog, changes, result: packageAnswer(record) };
  });
}

function recordOf(manifest: Manifest, bytes: Buffer, nowMs: number): PackageRecord {
  const { name, version, level, content, rules } = manifest;
  return {
    name,
    version,
    manifest: digestOf(bytes),
    manifestBytes: bytes.length,
    level,
    match: matchOf(manifest),
    wireBytes: content?.wireBytes ?? 0,
    ...(content?.deltas === undefined
      ? {}
      : { deltaBytes: content.deltas.reduce((sum, delta) => sum + delta.wireBytes, 0) }),
    fileBytes: content?.fileBytes ?? 0,
    fragmentCount: content?.fragmentCount ?? 0,
    hasContent: content !== undefined,
    isActive: false,
    createdMs: nowMs,
    ...(rules === undefined ? {} : { rules }),
  };
}

/** As the planner will see it. */
function plannedOf(manifest: Manifest): PlanPackage {
  const bytes = canonicalBytes(manifest);
  return planPackage(recordOf(manifest, bytes, 0));
}

async function* oneChunk(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
