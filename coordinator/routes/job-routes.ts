/** What hands out jobs, and the jobs: containers, rules, rollouts, deployments, retries (OCO-1…OCO-6). */
import { Type } from "typebox";
import {
  AssistInputSchema,
  CancelInputSchema,
  ChangesAnswerSchema,
  ContainerDetailSchema,
  ContainerViewSchema,
  DeploymentViewSchema,
  DraftSchema,
  RetryAnswerSchema,
  RetryInputSchema,
  RolloutActionSchema,
  RolloutViewSchema,
  RuleActionSchema,
  RuleDetailSchema,
  RuleViewSchema,
  ScheduleInputSchema,
} from "../../protocol/intent-api.ts";
import { INTENT_REQUEST_MAX_BYTES } from "../../protocol/limits.ts";
import type { App } from "./app-type.ts";
import {
  assist,
  containerDetail,
  containerViews,
  draftOf,
  purgeContainers,
  reschedule,
} from "./containers.ts";
import { cancelDeployment, deploymentViews } from "./deployments.ts";
import { actOnRollout, actOnRule } from "./intent-actions.ts";
import type { Parts } from "./parts.ts";
import { retry } from "./retries.ts";
import { rolloutView, rolloutViews, stepRollouts } from "./rollouts.ts";
import { ruleDetail, ruleViews } from "./rules.ts";

const config = { caller: "operator" } as const;
const changes = { 200: ChangesAnswerSchema } as const;
const params = Type.Object({ name: Type.String({ maxLength: 100 }) });
const bodyLimit = INTENT_REQUEST_MAX_BYTES;
const Word = Type.Optional(Type.String({ maxLength: 200 }));

export function addJobRoutes(app: App, parts: Parts): void {
  addContainerRoutes(app, parts);
  addRuleRoutes(app, parts);
  addRolloutRoutes(app, parts);
  app.post(
    "/v1/jobs/retry",
    { config, schema: { body: RetryInputSchema, response: { 200: RetryAnswerSchema } } },
    async (request) => retry(parts, request.body),
  );
  app.get(
    "/v1/deployments",
    { config, schema: { response: { 200: Type.Array(DeploymentViewSchema) } } },
    async () => deploymentViews(parts),
  );
  app.post(
    "/v1/deployments/cancel",
    { config, schema: { body: CancelInputSchema, response: changes } },
    async (request) => cancelDeployment(parts, request.body),
  );
}

function addContainerRoutes(app: App, parts: Parts): void {
  app.get(
    "/v1/containers",
    { config, schema: { response: { 200: Type.Array(ContainerViewSchema) } } },
    async () => {
      await purgeContainers(parts);
      return containerViews(parts);
    },
  );
  const querystring = Type.Object({ endpoint: Word, package: Word, having: Word });
  app.get(
    "/v1/containers/draft",
    { config, schema: { querystring, response: { 200: DraftSchema } } },
    async (request) => draftOf(parts, request.query),
  );
  app.get(
    "/v1/containers/:name",
    { config, schema: { params, response: { 200: ContainerDetailSchema } } },
    async (request) => {
      await purgeContainers(parts);
      return containerDetail(parts, request.params.name);
    },
  );
  app.post(
    "/v1/containers",
    { config, bodyLimit, schema: { body: AssistInputSchema, response: changes } },
    async (request) => assist(parts, request.body),
  );
  app.put(
    "/v1/containers/:name",
    { config, schema: { params, body: ScheduleInputSchema, response: changes } },
    async (request) => {
      const { schedule, isDryRun = false } = request.body;
      return reschedule(parts, request.params.name, schedule, isDryRun);
    },
  );
}

function addRuleRoutes(app: App, parts: Parts): void {
  app.get(
    "/v1/rules",
    { config, schema: { response: { 200: Type.Array(RuleViewSchema) } } },
    async () => ruleViews(parts),
  );
  app.get(
    "/v1/rules/:name",
    { config, schema: { params, response: { 200: RuleDetailSchema } } },
    async (request) => ruleDetail(parts, request.params.name),
  );
  app.post(
    "/v1/rules/:name",
    { config, schema: { params, body: RuleActionSchema, response: changes } },
    async (request) => actOnRule(parts, request.params.name, request.body),
  );
}

function addRolloutRoutes(app: App, parts: Parts): void {
  app.get(
    "/v1/rollouts",
    { config, schema: { response: { 200: Type.Array(RolloutViewSchema) } } },
    async () => {
      await stepRollouts(parts, true);
      return rolloutViews(parts);
    },
  );
  app.get(
    "/v1/rollouts/:name",
    { config, schema: { params, response: { 200: RolloutViewSchema } } },
    async (request) => {
      await stepRollouts(parts, true);
      return rolloutView(parts, request.params.name);
    },
  );
  app.post(
    "/v1/rollouts/:name",
    { config, schema: { params, body: RolloutActionSchema, response: changes } },
    async (request) => {
      const answer = await actOnRollout(parts, request.params.name, request.body);
      await stepRollouts(parts, true);
      return answer;
    },
  );
}
