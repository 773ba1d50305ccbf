/**
 * The HTTP API: one fastify instance whose schemas are the contract, published as OpenAPI. Default deny: a
 * route without a declared kind of caller stops the start.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import swagger from "@fastify/swagger";
import { TypeBoxValidatorCompiler, type TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import underPressure from "@fastify/under-pressure";
import fastify, { LogController, type FastifyBaseLogger, type FastifyRequest } from "fastify";
import { DeployError } from "../../protocol/errors.ts";
import { readJson } from "../../protocol/json.ts";
import { API_REQUEST_MAX_BYTES } from "../../protocol/limits.ts";
import { packedBody, PACKED_ENCODING, unpackedBody } from "../../protocol/packed-body.ts";
import { apiError, deployErrorOf, statusOf } from "./api-error.ts";
import type { App, Caller } from "./app-type.ts";
import { addBarRoutes } from "./bar-routes.ts";
import { addCheckInRoute } from "./check-in-route.ts";
import { addContentRoutes } from "./content-routes.ts";
import { addEndpointRoutes } from "./endpoint-routes.ts";
import { addFleetRoutes } from "./fleet-routes.ts";
import { addIntentRoutes } from "./intent-routes.ts";
import { addJobRoutes } from "./job-routes.ts";
import { addJoinRoute } from "./join-route.ts";
import { addLineRoute } from "./line-route.ts";
import { addOperatorRoutes } from "./operator-routes.ts";
import { addOriginRoutes } from "./origin-routes.ts";
import { addPackageRoutes } from "./package-routes.ts";
import type { Parts } from "./parts.ts";
import { addPublishRoutes } from "./publish-routes.ts";
import { addPublishedRoutes } from "./published-routes.ts";
import { addRenewalRoutes } from "./renewal-routes.ts";
import { addReportRoute } from "./report-route.ts";
import { requireOperator, requireSession } from "./session.ts";
import { addSitePolicyRoutes } from "./site-policy-routes.ts";
import { addStatusRoute } from "./status-route.ts";
import { addTrafficRoute } from "./traffic-route.ts";

export interface AppOptions {
  readonly log: FastifyBaseLogger;
  /** Absent behind a proxy. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Only this proxy's forwarded-for header is believed (D6). */
  readonly trustedProxy?: string;
}

export interface RouteSummary {
  readonly method: string;
  readonly url: string;
  readonly caller: Caller;
}

// A sender that stalls must not hold a connection (trust P2).
const REQUEST_TIMEOUT_MS = 60_000;
const IDLE_TIMEOUT_MS = 120_000;
// Nodes check in every few minutes: a session that is resumed carries no certificate over the office line.
const TLS_SESSION_LIFE_SEC = 24 * 3600;
const EVENT_LOOP_DELAY_MAX_MS = 2000;

export async function buildApp(
  parts: Parts,
  options: AppOptions,
): Promise<{ readonly app: App; readonly routes: readonly RouteSummary[] }> {
  const app: App = fastify({
    https:
      options.tls === undefined ? null : { ...options.tls, sessionTimeout: TLS_SESSION_LIFE_SEC },
    loggerInstance: options.log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: API_REQUEST_MAX_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: IDLE_TIMEOUT_MS,
    keepAliveTimeout: IDLE_TIMEOUT_MS,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    trustProxy: options.trustedProxy ?? false,
    genReqId: () => randomUUID(),
  }).withTypeProvider<TypeBoxTypeProvider>();
  // The compiled check neither strips unknown fields nor converts types.
  app.setValidatorCompiler(TypeBoxValidatorCompiler);
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  setDoors(app, parts);
  const routes = watchRoutes(app);
  await app.register(swagger, {
    openapi: { openapi: "3.1.0", info: { title: "Branchline coordinator", version: "1" } },
  });
  await app.register(underPressure, { maxEventLoopDelay: EVENT_LOOP_DELAY_MAX_MS });
  for (const add of [
    addFleetRoutes,
    addJoinRoute,
    addCheckInRoute,
    addContentRoutes,
    addReportRoute,
    addOperatorRoutes,
    addIntentRoutes,
    addJobRoutes,
    addEndpointRoutes,
    addPublishRoutes,
    addPackageRoutes,
    addPublishedRoutes,
    addRenewalRoutes,
    addStatusRoute,
    addLineRoute,
    addSitePolicyRoutes,
    addTrafficRoute,
    addOriginRoutes,
    addBarRoutes,
  ]) {
    add(app, parts);
  }
  return { app, routes };
}

function watchRoutes(app: App): readonly RouteSummary[] {
  const routes: RouteSummary[] = [];
  app.addHook("onRoute", ({ method, url, config }) => {
    const caller = config?.caller;
    assert(caller !== undefined, `route ${url} does not declare who may call it`);
    routes.push({ method: String(method), url, caller });
  });
  return routes;
}

function setDoors(app: App, parts: Parts): void {
  app.decorateRequest("endpoint", undefined);
  app.addContentTypeParser(
    "application/json",
    { parseAs: "buffer" },
    async (request: FastifyRequest, body: Buffer) => {
      const bytes = sentBytes(request, body);
      return readJson("the request's body", bytes, bytes.length);
    },
  );
  // Fragments arrive as bytes that only the fragment folder reads, with its own bound.
  app.addContentTypeParser("application/octet-stream", (_request, payload, done) => {
    done(null, payload);
  });
  app.addHook("onRequest", async (request, reply) => {
    // A third of a short answer otherwise; a connection stays open without being told to (RFC 9112 9.3).
    reply.raw.sendDate = false;
    reply.raw.removeHeader("connection");
    const caller = request.routeOptions.config.caller;
    const header = request.headers.authorization ?? "";
    if (caller === "operator") requireOperator(parts, header);
    if (caller === "endpoint") {
      request.endpoint = requireSession(parts, header, parts.now());
      parts.presence.touch(request.endpoint, parts.now());
    }
  });
  app.addHook("onSend", async ({ headers }, reply, payload: unknown) => {
    if (typeof payload !== "string" || headers["accept-encoding"] !== PACKED_ENCODING)
      return payload;
    const frame = packedBody(payload);
    if (frame !== undefined) reply.header("content-encoding", PACKED_ENCODING);
    return frame ?? payload;
  });
  app.setNotFoundHandler(async (request) => {
    throw new DeployError("NOT_FOUND", { what: `route ${request.method} ${request.url}` });
  });
  app.setErrorHandler(async (thrown, request, reply) => {
    const error = deployErrorOf(thrown, request.id);
    const status = statusOf(error);
    if (status >= 500) request.log.error({ err: thrown, code: error.code }, "request.failed");
    else request.log.debug({ code: error.code, url: request.url }, "request.refused");
    return reply.status(status).send(apiError(error, request.id));
  });
}

/** Throws DOCUMENT_TOO_LARGE or DOCUMENT_INVALID. */
function sentBytes({ headers, routeOptions }: FastifyRequest, body: Buffer): Buffer {
  const what = "the request's body";
  const encoding = headers["content-encoding"];
  if (encoding === undefined || encoding === "identity") return body;
  if (encoding === PACKED_ENCODING) {
    return unpackedBody(what, body, routeOptions.bodyLimit ?? API_REQUEST_MAX_BYTES);
  }
  throw new DeployError("DOCUMENT_INVALID", { what, problem: "only zstd may be its encoding" });
}
