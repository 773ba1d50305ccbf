/** Single deployments: which there are, and taking one back. What is installed stays installed. */
import type { CancelInput, ChangesAnswer, DeploymentView } from "../../protocol/intent-api.ts";
import { inOrder } from "../store/intent-objects.ts";
import { setRecord } from "../store/records.ts";
import { TABLES, type DeploymentRecord } from "../store/tables.ts";
import { notFound } from "./intent-pen.ts";
import { instant } from "./job-views.ts";
import type { Parts } from "./parts.ts";
import { isDeployedTo } from "./planning.ts";

export function deploymentViews(parts: Parts): DeploymentView[] {
  return inOrder(parts.records.all(TABLES.deployments)).map((record) => {
    const { id, name, version, target, isPaused = false, createdMs } = record;
    const endpointCount = reached(parts, record);
    return { id, name, version, target, isPaused, endpointCount, createdAt: instant(createdMs) };
  });
}

export async function cancelDeployment(
  parts: Parts,
  { id, isDryRun = false }: CancelInput,
): Promise<ChangesAnswer> {
  const { records } = parts;
  return records.change(() => {
    const known = records.get(TABLES.deployments, id);
    if (known === undefined) throw notFound(`deployment ${id}`);
    const change = {
      kind: "deployment" as const,
      name: id,
      change: "delete" as const,
      fields: [],
      endpointCount: reached(parts, known),
    };
    const changes = isDryRun ? [] : [setRecord(TABLES.deployments, id, undefined)];
    return { changes, result: { isDryRun, changes: [change] } };
  });
}

function reached(parts: Parts, record: DeploymentRecord): number {
  return parts.records.all(TABLES.endpoints).filter((one) => isDeployedTo(parts, record, one))
    .length;
}
