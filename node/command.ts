/**
 * The `node` verb behind the command line: typed options become the options of `runNode`. The verb's
 * place in the command tree, its help and its examples are the command line's.
 */
import { pino } from "pino";
import type { NodeReady } from "./config.ts";
import type { CacheQuota } from "./core/cache.ts";
import { runNode } from "./main.ts";

/** Options as they were typed, already checked one by one. */
export interface NodeCommandOptions {
  readonly data: string;
  readonly coordinator: string;
  readonly join?: string;
  readonly listen?: { readonly host: string; readonly port: number };
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
  readonly cacheQuota?: CacheQuota;
  /** In bytes. */
  readonly cacheMinFree?: number;
  /** In milliseconds. */
  readonly cacheKeep?: number;
  readonly json?: boolean;
}

/** What the process gives to a node. */
export interface NodeSurroundings {
  /** BRANCHLINE_JOIN_TOKEN: keeps the token out of the list of processes. */
  readonly joinToken: string | undefined;
  readonly logLevel: string;
  readonly signal: AbortSignal;
  readonly writeOut: (text: string) => void;
  readonly writeErr: (text: string) => void;
}

/** Runs until the signal; its log goes to stderr as JSON lines. */
export async function runNodeCommand(
  options: NodeCommandOptions,
  surroundings: NodeSurroundings,
): Promise<void> {
  const joinToken = options.join ?? surroundings.joinToken;
  await runNode({
    dataDir: options.data,
    coordinatorUrl: options.coordinator,
    ...(joinToken === undefined ? {} : { joinToken }),
    ...(options.listen === undefined ? {} : { listen: options.listen }),
    ...(options.checkIn === undefined ? {} : { checkInMs: options.checkIn }),
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.runInterval === undefined ? {} : { runMs: options.runInterval }),
    ...(options.powerCommand === undefined ? {} : { powerCommand: options.powerCommand }),
    onRestart: restartProcess,
    manners: {
      uploadBytesPerSec: options.uploadLimit,
      downloadBytesPerSec: options.downloadLimit,
      hours: options.hours,
      isSharingOff: options.share === false,
    },
    cache: {
      quota: options.cacheQuota,
      minFreeBytes: options.cacheMinFree,
      keepMs: options.cacheKeep,
    },
    signal: surroundings.signal,
    log: pino({ level: surroundings.logLevel }, pino.destination(2)),
    onUnreachable: ({ problem }) => {
      if (options.json === true) return;
      const { coordinator: url } = options;
      surroundings.writeErr(`cannot reach ${url} to join (${problem}); trying again\n`);
    },
    onReady: (ready) => {
      surroundings.writeOut(options.json === true ? `${JSON.stringify(ready)}\n` : textOf(ready));
    },
  });
}

// The same process with the program as it is on disk now: a service keeps its number, and what a package
// has replaced takes effect. Where the system cannot do that, its service manager starts the next one.
function restartProcess(): void {
  if (process.platform === "win32") return;
  process.execve?.(process.execPath, [
    process.execPath,
    ...process.execArgv,
    ...process.argv.slice(1),
  ]);
}

function textOf({ name, endpoint, addresses }: NodeReady): string {
  return `${name} is running as ${endpoint}, peers reach it at ${addresses.join(", ")}\n`;
}
