/** The passphrase of the offline keys: from the environment for scripts, from the keyboard for people. */
import { join } from "node:path";
import { DeployError } from "../../protocol/errors.ts";
import type { Environment } from "./config.ts";
import { readNeededFile } from "./saved-contexts.ts";
import type { Terminal } from "./terminal.ts";

/** Short ones fall to guessing once the key file is stolen; the key derivation only slows that. */
const PASSPHRASE_MIN_LENGTH = 8;

/** A new one is asked twice and must have some length. Throws CLI_USAGE or CLI_INTERRUPTED. */
export async function newPassphrase(terminal: Terminal, environment: Environment): Promise<string> {
  const given = await givenPassphrase(environment);
  if (given !== undefined) return longEnough(given);
  refuseWithoutTerminal(terminal);
  const first = longEnough(await asked(terminal, "New passphrase for the offline keys: "));
  const second = await asked(terminal, "The same passphrase again: ");
  if (first === second) return first;
  throw new DeployError("CLI_USAGE", {
    problem: "the two passphrases differ",
    remedy: "Run the command again; nothing was made.",
  });
}

/** Where `init` puts the key file of a fleet. */
export function defaultKeyPath(environment: Environment, fleet: string): string {
  // The id comes from the coordinator and becomes part of a path.
  return join(environment.configDir, "keys", `${fleet.replaceAll(/[^0-9a-f]/gu, "")}.json`);
}

/** The one that was chosen earlier, to open the key file. */
export async function knownPassphrase(
  terminal: Terminal,
  environment: Environment,
): Promise<string> {
  const given = await givenPassphrase(environment);
  if (given !== undefined) return given;
  refuseWithoutTerminal(terminal);
  return asked(terminal, "Passphrase of the offline keys: ");
}

async function givenPassphrase(environment: Environment): Promise<string | undefined> {
  const { passphrase, passphrasePath } = environment;
  if (passphrase !== undefined || passphrasePath === undefined) return passphrase;
  const text = await readNeededFile(passphrasePath);
  // Editors end a file with a newline that nobody typed as part of the passphrase.
  return text.replace(/\r?\n$/u, "");
}

async function asked(terminal: Terminal, question: string): Promise<string> {
  const typed = await terminal.askHidden(question);
  if (typed !== undefined) return typed;
  throw new DeployError("CLI_INTERRUPTED", { remedy: "Nothing was done." });
}

function refuseWithoutTerminal(terminal: Terminal): void {
  if (terminal.isInTty) return;
  throw new DeployError("CLI_USAGE", {
    problem: "a passphrase is needed and there is no terminal to ask for it",
    remedy: "Set BRANCHLINE_PASSPHRASE_FILE to a file that holds it, or BRANCHLINE_PASSPHRASE.",
  });
}

function longEnough(passphrase: string): string {
  if (passphrase.length >= PASSPHRASE_MIN_LENGTH) return passphrase;
  throw new DeployError("CLI_USAGE", {
    problem: `the passphrase is shorter than ${PASSPHRASE_MIN_LENGTH} characters`,
    remedy: "Several words that do not belong together are easy to keep and hard to guess.",
  });
}
