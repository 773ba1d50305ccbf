/** How one command of the tree is built: always with --json, examples and the way to a coordinator. */
import type { Command } from "commander";

type Examples = readonly [string, string, string];

const EXIT_CODES = "\nExit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.\n";

/** A command that does something. `usage` is its name and arguments. */
export function verb(parent: Command, usage: string, summary: string, examples: Examples): Command {
  return parent
    .command(usage)
    .description(summary)
    .option("--json", "print JSON, errors included")
    .addHelpText(
      "after",
      `\nExamples:\n${examples.map((line) => `  ${line}\n`).join("")}${EXIT_CODES}`,
    );
}

/** A command that talks to a coordinator. */
export function operatorVerb(
  parent: Command,
  usage: string,
  summary: string,
  examples: Examples,
): Command {
  return verb(parent, usage, summary, examples)
    .option("--data <dir>", "use the coordinator that runs on this data folder")
    .option("--context <name>", "use this saved coordinator");
}

/** A command that changes something at the coordinator, and can say what without doing it. */
export function changingVerb(
  parent: Command,
  usage: string,
  summary: string,
  examples: Examples,
): Command {
  return operatorVerb(parent, usage, summary, examples).option(
    "--dry-run",
    "show what would change and do nothing",
  );
}

/** For an option that is repeated. */
export function listed(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** A command that only holds others. */
export function group(parent: Command, name: string, summary: string): Command {
  return parent.command(name).description(summary);
}
