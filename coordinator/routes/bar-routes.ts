/** Bars as operators see them: who is kept out of its site for wrong bytes, and how that is lifted. */
import type { Notice } from "../../protocol/operator-api.ts";
import { BarLiftSchema, BarsSchema, type BarView } from "../../protocol/standing.ts";
import type { Bar } from "../core/standing/standing.ts";
import { TABLES } from "../store/tables.ts";
import type { App } from "./app-type.ts";
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

function barViews(parts: Parts): BarView[] {
  return [...parts.standing.bars(parts.now()).values()].map((bar) => viewOf(parts, bar));
}

function viewOf({ records, standing }: Parts, { endpoint, ...bar }: Bar): BarView {
  const nameOf = (id: string): string => records.get(TABLES.endpoints, id)?.name ?? id;
  const reporters = standing.reportersOf(endpoint).map(nameOf);
  return { endpoint, name: nameOf(endpoint), ...bar, reporters };
}

/** One notice for each endpoint that is kept out of its site. */
export function barNotices(parts: Parts): readonly Notice[] {
  return barViews(parts).map((bar) => ({
    code: "ENDPOINT_BARRED",
    message: `${bar.name} is barred from its site: ${reasonText(bar)}`,
    hint: hintText(bar),
  }));
}

function reasonText({ reason, reporters }: BarView): string {
  switch (reason) {
    case "proof":
      return `it signed a wrong digest for a fragment that it sent to ${reporters.join(", ")}`;
    case "reports":
      return `${reporters.join(", ")} say that it sends wrong bytes`;
    case "doubt":
      return "it says of many others that they send wrong bytes, and nobody else does";
    default:
      return reason satisfies never;
  }
}

function hintText({ name, untilMs }: BarView): string {
  const end =
    untilMs === undefined ? "" : `It ends by itself at ${new Date(untilMs).toISOString()}. `;
  return `${end}Check the machine and its program, then: branchline ban lift ${name}`;
}
