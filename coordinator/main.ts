/**
 * The coordinator's composition root: opens the store, puts the rooms together, listens, and takes it all
 * down in the reverse order.
 */
import { setInterval as ticks } from "node:timers/promises";
import type { FastifyBaseLogger } from "fastify";
import type { Logger } from "pino";
import { Type } from "typebox";
import { parseFleet, type Fleet } from "../protocol/check-in.ts";
import { DeployError } from "../protocol/errors.ts";
import { parserOf, readJson } from "../protocol/json.ts";
import { dataLayout, readInitialised, writePrivateFile, type DataLayout } from "./data-layout.ts";
import { openParts } from "./open-parts.ts";
import { operatorText } from "./operator-file.ts";
import type { App } from "./routes/app-type.ts";
import { buildApp } from "./routes/app.ts";
import { keepHouse } from "./routes/housekeeping.ts";
import type { Parts } from "./routes/parts.ts";
import { INTENT_SETTINGS_DEFAULT, type IntentSettings } from "./core/intent/intent-settings.ts";
import { openLevelStore } from "./store/level-store.ts";
import { renewCatalog } from "./trust/catalog-head.ts";
import { parseOnlineKeys } from "./trust/fleet-keys.ts";

export interface CoordinatorOptions {
  readonly dataDir: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** Plain HTTP behind a proxy that ends TLS. */
  readonly isInsecureHttp: boolean;
  /** Address under which others reach it; default: the address it listens on. */
  readonly publicUrl?: string;
  /** Address range of the proxy whose forwarded-for header is believed. */
  readonly trustedProxy?: string;
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly onReady?: (info: ReadyInfo) => void;
  /** Default: INTENT_SETTINGS_DEFAULT. */
  readonly intent?: IntentSettings;
  /** Default: the system's clock. */
  readonly now?: () => number;
}

/** `url` is for this machine, `publicUrl` for all others, where they differ. */
export interface ReadyInfo {
  readonly url: string;
  readonly publicUrl?: string;
}

// Presence and traffic that a crash may lose; nothing an endpoint relies on is among them.
const FLUSH_EVERY_MS = 5000;
const RENEW_EVERY_MS = 600_000;
// A wake-up or a ring's end may wait so long where no endpoint speaks.
const HOUSE_EVERY_MS = 5000;
const FILE_MAX_BYTES = 1024 * 1024;

const parseOperatorFile = parserOf("operator.json", Type.Object({ token: Type.String() }));

/**
 * Runs until `signal` ends it. Throws NOT_INITIALISED, PROXY_REQUIRED, STORE_LOCKED, STORE_DAMAGED
 * or LISTEN_FAILED.
 */
export async function runCoordinator(options: CoordinatorOptions): Promise<void> {
  const layout = dataLayout(options.dataDir);
  await using stack = new AsyncDisposableStack();
  const parts = await ownParts(options, layout, stack);
  const { app } = await buildApp(parts, {
    // Fastify's logger type is a part of pino's.
    log: options.log satisfies FastifyBaseLogger,
    ...tlsOf(options, parts),
    ...(options.trustedProxy === undefined ? {} : { trustedProxy: options.trustedProxy }),
  });
  stack.defer(async () => app.close());
  const { publicUrl } = options;
  const url = await listen(app, options);
  const ready: ReadyInfo = { url, ...(publicUrl === undefined ? {} : { publicUrl }) };
  await announce(options, layout, parts, ready);
  const end = new AbortController();
  const stop = AbortSignal.any([options.signal, end.signal]);
  const chores = [
    repeat(stop, FLUSH_EVERY_MS, async () => flush(parts)),
    repeat(stop, RENEW_EVERY_MS, async () => renew(parts)),
    repeat(stop, HOUSE_EVERY_MS, async () => keepHouse(parts)),
  ];
  stack.defer(async () => {
    end.abort();
    await Promise.allSettled(chores);
  });
  options.log.info({ ...ready, fleet: parts.fleet.fleet }, "coordinator.ready");
  options.onReady?.(ready);
  await Promise.race([ended(stop), ...chores]);
  options.log.info("coordinator.stopping");
}

async function ownParts(
  options: CoordinatorOptions,
  layout: DataLayout,
  stack: AsyncDisposableStack,
): Promise<Parts> {
  const { dataDir, now = Date.now } = options;
  const fleetBytes = await readInitialised(dataDir, layout.fleet);
  const fleet = parseFleet(readJson("fleet.json", fleetBytes, FILE_MAX_BYTES));
  const online = parseOnlineKeys(await readInitialised(dataDir, layout.onlineKeys));
  refuseTlsWithoutCertificate(options, fleet);
  const store = await openLevelStore(layout.store);
  stack.defer(async () => store.close());
  const parts = await openParts({
    store,
    folders: layout,
    fleet,
    online,
    settings: options.intent ?? INTENT_SETTINGS_DEFAULT,
    zone: Temporal.Now.timeZoneId(),
    now,
    steadyMs: () => performance.now(),
  });
  stack.defer(async () => flush(parts));
  await renew(parts);
  return parts;
}

function tlsOf({ isInsecureHttp }: CoordinatorOptions, { fleet, online }: Parts) {
  const { tlsCertificate } = fleet;
  const { tlsPrivateKey } = online;
  const hasTls = !isInsecureHttp && tlsCertificate !== undefined && tlsPrivateKey !== undefined;
  return hasTls ? { tls: { key: tlsPrivateKey, cert: tlsCertificate } } : {};
}

// Never silently without TLS: plain HTTP is said on the command line, or the start fails.
function refuseTlsWithoutCertificate(
  { isInsecureHttp, log }: CoordinatorOptions,
  fleet: Fleet,
): void {
  const hasCertificate = fleet.tlsCertificate !== undefined;
  if (!hasCertificate && !isInsecureHttp) throw new DeployError("PROXY_REQUIRED");
  if (!hasCertificate || !isInsecureHttp) return;
  // Endpoints take no other certificate than the fleet's, so a proxy's own would be refused.
  const hint = "for a proxy that ends TLS, make the fleet with `init --behind-proxy`";
  log.warn({ hint }, "coordinator.plainHttpDespiteCertificate");
}

async function listen(app: App, options: CoordinatorOptions): Promise<string> {
  const { host, port } = options.listen;
  try {
    return await app.listen({ host, port });
  } catch (cause) {
    const isTaken = cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE";
    const problem = isTaken ? "the port is in use" : String(cause);
    throw new DeployError("LISTEN_FAILED", { address: `${host}:${port}`, problem }, { cause });
  }
}

/** Tells the command line on this machine where the coordinator is. */
async function announce(
  { dataDir }: CoordinatorOptions,
  layout: DataLayout,
  { fleet }: Parts,
  ready: ReadyInfo,
): Promise<void> {
  const bytes = await readInitialised(dataDir, layout.operator);
  const { token } = parseOperatorFile(readJson("operator.json", bytes, FILE_MAX_BYTES));
  await writePrivateFile(layout.operator, operatorText({ ...ready, token, fleet }));
}

async function flush({ presence, gate, now }: Parts): Promise<void> {
  await presence.flush();
  await gate.flush(now());
}

async function renew({ catalog, online, now }: Parts): Promise<void> {
  const isDue = renewCatalog(catalog.files(), online, now()) !== undefined;
  if (!isDue) return;
  await catalog.replace((files) => ({
    files: renewCatalog(files, online, now()) ?? files,
    changes: [],
    result: undefined,
  }));
}

/** Ends with the signal; a chore that fails ends the coordinator: its store is the only thing it needs. */
async function repeat(
  signal: AbortSignal,
  everyMs: number,
  chore: () => Promise<void>,
): Promise<void> {
  try {
    for await (const run of ticks(everyMs, chore, { signal })) await run();
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function ended(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => resolve(), { once: true });
  await promise;
}
