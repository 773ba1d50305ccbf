/**
 * What is published already, for the publisher: versions of a package, and their bytes, out of which patches
 * are made. Operators only; an endpoint gets content under a lease.
 */
import { Type } from "typebox";
import { DeployError } from "../../protocol/errors.ts";
import { DigestSchema, PackageNameSchema } from "../../protocol/ids.ts";
import { PackageListSchema } from "../../protocol/operator-api.ts";
import { packageAnswer } from "../core/status.ts";
import { TABLES } from "../store/tables.ts";
import type { App } from "./app-type.ts";
import type { Parts } from "./parts.ts";

const config = { caller: "operator" } as const;
const closed = { additionalProperties: false } as const;
const params = Type.Object({ digest: DigestSchema }, closed);

export function addPublishedRoutes(app: App, parts: Parts): void {
  const querystring = Type.Object({ name: PackageNameSchema }, closed);
  app.get(
    "/v1/published",
    { config, schema: { querystring, response: { 200: PackageListSchema } } },
    async ({ query }) => {
      const packages = parts.records.all(TABLES.packages);
      const named = packages.filter((known) => known.name === query.name);
      return { packages: named.map((known) => packageAnswer(known)) };
    },
  );
  for (const kind of ["manifests", "fragments"] as const) {
    app.get(
      `/v1/published/${kind}/:digest`,
      { config, schema: { params } },
      async (request, reply) => {
        const { digest } = request.params;
        const bytes = await parts[kind].bytes(digest);
        if (bytes === undefined) throw new DeployError("NOT_FOUND", { what: `${kind} ${digest}` });
        return reply.type("application/octet-stream").send(bytes);
      },
    );
  }
}
