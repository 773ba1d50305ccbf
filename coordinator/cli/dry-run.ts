/** `--dry-run` of a call to one object: the coordinator checks all of it, says what it would change, does nothing. */
import { parseChangesAnswer } from "../../protocol/intent-api.ts";
import type { ApiClient } from "./api-client.ts";
import { printChanges, type ChangeOptions } from "./change-text.ts";
import type { Session } from "./terminal.ts";

export interface DryCall {
  readonly method: "POST" | "PUT";
  readonly path: string;
  readonly json: object;
}

export async function rehearse(
  client: ApiClient,
  { method, path, json }: DryCall,
  options: ChangeOptions,
  session: Session,
): Promise<void> {
  const answer = await client.tell(method, path, { ...json, isDryRun: true }, parseChangesAnswer);
  printChanges(answer, options, session);
}
