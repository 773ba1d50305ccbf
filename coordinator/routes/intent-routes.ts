/**
 * Intent as a whole and its groups: apply, export, groups, assignments in both views, pauses (SE-3…SE-8).
 * Nothing here waits for an endpoint (SE-9).
 */
import { Type } from "typebox";
import {
  ApplyInputSchema,
  AssignmentsSchema,
  CellInputSchema,
  ChangesAnswerSchema,
  EndpointGroupDetailSchema,
  EndpointGroupViewSchema,
  MembersInputSchema,
  PauseInputSchema,
  RemoveInputSchema,
  type EndpointGroupDetail,
  type EndpointGroupView,
} from "../../protocol/intent-api.ts";
import { IntentFileSchema, type IntentFile } from "../../protocol/intent.ts";
import { INTENT_REQUEST_MAX_BYTES } from "../../protocol/limits.ts";
import { exportIntent, inOrder } from "../store/intent-objects.ts";
import { TABLES } from "../store/tables.ts";
import type { App } from "./app-type.ts";
import { groupMembers } from "./group-walk.ts";
import { assignmentsOf, changeMembers, pause, setCell } from "./intent-actions.ts";
import { applyIntent } from "./intent-apply.ts";
import { notFound } from "./intent-pen.ts";
import { removeIntent } from "./intent-removal.ts";
import type { Parts } from "./parts.ts";
import { stepRollouts } from "./rollouts.ts";

const config = { caller: "operator" } as const;
const changes = { 200: ChangesAnswerSchema } as const;
const bodyLimit = INTENT_REQUEST_MAX_BYTES;

export function addIntentRoutes(app: App, parts: Parts): void {
  app.get("/v1/intent", { config, schema: { response: { 200: IntentFileSchema } } }, async () =>
    wholeIntent(parts),
  );
  app.post(
    "/v1/intent",
    { config, bodyLimit, schema: { body: ApplyInputSchema, response: changes } },
    async (request) => {
      const answer = await applyIntent(parts, request.body);
      // The first ring opens at once.
      if (request.body.intent.rollouts !== undefined) await stepRollouts(parts, true);
      return answer;
    },
  );
  app.post(
    "/v1/intent/remove",
    { config, schema: { body: RemoveInputSchema, response: changes } },
    async (request) => removeIntent(parts, request.body),
  );
  app.post(
    "/v1/intent/pause",
    { config, schema: { body: PauseInputSchema, response: changes } },
    async (request) => pause(parts, request.body),
  );
  addGroupRoutes(app, parts);
  addAssignmentRoutes(app, parts);
}

function addGroupRoutes(app: App, parts: Parts): void {
  app.get(
    "/v1/endpoint-groups",
    { config, schema: { response: { 200: Type.Array(EndpointGroupViewSchema) } } },
    async () => groupViews(parts),
  );
  app.get(
    "/v1/endpoint-groups/:name",
    {
      config,
      schema: {
        params: Type.Object({ name: Type.String({ maxLength: 100 }) }),
        response: { 200: EndpointGroupDetailSchema },
      },
    },
    async (request) => groupDetail(parts, request.params.name),
  );
  app.post(
    "/v1/endpoint-groups/members",
    { config, bodyLimit, schema: { body: MembersInputSchema, response: changes } },
    async (request) => changeMembers(parts, request.body),
  );
}

function addAssignmentRoutes(app: App, parts: Parts): void {
  app.get(
    "/v1/assignments",
    { config, schema: { response: { 200: AssignmentsSchema } } },
    async () => assignmentsOf(parts),
  );
  app.put(
    "/v1/assignments",
    { config, schema: { body: CellInputSchema, response: changes } },
    async (request) => setCell(parts, request.body),
  );
}

function wholeIntent({ records, intents }: Parts): IntentFile {
  return exportIntent(
    records,
    ({ name, query }) =>
      query === undefined ? intents.membersOf(name).map((one) => one.name) : [],
    (container) =>
      [...intents.jobsOf(container)].flatMap((id) => records.get(TABLES.containerJobs, id) ?? []),
  );
}

async function groupViews(parts: Parts): Promise<EndpointGroupView[]> {
  const views: EndpointGroupView[] = [];
  for (const { name, tenant, query } of inOrder(parts.records.all(TABLES.endpointGroups))) {
    // A listed group knows its size; a queried one is asked.
    const endpointCount =
      query === undefined
        ? parts.intents.memberIds(name).size
        : (await groupMembers(parts, name)).length;
    views.push({ name, tenant, ...(query === undefined ? {} : { query }), endpointCount });
  }
  return views;
}

async function groupDetail(parts: Parts, groupName: string): Promise<EndpointGroupDetail> {
  const group = parts.records.get(TABLES.endpointGroups, groupName);
  if (group === undefined) throw notFound(`endpoint group ${groupName}`);
  const { name, tenant, query } = group;
  const endpoints = (await groupMembers(parts, name)).map((one) => one.name).toSorted();
  const endpointCount = endpoints.length;
  return { name, tenant, ...(query === undefined ? {} : { query }), endpointCount, endpoints };
}
