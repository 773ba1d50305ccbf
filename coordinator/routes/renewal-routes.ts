/**
 * Renewal of the catalog by its publisher, and the notice that it is near.
 */
import {
  RenewalAnswerSchema,
  RenewalInputSchema,
  RenewalSchema,
  type Notice,
} from "../../protocol/operator-api.ts";
import { RENEWAL_REQUEST_MAX_BYTES } from "../../protocol/limits.ts";
import { applyRenewal, renewalView } from "../trust/catalog-renewal.ts";
import { EXPIRY_NOTICE_MS } from "../trust/expiry.ts";
import type { App } from "./app-type.ts";
import type { Parts } from "./parts.ts";

const config = { caller: "operator" } as const;

export function addRenewalRoutes(app: App, { catalog, online, now }: Parts): void {
  app.get(
    "/v1/catalog/renewal",
    { config, schema: { response: { 200: RenewalSchema } } },
    async () => renewalView(catalog.files()),
  );
  app.post(
    "/v1/catalog/renewal",
    {
      config,
      bodyLimit: RENEWAL_REQUEST_MAX_BYTES,
      schema: { body: RenewalInputSchema, response: { 200: RenewalAnswerSchema } },
    },
    async (request) => {
      await catalog.replace((files) => ({
        files: applyRenewal(files, request.body, online, now()),
        changes: [],
        result: undefined,
      }));
      return {
        expiresAt: new Date(catalog.offlineExpiryMs()).toISOString(),
        renewedCount: 1 + Object.keys(request.body.bins).length,
      };
    },
  );
}

/** From 30 days before the catalog expires. */
export function expiryNotices({ catalog }: Pick<Parts, "catalog">, nowMs: number): Notice[] {
  const expiresMs = catalog.offlineExpiryMs();
  if (expiresMs - nowMs > EXPIRY_NOTICE_MS) return [];
  const day = new Date(expiresMs).toISOString().slice(0, 10);
  const isOver = expiresMs <= nowMs;
  return [
    {
      code: isOver ? "CATALOG_EXPIRED" : "CATALOG_EXPIRES_SOON",
      message: isOver
        ? `the catalog's signatures expired on ${day}: endpoints take no new orders`
        : `the catalog's signatures expire on ${day}; after that endpoints take no new orders`,
      hint: "Run `branchline catalog renew` on the machine that has the offline keys.",
    },
  ];
}
