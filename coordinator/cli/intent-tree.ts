/** Intent as a file in the command tree. */
import { Option, type Command } from "commander";
import type { IntentFileOptions } from "./intent-file.ts";
import type { OperatorOptions } from "./operator.ts";
import type { Session } from "./terminal.ts";
import { changingVerb, operatorVerb } from "./verb.ts";

export function addIntentCommands(program: Command, session: Session): void {
  changingVerb(program, "apply", "make the coordinator's intent as in a file; others stay", [
    "branchline apply -f fleet.yaml",
    "branchline apply -f fleet.yaml --prune --dry-run",
    "branchline apply -f fleet.json --json",
  ])
    .addOption(fileOption())
    .option("--prune", "delete what the file does not name, of the kinds that it has")
    .action(async (options: IntentFileOptions) =>
      (await import("./intent-file.ts")).apply(options, session),
    );
  operatorVerb(program, "plan", "say what a file would change, and for how many endpoints", [
    "branchline plan -f fleet.yaml",
    "branchline plan -f fleet.yaml --prune",
    "branchline plan -f fleet.yaml --json",
  ])
    .addOption(fileOption())
    .option("--prune", "as for apply")
    .action(async (options: IntentFileOptions) =>
      (await import("./intent-file.ts")).apply({ ...options, dryRun: true }, session),
    );
  operatorVerb(program, "diff", "like plan; exit 0 where nothing differs, 1 where something does", [
    "branchline diff -f fleet.yaml",
    "branchline diff -f fleet.yaml --prune",
    "branchline diff -f fleet.yaml --json",
  ])
    .addOption(fileOption())
    .option("--prune", "as for apply")
    .action(async (options: IntentFileOptions) =>
      (await import("./intent-file.ts")).diff(options, session),
    );
  operatorVerb(program, "export", "print all intent as a file for apply", [
    "branchline export > fleet.yaml",
    "branchline export --json > fleet.json",
    "branchline export --context work",
  ]).action(async (options: OperatorOptions) =>
    (await import("./intent-file.ts")).exportFile(options, session),
  );
}

function fileOption(): Option {
  return new Option("-f, --file <file>", "YAML or JSON").makeOptionMandatory();
}
