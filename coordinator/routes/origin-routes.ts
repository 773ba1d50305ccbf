/**
 * Plain HTTPS origins as operators see them: add, remove, list. Nodes hear of them in their signed rosters.
 */
import { X509Certificate } from "node:crypto";
import { DeployError } from "../../protocol/errors.ts";
import {
  OriginInputSchema,
  OriginRemovalSchema,
  OriginsSchema,
  OriginViewSchema,
  type OriginInput,
  type OriginView,
} from "../../protocol/plain-origin.ts";
import { setRecord } from "../store/records.ts";
import { TABLES } from "../store/tables.ts";
import type { App } from "./app-type.ts";
import type { Parts } from "./parts.ts";

const config = { caller: "operator" } as const;

export function addOriginRoutes(app: App, parts: Parts): void {
  const { origins, records } = parts;
  app.get("/v1/origins", { config, schema: { response: { 200: OriginsSchema } } }, async () => {
    return { origins: [...origins.list()], tokenKey: origins.tokenKey };
  });
  app.put(
    "/v1/origins",
    { config, schema: { body: OriginInputSchema, response: { 200: OriginViewSchema } } },
    async (request) => setOrigin(parts, request.body),
  );
  app.post(
    "/v1/origins/remove",
    { config, schema: { body: OriginRemovalSchema, response: { 200: OriginRemovalSchema } } },
    async (request) => {
      const { url } = request.body;
      return records.change(() => {
        const known = records.get(TABLES.origins, url);
        if (known === undefined) throw new DeployError("NOT_FOUND", { what: `origin ${url}` });
        return { changes: [setRecord(TABLES.origins, url, undefined)], result: { url } };
      });
    },
  );
}

async function setOrigin(
  { records, origins, now }: Parts,
  input: OriginInput,
): Promise<OriginView> {
  const { url, ca, sites = [] } = input;
  requirePlainUrl(url);
  if (ca !== undefined) requireCertificate(ca, now());
  await records.change(() => {
    for (const site of sites) {
      const isKnown = records.get(TABLES.sites, site) !== undefined;
      if (!isKnown) throw new DeployError("NOT_FOUND", { what: `site ${site}` });
    }
    const addedMs = records.get(TABLES.origins, url)?.addedMs ?? now();
    const record = { ...input, addedMs };
    return { changes: [setRecord(TABLES.origins, url, record)], result: undefined };
  });
  const view = origins.list().find((known) => known.url === url);
  if (view === undefined) throw new DeployError("NOT_FOUND", { what: `origin ${url}` });
  return view;
}

/** One text per origin: two that differ only in writing would be asked twice. */
function requirePlainUrl(url: string): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const plain = parsed === undefined ? undefined : parsed.origin + parsed.pathname;
  if (plain?.replace(/\/+$/u, "") === url) return;
  const expected =
    "an https:// address without a slash at its end, such as https://cdn.example/fleet";
  throw new DeployError("INPUT_INVALID", { what: `origin "${url}"`, expected });
}

function requireCertificate(ca: string, nowMs: number): void {
  const expected = "a certificate in PEM that has not expired";
  const details = { what: "the pinned authority", expected };
  const endsMs = expiryOf(ca);
  if (endsMs === undefined || endsMs <= nowMs) throw new DeployError("INPUT_INVALID", details);
}

function expiryOf(pem: string): number | undefined {
  try {
    return new X509Certificate(pem).validToDate.getTime();
  } catch {
    // What is no certificate has no end.
    return undefined;
  }
}
