/**
 * The environment of the command line, read once. An empty variable counts as absent, so that
 * `BRANCHLINE_URL= branchline …` switches one off.
 */
import { join } from "node:path";
import { configHome } from "../config.ts";

export interface Environment {
  readonly url: string | undefined;
  readonly token: string | undefined;
  /** PEM file of the authority, or of the coordinator's own certificate. */
  readonly caPath: string | undefined;
  readonly dataDir: string | undefined;
  readonly passphrase: string | undefined;
  readonly passphrasePath: string | undefined;
  /** Where contexts and key files live: `branchline` in `configHome`. */
  readonly configDir: string;
  /** Folder of this user's settings. */
  readonly configHome: string;
  readonly isDebug: boolean;
  readonly logLevel: string;
  /** A variable by the name that a saved context gives (`--token-env`). */
  readonly variable: (name: string) => string | undefined;
}

type Variables = Readonly<Record<string, string | undefined>>;

export function readEnvironment(
  variables: Variables = process.env,
  settingsHome: string = configHome(),
): Environment {
  const variable = (name: string): string | undefined => variables[name]?.trim() || undefined;
  return {
    url: variable("BRANCHLINE_URL"),
    token: variable("BRANCHLINE_TOKEN"),
    caPath: variable("BRANCHLINE_CA"),
    dataDir: variable("BRANCHLINE_DATA"),
    // A passphrase may begin or end with a space; it is not trimmed.
    passphrase: variables["BRANCHLINE_PASSPHRASE"] || undefined,
    passphrasePath: variable("BRANCHLINE_PASSPHRASE_FILE"),
    configDir: join(settingsHome, "branchline"),
    configHome: settingsHome,
    isDebug: variable("BRANCHLINE_DEBUG") !== undefined,
    logLevel: variable("BRANCHLINE_LOG_LEVEL") ?? "info",
    variable,
  };
}
