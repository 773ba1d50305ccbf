/** `node` in the command tree. What it does is another room's, and comes in as a function. */
import type { Command } from "commander";
import { parseBaseUrl, parseDurationMs, parseHostPort, type HostPort } from "./arguments.ts";
import { verb } from "./verb.ts";

export interface TypedNodeOptions {
  readonly data: string;
  readonly coordinator: string;
  readonly join?: string;
  readonly listen?: HostPort;
  /** In milliseconds. */
  readonly checkIn?: number;
  readonly name?: string;
  readonly json?: boolean;
}

export type RunTypedNode = (options: TypedNodeOptions) => Promise<void>;

export function addNodeCommand(program: Command, run: RunTypedNode): void {
  verb(program, "node", "run an endpoint until Ctrl-C", [
    "branchline node --data /var/lib/branchline --coordinator https://deploy.example:8443 --join bl1_…",
    "BRANCHLINE_JOIN_TOKEN=bl1_… branchline node --data ./node --coordinator https://10.0.0.5:8443",
    "branchline node --data ./node --coordinator https://10.0.0.5:8443 --listen 0.0.0.0:4001 --check-in 1s",
  ])
    .requiredOption("--data <dir>", "the node's own folder; made when it is not there")
    .requiredOption("--coordinator <url>", "its coordinator", parseBaseUrl("--coordinator"))
    .option("--join <token>", "join token, needed at the first start only")
    .option("--listen <host:port>", "where peers reach it", parseHostPort("--listen"))
    .option(
      "--check-in <duration>",
      "time between two check-ins (default: 5m)",
      parseDurationMs("--check-in"),
    )
    .option("--name <name>", "name of the endpoint (default: the host name)")
    .action((options: TypedNodeOptions) => run(options));
}
