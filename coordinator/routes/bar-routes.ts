/** The calls about bars: who is kept out of its site for wrong bytes, and how that is lifted. */
import { BarLiftSchema, BarsSchema } from "../../protocol/standing.ts";
import type { App } from "./app-type.ts";
import { barViews } from "./bar-views.ts";
import { requireEndpoint } from "./endpoint-views.ts";
import { notFound } from "./intent-pen.ts";
import type { Parts } from "./parts.ts";

const config = { caller: "operator" } as const;

export function addBarRoutes(app: App, parts: Parts): void {
  app.get("/v1/bars", { config, schema: { response: { 200: BarsSchema } } }, async () => {
    return { bars: barViews(parts) };
  });
  app.post(
    "/v1/bars/lift",
    { config, schema: { body: BarLiftSchema, response: { 200: BarLiftSchema } } },
    async (request) => {
      const { id, name } = requireEndpoint(parts, request.body.endpoint);
      const { records, standing, now } = parts;
      return records.change(() => {
        if (!standing.isBarred(id, now())) throw notFound(`a bar of endpoint ${name}`);
        return { changes: standing.lifted(id), result: { endpoint: name } };
      });
    },
  );
}
