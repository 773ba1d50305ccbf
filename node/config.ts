/**
 * The node's settings: what its start names, what the environment gives, and the defaults with their
 * reasons. The only file of the node that reads the environment.
 */
import type { Logger } from "pino";
import type { CacheSettings } from "./core/cache.ts";

/** Check-ins of an idle node: new work reaches it within minutes, a million nodes stay affordable. */
const CHECK_IN_MS = 300_000;
/** Time between two runs (SE-11). */
const RUN_MS = 600_000;
/** Longer than any pause that a working exchange makes on purpose. */
const STALL_MS = 900_000;
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
  /** Time between two runs: scan, wishlist, act, log, scan. */
  readonly runMs?: number;
  /** Restarts and shuts down the system; gets the arguments of `shutdown`. */
  readonly powerCommand?: string;
  /** Asked for at the join; default: the host's name. */
  readonly name?: string;
  readonly manners?: NodeManners;
  /** What fragments may take of the disk; defaults in node/core/cache.ts. */
  readonly cache?: CacheSettings;
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** The first try to join found no coordinator; it is tried again. */
  readonly onUnreachable?: (failure: { readonly problem: string }) => void;
  /** Joined, listening, and about to check in. */
  readonly onReady?: (ready: NodeReady) => void;
  /** A package asked for it; called when everything has ended in order. */
  readonly onRestart?: () => void;
}

/** What the node gives and takes at most; see node/uplink/manners.ts. */
export interface NodeManners {
  /** To its neighbours; default: half of a wired link. */
  readonly uploadBytesPerSec?: number | undefined;
  readonly downloadBytesPerSec?: number | undefined;
  /** Time frames for transfers over the site's line, in the host's zone. */
  readonly hours?: string | undefined;
  readonly isSharingOff?: boolean;
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
  readonly runMs: number;
  readonly stallMs: number;
  readonly powerCommand: string;
  readonly cache: CacheSettings;
  readonly manners: {
    readonly uploadBytesPerSec: number | undefined;
    readonly downloadBytesPerSec: number | undefined;
    readonly hours: string | undefined;
    readonly isSharingOff: boolean;
  };
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
    runMs: options.runMs ?? RUN_MS,
    stallMs: STALL_MS,
    powerCommand: options.powerCommand ?? "shutdown",
    cache: options.cache ?? {},
    manners: {
      uploadBytesPerSec: options.manners?.uploadBytesPerSec,
      downloadBytesPerSec: options.manners?.downloadBytesPerSec,
      hours: options.manners?.hours,
      isSharingOff: options.manners?.isSharingOff ?? false,
    },
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
