/** `status`: once, or again and again in place. */
import { setTimeout as delay } from "node:timers/promises";
import type { ApiClient } from "./api-client.ts";
import { openClient, type OperatorOptions } from "./operator.ts";
import { statusText } from "./status-text.ts";
import type { Session } from "./terminal.ts";

export interface StatusOptions extends OperatorOptions {
  readonly watch?: boolean;
}

const WATCH_MS = 2000;
const CLEAR_SCREEN = "\u001B[H\u001B[2J\u001B[3J";

export async function showStatus(options: StatusOptions, session: Session): Promise<void> {
  await using client = await openClient(options, session);
  if (options.watch !== true) {
    session.terminal.writeOut(await statusOutput(client, options, session));
    return;
  }
  try {
    await watchStatus(client, options, session);
  } catch (error) {
    // Ctrl-C is how a watch ends.
    if (!session.signal.aborted) throw error;
  }
}

async function watchStatus(
  client: ApiClient,
  options: StatusOptions,
  session: Session,
): Promise<void> {
  const { terminal, signal } = session;
  const isInPlace = terminal.isOutTty && options.json !== true;
  for (;;) {
    const text = await statusOutput(client, options, session);
    terminal.writeOut(isInPlace ? `${CLEAR_SCREEN}${text}` : text);
    await delay(WATCH_MS, undefined, { signal });
  }
}

async function statusOutput(
  client: ApiClient,
  options: StatusOptions,
  session: Session,
): Promise<string> {
  const status = await client.status();
  if (options.json === true) return `${JSON.stringify(status)}\n`;
  return statusText(status, { nowMs: session.nowMs(), style: session.terminal.styleOut });
}
