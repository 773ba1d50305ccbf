/** `dp enable` and `dp disable`. */
import { parseEndpointOf } from "./deploy-target.ts";
import { rehearse } from "./dry-run.ts";
import type { ChangingOptions } from "./group.ts";
import { openClient } from "./operator.ts";
import { printResult, type Session } from "./terminal.ts";

export async function setDp(
  endpointText: string,
  isEnabled: boolean,
  options: ChangingOptions,
  session: Session,
): Promise<void> {
  const endpoint = parseEndpointOf(endpointText);
  await using client = await openClient(options, session);
  if (options.dryRun === true) {
    const path = `/v1/endpoints/${encodeURIComponent(endpoint)}/dp`;
    return await rehearse(client, { method: "PUT", path, json: { isEnabled } }, options, session);
  }
  const answer = await client.setDp(endpoint, isEnabled);
  const role = isEnabled ? "a distribution point of its site" : "no distribution point any more";
  printResult(session.terminal, options.json, answer, `${answer.name} is ${role}\n`);
}
