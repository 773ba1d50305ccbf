/**
 * What anybody may read: the fleet's public description, the API's own description, signs of life.
 */
import { Type } from "typebox";
import { FleetSchema } from "../../protocol/check-in.ts";
import type { App } from "./app-type.ts";
import type { Parts } from "./parts.ts";

const AliveSchema = Type.Object({ isAlive: Type.Boolean() });

export function addFleetRoutes(app: App, { fleet, catalog }: Parts): void {
  const config = { caller: "public" } as const;
  app.get("/v1/fleet", { config, schema: { response: { 200: FleetSchema } } }, async () => fleet);
  app.get("/livez", { config, schema: { response: { 200: AliveSchema } } }, async () => ({
    isAlive: true,
  }));
  app.get("/readyz", { config, schema: { response: { 200: AliveSchema } } }, async () => ({
    isAlive: catalog.version() > 0,
  }));
  app.get("/openapi.json", { config, schema: { hide: true } }, async () => app.swagger());
}
