/**
 * The program around the command tree: its help, its version, and how commander's complaints become our
 * usage errors. `scripts/branchline.ts` hands in how a node runs and starts it.
 */
import { Command, CommanderError } from "commander";
import { DeployError } from "../../protocol/errors.ts";
import { EXIT_DONE, errorText, exitCodeOf } from "./error-text.ts";
import type { NodePrograms } from "./node-tree.ts";
import type { Session } from "./terminal.ts";
import { addCommands } from "./tree.ts";

const FOOTER = `
Examples:
  branchline init --data ./data
  branchline coordinator --data ./data --listen 0.0.0.0:8443
  branchline status --data ./data --watch

The coordinator of a command: --data, --context, BRANCHLINE_URL with BRANCHLINE_TOKEN, BRANCHLINE_DATA,
then the saved context in use.
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
`;

export function buildProgram(session: Session, version: string, onNode: NodePrograms): Command {
  const program = new Command("branchline");
  program
    .description("Software deployment in which each byte crosses an office line once.")
    .usage("<command> [options]")
    // `package publish --version` is an option of its own, not a question for ours.
    .enablePositionalOptions()
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "show help")
    .addHelpCommand(
      new Command("help [command]").description("show help of a command").helpGroup("Set up:"),
    )
    .addHelpText("after", FOOTER)
    .configureOutput({
      writeOut: session.terminal.writeOut,
      // Complaints are printed once, by the caller, as one sentence and one hint.
      writeErr: () => undefined,
    });
  addCommands(program, session, onNode);
  for (const command of everyCommand(program)) {
    command.copyInheritedSettings(program);
    command.exitOverride((error) => {
      throw error.exitCode === 0 ? error : usageError(command, error);
    });
  }
  return program;
}

/** Runs one command line and says how it ended. Never throws. */
export async function runProgram(
  program: Command,
  args: readonly string[],
  session: Session,
): Promise<number> {
  try {
    await program.parseAsync(args, { from: "user" });
    return EXIT_DONE;
  } catch (error) {
    // Help and version end by an exception as well.
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT_DONE;
    const { terminal, environment } = session;
    const failure = interruptionOr(error, session);
    const text = errorText(failure, {
      isJson: args.includes("--json"),
      isDebug: environment.isDebug,
      emphasise: (word) => terminal.styleErr("red", word),
    });
    terminal.writeErr(text);
    return exitCodeOf(failure);
  }
}

/** Whatever breaks after Ctrl-C broke because of it. */
function interruptionOr(error: unknown, session: Session): unknown {
  if (!session.signal.aborted || error instanceof DeployError) return error;
  return new DeployError("CLI_INTERRUPTED", { remedy: "" }, { cause: error });
}

function usageError(command: Command, error: CommanderError): DeployError {
  if (error.code === "commander.help") return missingCommand(command);
  const [first = "", ...rest] = error.message.split("\n");
  // `branchline help sitte` complains about the word help.
  const [typed, topic] = command.args;
  const problem =
    error.code === "commander.unknownCommand" && typed === "help"
      ? `unknown command '${topic}'`
      : first.replace(/^error: /u, "");
  const suggestion = /\(Did you mean (?<names>.*)\?\)/u.exec(rest.join(" "))?.groups?.["names"];
  const seeHelp = `See \`${pathOf(command)} --help\`.`;
  return new DeployError(
    "CLI_USAGE",
    {
      problem,
      remedy: suggestion === undefined ? seeHelp : `Did you mean ${suggestion}? ${seeHelp}`,
    },
    { cause: error },
  );
}

/** A command that only holds others was called alone; commander would print its whole help. */
function missingCommand(command: Command): DeployError {
  const names = command.commands.map((each) => each.name());
  return new DeployError("CLI_USAGE", {
    problem: `\`${pathOf(command)}\` needs a command`,
    remedy: `One of ${names.join(", ")}; see \`${pathOf(command)} --help\`.`,
  });
}

function everyCommand(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

function pathOf(command: Command): string {
  const parent = command.parent;
  return parent === null ? command.name() : `${pathOf(parent)} ${command.name()}`;
}
