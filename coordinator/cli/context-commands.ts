/** `context add`, `context list` and `context use`: coordinators by name. */
import { resolve } from "node:path";
import { DeployError } from "../../protocol/errors.ts";
import { tokenOf } from "./context.ts";
import { fetchPinnedFleet } from "./fleet-pin.ts";
import {
  contextsPath,
  findContext,
  readContexts,
  withContext,
  writeContexts,
  type SavedContext,
} from "./saved-contexts.ts";
import { tableText } from "./table.ts";
import { printResult, type Session } from "./terminal.ts";

export interface ContextAddOptions {
  readonly url: string;
  readonly pin: string;
  readonly tokenFile?: string;
  readonly tokenEnv?: string;
  readonly json?: boolean;
}

export async function addContext(
  name: string,
  options: ContextAddOptions,
  session: Session,
): Promise<void> {
  const { environment, terminal } = session;
  refuseName(name);
  const token = tokenSource(options);
  // Read now, so that a wrong path shows here and not at the first use.
  await tokenOf(token, environment);
  const contexts = await readContexts(environment.configDir);
  const fleet = await fetchPinnedFleet(options.url, options.pin, session.signal);
  const added: SavedContext = {
    name,
    url: options.url,
    fleet: fleet.fleet,
    token,
    ...(fleet.tlsCertificate === undefined ? {} : { tlsCertificate: fleet.tlsCertificate }),
  };
  const changed = withContext(contexts, added);
  await writeContexts(environment.configDir, changed);
  const isCurrent = changed.current === name;
  const path = contextsPath(environment.configDir);
  const next = isCurrent ? "branchline status" : `branchline context use ${name}`;
  printResult(
    terminal,
    options.json,
    { name, url: options.url, fleet: fleet.fleet, isCurrent },
    `context ${name} saved in ${path}\nnext: ${next}\n`,
  );
}

export async function listContexts(
  options: { readonly json?: boolean },
  session: Session,
): Promise<void> {
  const { current, contexts } = await readContexts(session.environment.configDir);
  const shown = contexts.map(({ name, url, fleet, token }) => ({
    name,
    url,
    fleet,
    token: token.kind === "file" ? token.path : `$${token.name}`,
    isCurrent: name === current,
  }));
  const rows = shown.map((context) => [
    context.isCurrent ? "*" : "",
    context.name,
    context.url,
    context.fleet,
    context.token,
  ]);
  const text =
    rows.length === 0
      ? "no context saved yet\nnext: branchline context add NAME --url URL --token-file FILE --pin PIN\n"
      : tableText(["", "NAME", "URL", "FLEET", "TOKEN FROM"], rows);
  printResult(session.terminal, options.json, { contexts: shown }, text);
}

export async function selectContext(
  name: string,
  options: { readonly json?: boolean },
  session: Session,
): Promise<void> {
  const { configDir } = session.environment;
  const contexts = await readContexts(configDir);
  const { url } = findContext(contexts, name);
  await writeContexts(configDir, { ...contexts, current: name });
  printResult(
    session.terminal,
    options.json,
    { name, url },
    `commands now go to ${name}, ${url}\n`,
  );
}

function tokenSource(options: ContextAddOptions): SavedContext["token"] {
  const { tokenFile, tokenEnv } = options;
  if (tokenFile !== undefined && tokenEnv === undefined) {
    return { kind: "file", path: resolve(tokenFile) };
  }
  if (tokenEnv !== undefined && tokenFile === undefined) {
    return { kind: "variable", name: tokenEnv };
  }
  throw new DeployError("CLI_USAGE", {
    problem: "a context takes its operator token from exactly one place",
    remedy: "Give either --token-file FILE or --token-env VARIABLE.",
  });
}

function refuseName(name: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/u.test(name)) return;
  throw new DeployError("INPUT_INVALID", {
    what: `context name "${name.slice(0, 100)}"`,
    expected: "letters, digits and . _ -",
  });
}
