/** What every operator command begins with: its options, and a client for the coordinator they name. */
import { ApiClient } from "./api-client.ts";
import { findConnection, type ContextOptions } from "./context.ts";
import type { Session } from "./terminal.ts";

export interface OperatorOptions extends ContextOptions {
  readonly json?: boolean;
}

export async function openClient(options: OperatorOptions, session: Session): Promise<ApiClient> {
  return new ApiClient(await findConnection(options, session.environment), session.signal);
}
