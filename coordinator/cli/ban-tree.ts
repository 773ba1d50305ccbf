/** `ban` in the command tree. */
import type { Command } from "commander";
import type { OperatorOptions } from "./operator.ts";
import type { Session } from "./terminal.ts";
import { group, operatorVerb } from "./verb.ts";

export function addBanCommands(program: Command, session: Session): void {
  const ban = group(program, "ban", "endpoints kept out of their site for wrong bytes");
  operatorVerb(ban, "list", "list who is banned, why, and until when", [
    "branchline ban list",
    "branchline ban list --json",
    "branchline ban list --context work",
  ]).action(async (options: OperatorOptions) =>
    (await import("./ban.ts")).listBans(options, session),
  );
  operatorVerb(ban, "lift <endpoint>", "let a banned endpoint back into its site", [
    "branchline ban lift desk-17",
    "branchline ban lift desk-17 --json",
    "branchline ban lift desk-17 --context work",
  ]).action(async (endpoint: string, options: OperatorOptions) =>
    (await import("./ban.ts")).liftBan(endpoint, options, session),
  );
}
