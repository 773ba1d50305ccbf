/** `ban list` and `ban lift`: endpoints that are kept out of their site for wrong bytes. */
import { parseBarLift, parseBars, type BarView } from "../../protocol/standing.ts";
import { openClient, type OperatorOptions } from "./operator.ts";
import { tableText } from "./table.ts";
import { printResult, type Session } from "./terminal.ts";

const REASONS = {
  proof: "signed a wrong digest",
  reports: "reported by others",
  doubt: "accuses many, alone",
} as const;

export async function listBans(options: OperatorOptions, session: Session): Promise<void> {
  await using client = await openClient(options, session);
  const answer = await client.ask("/v1/bars", parseBars);
  const heads = ["ENDPOINT", "WHY", "REPORTED BY", "SINCE", "UNTIL"];
  const text =
    answer.bars.length === 0 ? "nobody is banned\n" : tableText(heads, answer.bars.map(rowOf));
  printResult(session.terminal, options.json, answer, text);
}

export async function liftBan(
  endpoint: string,
  options: OperatorOptions,
  session: Session,
): Promise<void> {
  await using client = await openClient(options, session);
  const lifted = await client.tell("POST", "/v1/bars/lift", { endpoint }, parseBarLift);
  const text = `${lifted.endpoint} belongs to its site again, from its next check-in on\n`;
  printResult(session.terminal, options.json, lifted, text);
}

function rowOf({ name, reason, reporters, sinceMs, untilMs }: BarView): string[] {
  const until = untilMs === undefined ? "lifted by hand" : new Date(untilMs).toISOString();
  const since = new Date(sinceMs).toISOString();
  return [name, REASONS[reason], reporters.join(", "), since, until];
}
