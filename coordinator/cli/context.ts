/**
 * Which coordinator a command talks to. What is typed beats the environment, the environment beats what
 * is saved: --data, --context, BRANCHLINE_URL with BRANCHLINE_TOKEN, BRANCHLINE_DATA, the current context.
 */
import { join, resolve } from "node:path";
import { Type } from "typebox";
import { FleetSchema } from "../../protocol/check-in.ts";
import { DeployError } from "../../protocol/errors.ts";
import { parserOf, readJson } from "../../protocol/json.ts";
import { parseBaseUrl } from "./arguments.ts";
import type { Environment } from "./config.ts";
import {
  findContext,
  readContexts,
  readNeededFile,
  readOwnFile,
  type SavedContext,
} from "./saved-contexts.ts";

/** Where and as whom to talk to a coordinator. */
export interface Connection {
  readonly url: string;
  readonly token: string;
  /** PEM of the certificate, or authority, to trust instead of the system's authorities. */
  readonly ca?: string;
  /** Where endpoints reach the coordinator, where that is another address. */
  readonly publicUrl?: string;
  /** Set where the connection came from a data folder; it makes the hint of a refusal exact. */
  readonly dataDir?: string;
}

/** Options that every operator command has. */
export interface ContextOptions {
  readonly data?: string;
  readonly context?: string;
}

const OPERATOR_FILE_MAX_BYTES = 512 * 1024;
/** Written by a running coordinator into its data folder. */
const OperatorFileSchema = Type.Object({
  /** Absent until the coordinator has run once. */
  url: Type.Optional(Type.String({ maxLength: 300 })),
  publicUrl: Type.Optional(Type.String({ maxLength: 300 })),
  token: Type.String({ minLength: 1, maxLength: 400 }),
  fleet: FleetSchema,
});
const parseOperatorFile = parserOf("the operator file", OperatorFileSchema);

/** Throws CLI_NO_COORDINATOR, CLI_NOT_RUNNING, CLI_USAGE or CLI_FILE. */
export async function findConnection(
  options: ContextOptions,
  environment: Environment,
): Promise<Connection> {
  if (options.data !== undefined && options.context !== undefined) {
    throw new DeployError("CLI_USAGE", {
      problem: "--data and --context name two coordinators",
      remedy: "Give one of them.",
    });
  }
  if (options.data !== undefined) return connectionOfDataDir(options.data);
  if (options.context !== undefined) {
    const contexts = await readContexts(environment.configDir);
    return connectionOfContext(findContext(contexts, options.context), environment);
  }
  if (environment.url !== undefined || environment.token !== undefined) {
    return connectionOfVariables(environment);
  }
  if (environment.dataDir !== undefined) return connectionOfDataDir(environment.dataDir);
  const contexts = await readContexts(environment.configDir);
  if (contexts.current === undefined) throw new DeployError("CLI_NO_COORDINATOR");
  return connectionOfContext(findContext(contexts, contexts.current), environment);
}

async function connectionOfDataDir(dataDir: string): Promise<Connection> {
  const path = join(resolve(dataDir), "operator.json");
  const text = await readOwnFile(path);
  if (text === undefined) throw new DeployError("CLI_NOT_RUNNING", { path: dataDir });
  const { url, publicUrl, token, fleet } = parseOperatorFile(
    readJson(`the file ${path}`, text, OPERATOR_FILE_MAX_BYTES),
  );
  if (url === undefined) throw new DeployError("CLI_NOT_RUNNING", { path: dataDir });
  return {
    url,
    token,
    dataDir,
    ...(publicUrl === undefined ? {} : { publicUrl }),
    ...(fleet.tlsCertificate === undefined ? {} : { ca: fleet.tlsCertificate }),
  };
}

async function connectionOfVariables(environment: Environment): Promise<Connection> {
  const { url, token, caPath } = environment;
  if (url === undefined || token === undefined) {
    const [given, missing] =
      url === undefined
        ? ["BRANCHLINE_TOKEN", "BRANCHLINE_URL"]
        : ["BRANCHLINE_URL", "BRANCHLINE_TOKEN"];
    throw new DeployError("CLI_USAGE", {
      problem: `${given} is set without ${missing}`,
      remedy: `Set ${missing} as well, or unset ${given}.`,
    });
  }
  const ca = caPath === undefined ? undefined : await readNeededFile(caPath);
  return {
    url: parseBaseUrl("BRANCHLINE_URL")(url),
    token,
    ...(ca === undefined ? {} : { ca }),
  };
}

async function connectionOfContext(
  context: SavedContext,
  environment: Environment,
): Promise<Connection> {
  return {
    url: context.url,
    token: await tokenOf(context.token, environment),
    ...(context.tlsCertificate === undefined ? {} : { ca: context.tlsCertificate }),
  };
}

export async function tokenOf(
  source: SavedContext["token"],
  environment: Environment,
): Promise<string> {
  const isFile = source.kind === "file";
  const text = isFile ? await readNeededFile(source.path) : environment.variable(source.name);
  const token = text?.trim() ?? "";
  // A header carries it: one line of visible ASCII.
  if (/^[\x21-\x7E]{1,400}$/u.test(token)) return token;
  throw new DeployError("CLI_USAGE", {
    problem: isFile
      ? `the file ${source.path} does not hold an operator token`
      : `the variable ${source.name} does not hold an operator token`,
    remedy: "It must be the one line that the coordinator gave at its first run.",
  });
}
