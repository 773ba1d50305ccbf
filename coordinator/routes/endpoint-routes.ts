/** One endpoint: its page, the reasons of its waits, and its record corrected by hand (SE-17, OCO-36). */
import { Type } from "typebox";
import { ChangesAnswerSchema } from "../../protocol/intent-api.ts";
import { EndpointDetailSchema, ForgetInputSchema, WhySchema } from "../../protocol/page-api.ts";
import type { App } from "./app-type.ts";
import { endpointDetail, whyOf } from "./endpoint-views.ts";
import type { Parts } from "./parts.ts";
import { forget } from "./retries.ts";

const config = { caller: "operator" } as const;
const params = Type.Object({ endpoint: Type.String({ maxLength: 100 }) });

export function addEndpointRoutes(app: App, parts: Parts): void {
  app.get(
    "/v1/endpoints/:endpoint",
    { config, schema: { params, response: { 200: EndpointDetailSchema } } },
    async (request) => endpointDetail(parts, request.params.endpoint),
  );
  const querystring = Type.Object({ package: Type.Optional(Type.String({ maxLength: 200 })) });
  app.get(
    "/v1/endpoints/:endpoint/why",
    { config, schema: { params, querystring, response: { 200: WhySchema } } },
    async (request) => whyOf(parts, request.params.endpoint, request.query.package),
  );
  app.post(
    "/v1/installed/remove",
    { config, schema: { body: ForgetInputSchema, response: { 200: ChangesAnswerSchema } } },
    async (request) => forget(parts, request.body),
  );
}
