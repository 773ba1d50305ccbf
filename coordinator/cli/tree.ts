/**
 * The command tree: names, options, examples. It stays light; what a command does is imported when it
 * runs, so that `--help` answers at once.
 */
import type { Command } from "commander";
import {
  parseBaseUrl,
  parseCidr,
  parseDurationMs,
  parseDurationWithin,
  parseHostPort,
  parsePin,
  parseWhole,
} from "./arguments.ts";
import { addBanCommands } from "./ban-tree.ts";
import { addCatalogCommands } from "./catalog-tree.ts";
import type { ContextAddOptions } from "./context-commands.ts";
import type { DeployOptions } from "./deploy.ts";
import { addEndpointCommands } from "./endpoint-tree.ts";
import type { ChangingOptions } from "./group.ts";
import { addGroupCommands } from "./group-tree.ts";
import type { InitOptions } from "./init.ts";
import { addIntentCommands } from "./intent-tree.ts";
import { addJobCommands } from "./job-tree.ts";
import { addLaunchCommand, addNodeCommand, type NodePrograms } from "./node-tree.ts";
import { addOriginCommands } from "./origin-tree.ts";
import { addPackageCommands } from "./package-tree.ts";
import type { CoordinatorOptions } from "./run-coordinator.ts";
import { addSiteCommands } from "./site-tree.ts";
import type { StatusOptions } from "./status.ts";
import type { Session } from "./terminal.ts";
import type { TokenOptions } from "./token.ts";
import type { TrafficOptions } from "./traffic.ts";
import { changingVerb, group, operatorVerb, verb } from "./verb.ts";

type JsonOption = { readonly json?: boolean };
/** Options whose default is not shown in milliseconds by the help. */
type TypedTokenOptions = Omit<TokenOptions, "ttl"> & Partial<Pick<TokenOptions, "ttl">>;
type TypedDeployOptions = Omit<DeployOptions, "timeout"> & Partial<Pick<DeployOptions, "timeout">>;

const HOUR_MS = 3_600_000;
const DEPLOY_TIMEOUT_MS = 2 * HOUR_MS;

export function addCommands(program: Command, session: Session, onNode: NodePrograms): void {
  program.commandsGroup("Run:");
  addInitCommand(program, session);
  addCoordinatorCommand(program, session);
  addNodeCommand(program, onNode.node);
  addLaunchCommand(program, onNode.launch);
  program.commandsGroup("Operate:");
  addSiteCommands(program, session);
  addTokenCommands(program, session);
  addDpCommands(program, session);
  addPackageCommands(program, session);
  addOriginCommands(program, session);
  addBanCommands(program, session);
  addCatalogCommands(program, session);
  addDeployCommand(program, session);
  addStatusCommand(program, session);
  addTrafficCommand(program, session);
  program.commandsGroup("Intend:");
  addGroupCommands(program, session);
  addJobCommands(program, session);
  addIntentCommands(program, session);
  program.commandsGroup("Look:");
  addEndpointCommands(program, session);
  program.commandsGroup("Set up:");
  addContextCommands(program, session);
}

function addInitCommand(program: Command, session: Session): void {
  verb(program, "init", "make a fleet: its keys and the coordinator's data folder", [
    "branchline init --data /srv/branchline",
    "branchline init --data ./data --keys /media/stick/fleet.json",
    "BRANCHLINE_PASSPHRASE_FILE=./passphrase branchline init --data ./data --json",
  ])
    .requiredOption("--data <dir>", "new data folder of the coordinator")
    .option("--keys <file>", "file for the offline keys, outside the data folder")
    .option("--host <name...>", "names and addresses in the TLS certificate")
    .option("--behind-proxy", "make no certificate: a proxy ends TLS with its own")
    .action(async (options: InitOptions) => (await import("./init.ts")).init(options, session));
}

function addCoordinatorCommand(program: Command, session: Session): void {
  verb(program, "coordinator", "run the coordinator until Ctrl-C", [
    "branchline coordinator --data /srv/branchline --listen 0.0.0.0:8443",
    "branchline coordinator --data ./data --listen '[::1]:8443' --json",
    "branchline coordinator --data ./data --listen 127.0.0.1:8080 --insecure-http --public-url https://deploy.example",
  ])
    .requiredOption("--data <dir>", "data folder made by `branchline init`")
    .requiredOption("--listen <host:port>", "where to listen", parseHostPort("--listen"))
    .option("--insecure-http", "speak plain HTTP, behind a proxy that speaks TLS")
    .option(
      "--public-url <url>",
      "address under which nodes reach it",
      parseBaseUrl("--public-url"),
    )
    .option(
      "--keep-succeeded <duration>",
      "how long a succeeded job container stays (default: 4h)",
      parseDurationMs("--keep-succeeded"),
    )
    .option(
      "--keep-failed <duration>",
      "how long a failed job container stays (default: 2d)",
      parseDurationMs("--keep-failed"),
    )
    .option(
      "--wake-expiry <duration>",
      "who comes up later was not woken, and is not shut down (default: 5m)",
      parseDurationMs("--wake-expiry"),
    )
    .option(
      "--offline-after <duration>",
      "who is silent for so long counts as switched off, and is woken (default: 125s)",
      parseDurationMs("--offline-after"),
    )
    .option("--trusted-proxy <cidr>", "believe the forwarded addresses of this proxy", (text) =>
      parseCidr("--trusted-proxy", text),
    )
    .action(async (options: CoordinatorOptions) =>
      (await import("./run-coordinator.ts")).coordinator(options, session),
    );
}

function addTokenCommands(program: Command, session: Session): void {
  const token = group(program, "token", "join tokens for new endpoints");
  changingVerb(token, "create", "make a join token and print it once", [
    "branchline token create --site berlin",
    "branchline token create --site berlin --uses 20 --ttl 7d",
    "branchline token create --site berlin --dry-run --json",
  ])
    .requiredOption("--site <name>", "home site of the endpoints that use it")
    .option("--uses <count>", "how many endpoints may use it", parseWhole("--uses", 1, 500), 1)
    .option(
      "--ttl <duration>",
      "how long it is valid (default: 24h)",
      parseDurationWithin("--ttl", "1m", "30d"),
    )
    .action(async (options: TypedTokenOptions) =>
      (await import("./token.ts")).createToken({ ttl: 24 * HOUR_MS, ...options }, session),
    );
}

function addDpCommands(program: Command, session: Session): void {
  const dp = group(program, "dp", "distribution points");
  for (const word of ["enable", "disable"] as const) {
    const other = word === "enable" ? "disable" : "enable";
    const summary =
      word === "enable"
        ? "let an endpoint hold everything for its site"
        : "make a distribution point a plain agent again";
    changingVerb(dp, `${word} <endpoint>`, summary, [
      `branchline dp ${word} berlin-nas`,
      `branchline dp ${word} berlin-nas --data /srv/branchline`,
      `branchline dp ${word} berlin-nas --json   # undo: branchline dp ${other} berlin-nas`,
    ]).action(async (endpoint: string, options: ChangingOptions) =>
      (await import("./dp.ts")).setDp(endpoint, word === "enable", options, session),
    );
  }
}

function addDeployCommand(program: Command, session: Session): void {
  operatorVerb(program, "deploy <package@version>", "give an active package to endpoints", [
    "branchline deploy acme/app@1.2.3 --to endpoint:berlin-07",
    "branchline deploy acme/app@1.2.3 --to site:berlin --wait",
    "branchline deploy acme/app@1.2.3 --to all --wait --timeout 30m --json",
  ])
    .requiredOption("--to <target>", "endpoint:NAME, site:NAME or all")
    .option("--dry-run", "only say whom it would reach")
    .option("--wait", "wait until every endpoint has a result; exit 1 if one failed")
    .option("--timeout <duration>", "longest wait (default: 2h)", parseDurationMs("--timeout"))
    .action(async (ref: string, options: TypedDeployOptions) =>
      (await import("./deploy.ts")).deploy(
        ref,
        { timeout: DEPLOY_TIMEOUT_MS, ...options },
        session,
      ),
    );
}

function addStatusCommand(program: Command, session: Session): void {
  operatorVerb(program, "status", "show endpoints, jobs and sites", [
    "branchline status",
    "branchline status --watch",
    "branchline status --json",
  ])
    .option("--watch", "show it again every 2 s until Ctrl-C")
    .action(async (options: StatusOptions) =>
      (await import("./status.ts")).showStatus(options, session),
    );
}

function addTrafficCommand(program: Command, session: Session): void {
  operatorVerb(program, "traffic", "show where the bytes came from, by site and package", [
    "branchline traffic",
    "branchline traffic --site berlin --package acme/app@1.2.3",
    "branchline traffic --endpoints --json",
  ])
    .option("--site <name>", "only this site")
    .option("--package <name>", "only this package, with @version or all of its versions")
    .option("--endpoints", "by endpoint instead of by site")
    .action(async (options: TrafficOptions) =>
      (await import("./traffic.ts")).showTraffic(options, session),
    );
}

function addContextCommands(program: Command, session: Session): void {
  const context = group(program, "context", "coordinators by name, for commands from elsewhere");
  verb(context, "add <name>", "pin a coordinator and save it", [
    "branchline context add work --url https://deploy.example:8443 --token-file ./token --pin 0123…",
    "branchline context add ci --url https://deploy.example:8443 --token-env DEPLOY_TOKEN --pin 0123…",
    "branchline context add work --url https://deploy.example:8443 --token-file ./token --pin 0123… --json",
  ])
    .requiredOption("--url <url>", "address of the coordinator", parseBaseUrl("--url"))
    .requiredOption("--pin <pin>", "pin of the fleet: 32 hexadecimal digits", parsePin)
    .option("--token-file <file>", "file that holds the operator token")
    .option("--token-env <variable>", "environment variable that holds the operator token")
    .action(async (name: string, options: ContextAddOptions) =>
      (await import("./context-commands.ts")).addContext(name, options, session),
    );
  verb(context, "list", "list the saved coordinators", [
    "branchline context list",
    "branchline context list --json",
    "XDG_CONFIG_HOME=/etc branchline context list",
  ]).action(async (options: JsonOption) =>
    (await import("./context-commands.ts")).listContexts(options, session),
  );
  verb(context, "use <name>", "choose the one that commands go to", [
    "branchline context use work",
    "branchline context use work --json",
    "branchline status --context work   # once, without changing the choice",
  ]).action(async (name: string, options: JsonOption) =>
    (await import("./context-commands.ts")).selectContext(name, options, session),
  );
}
