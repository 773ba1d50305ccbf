/** `catalog renew`: the publisher signs the whole catalog again, with a new expiry. */
import { readKeyFile } from "../trust/key-file.ts";
import { signRenewal } from "../trust/publisher.ts";
import { openClient, type OperatorOptions } from "./operator.ts";
import { defaultKeyPath, knownPassphrase } from "./passphrase.ts";
import { countText } from "./quantities.ts";
import { printResult, type Session } from "./terminal.ts";

export interface RenewOptions extends OperatorOptions {
  readonly keys?: string;
}

export async function renewCatalog(options: RenewOptions, session: Session): Promise<void> {
  const { environment, terminal } = session;
  await using client = await openClient(options, session);
  const renewal = await client.renewal();
  const path = options.keys ?? defaultKeyPath(environment, renewal.fleet);
  const offline = await readKeyFile(path, await knownPassphrase(terminal, environment));
  const answer = await client.renew(signRenewal(offline, renewal, session.nowMs()));
  const files = countText(answer.renewedCount, "file");
  const text = `the catalog is renewed: ${files}, in force until ${answer.expiresAt}\n`;
  printResult(terminal, options.json, answer, text);
}
