/** `dp enable` and `dp disable`. */
import { openClient, type OperatorOptions } from "./operator.ts";
import { parseEndpointOf } from "./deploy-target.ts";
import { printResult, type Session } from "./terminal.ts";

export async function setDp(
  endpointText: string,
  isEnabled: boolean,
  options: OperatorOptions,
  session: Session,
): Promise<void> {
  const endpoint = parseEndpointOf(endpointText);
  await using client = await openClient(options, session);
  const answer = await client.setDp(endpoint, isEnabled);
  const role = isEnabled ? "a distribution point of its site" : "no distribution point any more";
  printResult(session.terminal, options.json, answer, `${answer.name} is ${role}\n`);
}
