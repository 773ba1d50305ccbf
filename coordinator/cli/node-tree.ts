/** `node` in the command tree. What it does is another room's, and comes in as a function. */
import type { Command } from "commander";
import { parseBaseUrl, parseDurationMs, parseHostPort, type HostPort } from "./arguments.ts";
import { parseHours, parseRate } from "./rates.ts";
import { parseSize, parseSizeOrShare, type SizeOrShare } from "./sizes.ts";
import { verb } from "./verb.ts";

export interface TypedNodeOptions {
  readonly data: string;
  readonly coordinator: string;
  readonly join?: string;
  readonly listen?: HostPort;
  /** In milliseconds. */
  readonly checkIn?: number;
  readonly name?: string;
  /** In milliseconds. */
  readonly runInterval?: number;
  readonly powerCommand?: string;
  /** In bytes per second. */
  readonly uploadLimit?: number;
  readonly downloadLimit?: number;
  readonly hours?: string;
  /** False after --no-share. */
  readonly share?: boolean;
  readonly cacheQuota?: SizeOrShare;
  /** In bytes. */
  readonly cacheMinFree?: number;
  /** In milliseconds. */
  readonly cacheKeep?: number;
  readonly json?: boolean;
}

export type RunTypedNode = (options: TypedNodeOptions) => Promise<void>;

export interface TypedLaunchOptions {
  readonly data: string;
  readonly json?: boolean;
}

/** What runs on an endpoint, as functions of the room that does it. */
export interface NodePrograms {
  readonly node: RunTypedNode;
  readonly launch: (ref: string, options: TypedLaunchOptions) => Promise<void>;
}

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
    .option(
      "--run-interval <duration>",
      "time between two runs: scan, wishlist, act, log, scan (default: 10m)",
      parseDurationMs("--run-interval"),
    )
    .option(
      "--power-command <file>",
      "restarts and shuts down this computer; gets the arguments of `shutdown` (default: shutdown)",
    )
    .option(
      "--upload-limit <rate>",
      "most it sends to neighbours (default: half of a wired link)",
      parseRate("--upload-limit"),
    )
    .option("--download-limit <rate>", "most it fetches", parseRate("--download-limit"))
    .option("--hours <frames>", "when transfers over the line may begin", parseHours)
    .option("--no-share", "send nothing to neighbours")
    .option(
      "--cache-quota <size>",
      "what package content may take: a size, or a share of the disk (default: 20% and at most 10GB)",
      parseSizeOrShare("--cache-quota"),
    )
    .option(
      "--cache-min-free <size>",
      "what it leaves free on the disk (default: 5% and at most 5GB)",
      parseSize("--cache-min-free"),
    )
    .option(
      "--cache-keep <duration>",
      "content used within this time goes last (default: 3d)",
      parseDurationMs("--cache-keep"),
    )
    .action((options: TypedNodeOptions) => run(options));
}

export function addLaunchCommand(program: Command, launch: NodePrograms["launch"]): void {
  verb(
    program,
    "launch <package>",
    "on an endpoint: install what is missing and launch a package",
    [
      "branchline launch acme/app --data /var/lib/branchline",
      "branchline launch acme/app@1.2.3 --data /var/lib/branchline",
      "branchline launch acme/app --data /var/lib/branchline --json   # works offline from the cache",
    ],
  )
    .requiredOption("--data <dir>", "folder of the node that runs here")
    .action((ref: string, options: TypedLaunchOptions) => launch(ref, options));
}
