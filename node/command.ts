/**
 * The `node` verb behind the command line: typed options become the options of `runNode`. The verb's
 * place in the command tree, its help and its examples are the command line's.
 */
import { pino } from "pino";
import type { NodeReady } from "./config.ts";
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

function textOf({ name, endpoint, addresses }: NodeReady): string {
  return `${name} is running as ${endpoint}, peers reach it at ${addresses.join(", ")}\n`;
}
