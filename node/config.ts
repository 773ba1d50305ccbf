/**
 * The node's settings: what its start names, what the environment gives, and the defaults with their
 * reasons. The only file of the node that reads the environment.
 */
import type { Logger } from "pino";

/** Check-ins of an idle node: new work reaches it within minutes, a million nodes stay affordable. */
const CHECK_IN_MS = 300_000;
/** First pause after a failed attempt where check-ins are rarer than that. */
const RETRY_MAX_BASE_MS = 60_000;
/** Where a service's environment names no PATH. */
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface NodeOptions {
  readonly dataDir: string;
  readonly coordinatorUrl: string;
  /** Needed at the first start only. */
  readonly joinToken?: string;
  /** Default: all addresses, a free port that is kept. A specific host hides all other addresses. */
  readonly listen?: { readonly host: string; readonly port: number };
  readonly checkInMs?: number;
  /** Asked for at the join; default: the host's name. */
  readonly name?: string;
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** The first try to join found no coordinator; it is tried again. */
  readonly onUnreachable?: (failure: { readonly problem: string }) => void;
  /** Joined, listening, and about to check in. */
  readonly onReady?: (ready: NodeReady) => void;
}

export interface NodeReady {
  readonly endpoint: string;
  readonly name: string;
  readonly addresses: readonly string[];
}

export interface NodeSettings {
  readonly listen: { readonly host: string; readonly port: number };
  /** The one address of this node, where it was told to use one. */
  readonly ownAddress: string | undefined;
  readonly checkInMs: number;
  readonly retryBaseMs: number;
}

export function nodeSettings(options: NodeOptions): NodeSettings {
  const listen = options.listen ?? { host: "0.0.0.0", port: 0 };
  const isAny = listen.host === "0.0.0.0" || listen.host === "::";
  const checkInMs = options.checkInMs ?? CHECK_IN_MS;
  return {
    listen,
    ownAddress: isAny ? undefined : listen.host,
    checkInMs,
    // SE-20: the next try comes with the next run.
    retryBaseMs: Math.min(checkInMs, RETRY_MAX_BASE_MS),
  };
}

/** The variables of this service that a package's command may see (trust X10). */
export function packageEnvironment(): Record<string, string> {
  const names = process.platform === "win32" ? ["SystemRoot", "windir", "ComSpec", "PATHEXT"] : [];
  const inherited = names.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    ...Object.fromEntries(inherited),
    PATH: process.env["PATH"] ?? DEFAULT_PATH,
    LANG: process.env["LANG"] ?? "C.UTF-8",
  };
}
