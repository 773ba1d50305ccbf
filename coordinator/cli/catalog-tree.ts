/** `catalog` in the command tree. */
import type { Command } from "commander";
import type { RenewOptions } from "./catalog.ts";
import type { Session } from "./terminal.ts";
import { group, operatorVerb } from "./verb.ts";

export function addCatalogCommands(program: Command, session: Session): void {
  const catalog = group(program, "catalog", "the signed list of all packages");
  operatorVerb(catalog, "renew", "sign it again before its signatures expire", [
    "branchline catalog renew",
    "branchline catalog renew --key /media/stick/fleet.json",
    "BRANCHLINE_PASSPHRASE_FILE=./passphrase branchline catalog renew --json",
  ])
    .option("--key, --keys <file>", "file of the offline keys (default: where `init` put it)")
    .action(async (options: RenewOptions) =>
      (await import("./catalog.ts")).renewCatalog(options, session),
    );
}
