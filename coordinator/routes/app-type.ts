/**
 * The type of the HTTP application and what every route says of its callers.
 */
import type { Server } from "node:https";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
} from "fastify";
import { DeployError } from "../../protocol/errors.ts";
import type { EndpointId } from "../../protocol/ids.ts";

/** Who may call a route: anybody, an endpoint with a session, an operator with a token. */
export type Caller = "public" | "endpoint" | "operator";

declare module "fastify" {
  interface FastifyContextConfig {
    caller?: Caller;
  }
  interface FastifyRequest {
    /** Set on routes of endpoints. */
    endpoint: EndpointId | undefined;
  }
}

export type App = FastifyInstance<
  Server,
  RawRequestDefaultExpression<Server>,
  RawReplyDefaultExpression<Server>,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** The endpoint of a request on a route of endpoints. */
export function callerOf(request: { readonly endpoint: EndpointId | undefined }): EndpointId {
  if (request.endpoint === undefined)
    throw new DeployError("AUTH_REFUSED", { problem: "no session" });
  return request.endpoint;
}
