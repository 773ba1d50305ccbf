/** `init`: makes a fleet's keys and the data folder of its coordinator, and says what comes next. */
import { hostname } from "node:os";
import { initCoordinator, type InitResult } from "../init.ts";
import { newPassphrase } from "./passphrase.ts";
import { printResult, type Session } from "./terminal.ts";

export interface InitOptions {
  readonly data: string;
  readonly keys?: string;
  readonly host?: readonly string[];
  readonly behindProxy?: boolean;
  readonly json?: boolean;
}

type Made = InitResult & { readonly dataDir: string; readonly isBehindProxy: boolean };

export async function init(options: InitOptions, session: Session): Promise<void> {
  const { environment, terminal } = session;
  const passphrase = await newPassphrase(terminal, environment);
  const made = await initCoordinator({
    dataDir: options.data,
    ...(options.keys === undefined ? {} : { keysPath: options.keys }),
    passphrase,
    isBehindProxy: options.behindProxy === true,
    hosts: options.host ?? [hostname(), "localhost"],
    configHome: environment.configHome,
    nowMs: session.nowMs(),
  });
  const isBehindProxy = options.behindProxy === true;
  const shown = { ...made, dataDir: options.data, isBehindProxy };
  printResult(terminal, options.json, shown, initText(shown));
}

function initText(made: Made): string {
  const { fleetId, keysPath, operatorToken, pin, dataDir, isBehindProxy } = made;
  const data = shellWord(dataDir);
  const listen = isBehindProxy
    ? "127.0.0.1:8080 --insecure-http --public-url https://NAME"
    : "0.0.0.0:8443";
  return `fleet ${fleetId} is made
  data folder      ${dataDir}
  offline keys     ${keysPath}
                   Sealed by your passphrase. Keep a copy elsewhere: without it nobody can publish.
  operator token   ${operatorToken}
  pin              ${pin}
                   For \`branchline context add\` on other machines; here, --data is enough.
next:
  branchline coordinator --data ${data} --listen ${listen}
  branchline site create NAME --subnet 10.1.0.0/24 --data ${data}
  branchline token create --site NAME --data ${data}
`;
}

/** The text as one word of a POSIX shell, for commands that are shown to be copied. */
function shellWord(text: string): string {
  if (/^[\w./:@%+=,-]+$/u.test(text)) return text;
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
