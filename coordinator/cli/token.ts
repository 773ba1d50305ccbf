/** `token create`: a join token and the command that uses it. */
import { parseSiteName } from "../../protocol/ids.ts";
import { ApiClient } from "./api-client.ts";
import { rehearse } from "./dry-run.ts";
import { findConnection, type Connection } from "./context.ts";
import type { OperatorOptions } from "./operator.ts";
import { countText } from "./quantities.ts";
import { printResult, type Session } from "./terminal.ts";

export interface TokenOptions extends OperatorOptions {
  readonly dryRun?: boolean;
  readonly site: string;
  readonly uses: number;
  /** In milliseconds. */
  readonly ttl: number;
}

export async function createToken(options: TokenOptions, session: Session): Promise<void> {
  const site = parseSiteName(options.site);
  const connection = await findConnection(options, session.environment);
  await using client = new ApiClient(connection, session.signal);
  const ttlSec = Math.round(options.ttl / 1000);
  const input = { site, uses: options.uses, ttlSec };
  if (options.dryRun === true) {
    const call = { method: "POST", path: "/v1/tokens", json: input } as const;
    return await rehearse(client, call, options, session);
  }
  const answer = await client.createToken(input);
  const { terminal } = session;
  printResult(terminal, options.json, answer, `${answer.token}\n`);
  if (options.json === true) return;
  // On stderr, so that `$(branchline token create …)` is the token alone.
  terminal.writeErr(
    `${countText(answer.uses, "use")}, until ${answer.expiresAt}; it is shown only now\n` +
      `next: branchline node --data DIR --coordinator ${nodeUrl(connection)} --join TOKEN\n`,
  );
}

/** The address for endpoints as far as it is known here; one of this machine alone is none. */
function nodeUrl({ url, publicUrl }: Connection): string {
  if (publicUrl !== undefined) return publicUrl;
  const { hostname } = new URL(url);
  const isOwn = /^(?:localhost|127\.[\d.]+|\[::1?\]|0\.0\.0\.0)$/u.test(hostname);
  return isOwn ? "URL" : url;
}
