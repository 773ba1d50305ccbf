/** `token create`: a join token and the command that uses it. */
import { parseSiteName } from "../../protocol/ids.ts";
import { openClient, type OperatorOptions } from "./operator.ts";
import { countText } from "./quantities.ts";
import { printResult, type Session } from "./terminal.ts";

export interface TokenOptions extends OperatorOptions {
  readonly site: string;
  readonly uses: number;
  /** In milliseconds. */
  readonly ttl: number;
}

export async function createToken(options: TokenOptions, session: Session): Promise<void> {
  const site = parseSiteName(options.site);
  await using client = await openClient(options, session);
  const ttlSec = Math.round(options.ttl / 1000);
  const answer = await client.createToken({ site, uses: options.uses, ttlSec });
  const { terminal } = session;
  printResult(terminal, options.json, answer, `${answer.token}\n`);
  if (options.json === true) return;
  // On stderr, so that `$(branchline token create …)` is the token alone.
  terminal.writeErr(
    `${countText(answer.uses, "use")}, until ${answer.expiresAt}; it is shown only now\n` +
      `next: branchline node --data DIR --coordinator URL --join TOKEN\n`,
  );
}
