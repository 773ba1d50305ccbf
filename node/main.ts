/**
 * The node: composition root of the endpoint's one program. Starts its rooms in a written order, runs
 * them until the signal, and stops them in the reverse order.
 */
import { chmod, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "pino";
import { DeployError } from "../protocol/errors.ts";
import type { EndpointId } from "../protocol/ids.ts";
import { parseJoinToken, fleetPin } from "../protocol/join-token.ts";
import type { LocationFacts } from "../protocol/location.ts";
import { JobDriver } from "./actions/job-driver.ts";
import type { JobParts, Placement } from "./actions/job-parts.ts";
import { nodeSettings, packageEnvironment, type NodeOptions, type NodeSettings } from "./config.ts";
import { FolderFragmentStore } from "./content/fragment-store.ts";
import { openJournalFile } from "./content/journal-file.ts";
import { Journal } from "./content/journal.ts";
import { ManifestSource } from "./content/manifest-source.ts";
import type { FragmentStore, Refusal, Swarm } from "./content/ports.ts";
import { backoffMs } from "./core/backoff.ts";
import { chooseDp } from "./core/choose-dp.ts";
import { createSwarm } from "./swarm/swarm.ts";
import { TrustStore } from "./trust/trust-store.ts";
import { CheckIn } from "./uplink/check-in.ts";
import { createCoordinatorClient } from "./uplink/coordinator-client.ts";
import { readFacts } from "./uplink/facts.ts";
import { openIdentity, type Identity } from "./uplink/identity.ts";
import { joinFleet, readJoined, type Joined } from "./uplink/join.ts";
import { keepPort, listenAddresses } from "./uplink/listen-port.ts";
import { createOrigin, manifestFetcher } from "./uplink/origin.ts";
import { Outbox } from "./uplink/outbox.ts";
import { RefusalDesk } from "./uplink/refusal-desk.ts";
import { Session } from "./uplink/session.ts";

/** Runs until the signal aborts. Throws DeployError where the node cannot start or go on. */
export async function runNode(options: NodeOptions): Promise<void> {
  const settings = nodeSettings(options);
  const { dataDir, signal } = options;
  await makeDataFolders(dataDir);
  const identity = await openIdentity(dataDir);
  const joined = await openFleet(options, settings, identity);
  if (joined === undefined) return;
  await using stack = new AsyncDisposableStack();
  const rooms = await openRooms(stack, options, settings, { identity, joined });
  const { swarm, driver, checkIn, outbox, trust, placing } = rooms;
  await keepPort(dataDir, swarm.addresses());
  // What was accepted before goes on at once, whether or not the coordinator is there.
  await driver.recover();
  await placing.replace();
  driver.direct(trust.instructions());
  options.onReady?.({
    endpoint: identity.endpoint,
    name: joined.name,
    addresses: swarm.addresses(),
  });
  options.log.info({ endpoint: identity.endpoint, name: joined.name }, "node.started");
  const stop = new AbortController();
  const until = AbortSignal.any([signal, stop.signal]);
  const stopAll = (): void => stop.abort();
  // One that fails ends the others; all have ended before anything is closed.
  const loops = [driver.run(until), checkIn.run(until), outbox.run(until)];
  const ends = await Promise.allSettled(loops.map((loop) => loop.finally(stopAll)));
  options.log.info({}, "node.stopping");
  const failed = ends.find((end) => end.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

interface Membership {
  readonly identity: Identity;
  readonly joined: Joined;
}

interface Rooms {
  readonly trust: TrustStore;
  readonly swarm: Swarm;
  readonly outbox: Outbox;
  readonly driver: JobDriver;
  readonly checkIn: CheckIn;
  readonly placing: Placing;
}

async function openRooms(
  stack: AsyncDisposableStack,
  options: NodeOptions,
  settings: NodeSettings,
  membership: Membership,
): Promise<Rooms> {
  const { dataDir, log, coordinatorUrl: url } = options;
  const { identity, joined } = membership;
  const trust = stack.use(await TrustStore.open(join(dataDir, "trust")));
  await trust.pin(joined.fleet);
  const journalFile = await openJournalFile(join(dataDir, "journal.jsonl"));
  const journal = stack.use(await Journal.open(journalFile, log));
  const client = stack.use(
    createCoordinatorClient({ url, fleet: joined.fleet, localAddress: settings.ownAddress }),
  );
  const session = new Session(client);
  const outbox = new Outbox({ journal, session, url, key: identity.key, log, now, random });
  const onRefusal = refusalSink(identity.endpoint, outbox, options);
  // The check-in needs the swarm's addresses, the swarm the check-in's ear; the circle closes below.
  const news = new EventTarget();
  const base = {
    dataDir,
    settings,
    identity,
    trust,
    journal,
    session,
    outbox,
    onRefusal,
    url,
    fleet: joined.fleet.fleet,
    onNews: (): void => void news.dispatchEvent(new Event("news")),
    log,
  };
  const { swarm, store } = await openContent(stack, base);
  const placing = new Placing(trust, swarm, settings);
  const driver = stack.use(await openDriver(base, swarm, store, placing));
  const checkIn = new CheckIn({
    ...base,
    client,
    facts: async () => readFacts(settings.ownAddress),
    listen: () => swarm.addresses(),
    nodeVersion: await programVersion(),
    intervalMs: settings.checkInMs,
    isDp: () => trust.membership()?.membership.role === "dp",
    onAccepted: async (accepted, facts) => {
      await placing.place(facts);
      driver.direct(accepted.instructions);
    },
    now,
    random,
  });
  session.onRenew(async (within) => checkIn.now(within));
  news.addEventListener("news", () => checkIn.soon());
  return { trust, swarm, outbox, driver, checkIn, placing };
}

interface BaseRooms {
  readonly dataDir: string;
  readonly settings: NodeSettings;
  readonly identity: Identity;
  readonly trust: TrustStore;
  readonly journal: Journal;
  readonly session: Session;
  readonly outbox: Outbox;
  readonly onRefusal: (refusal: Refusal) => void;
  readonly url: string;
  readonly fleet: string;
  readonly onNews: () => void;
  readonly log: Logger;
}

async function openContent(
  stack: AsyncDisposableStack,
  base: BaseRooms,
): Promise<{ readonly swarm: Swarm; readonly store: FragmentStore }> {
  const { onRefusal, trust } = base;
  const store = await FolderFragmentStore.open(join(base.dataDir, "fragments"), (fragment) => {
    const detail = new DeployError("FRAGMENT_CORRUPT", { digest: fragment }).message;
    onRefusal({ code: "FRAGMENT_CORRUPT", detail, fragment });
  });
  const start = async (listen: readonly string[]): Promise<Swarm> =>
    createSwarm({
      seed: base.identity.seed,
      fleet: base.fleet,
      onNews: base.onNews,
      listen,
      store,
      origin: createOrigin(base.session, base.url),
      verifyMembership: (envelope, peer) => trust.verifyMembership(envelope, peer, now()),
      onRefusal,
    });
  return { store, swarm: stack.use(await startSwarm(base.dataDir, base.settings, start)) };
}

async function openDriver(
  base: BaseRooms,
  exchange: Swarm,
  store: FragmentStore,
  placing: Placing,
): Promise<JobDriver> {
  const fetchManifest = manifestFetcher(base.session, base.url);
  const parts: JobParts = {
    ...base,
    endpoint: base.identity.endpoint,
    manifests: await ManifestSource.open(join(base.dataDir, "manifests"), fetchManifest),
    exchange,
    store,
    environment: packageEnvironment(),
    placement: () => placing.current,
    now,
    retryBaseMs: base.settings.retryBaseMs,
  };
  return new JobDriver(parts, base.log);
}

function now(): number {
  return Date.now();
}

function random(): number {
  return Math.random();
}

/** Where the node stands: by its own facts, before anything is fetched or run (BR-5, MYP-8). */
class Placing {
  readonly #trust: TrustStore;
  readonly #swarm: Swarm;
  readonly #settings: NodeSettings;
  #current: Placement = { site: undefined, dp: undefined };

  constructor(trust: TrustStore, swarm: Swarm, settings: NodeSettings) {
    this.#trust = trust;
    this.#swarm = swarm;
    this.#settings = settings;
  }

  get current(): Placement {
    return this.#current;
  }

  /** By what was accepted before the start. */
  async replace(): Promise<void> {
    await this.place(await readFacts(this.#settings.ownAddress));
  }

  async place(facts: LocationFacts): Promise<void> {
    const roster = this.#trust.roster();
    const held = this.#trust.membership();
    if (roster === undefined || held === undefined) return;
    const dp = chooseDp(facts, roster);
    this.#current = { site: roster.site, dp: dp?.endpoint };
    const { envelope, membership } = held;
    await this.#swarm.place({ roster, dp, role: membership.role, membership: envelope });
  }
}

async function makeDataFolders(dataDir: string): Promise<void> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  for (const name of ["tmp", "runs"]) {
    await mkdir(join(dataDir, name), { recursive: true, mode: 0o700 });
  }
  // Users of the endpoint read stored packages through this folder, and see nothing else in it.
  await mkdir(join(dataDir, "store"), { recursive: true, mode: 0o755 });
  await chmod(dataDir, 0o711);
}

/** The fleet joined before, or joined now; undefined where the signal came first. */
async function openFleet(
  options: NodeOptions,
  settings: NodeSettings,
  identity: Identity,
): Promise<Joined | undefined> {
  const { dataDir, joinToken, signal, log, coordinatorUrl } = options;
  const joined = await readJoined(dataDir);
  if (joined !== undefined) {
    const isOther =
      joinToken !== undefined && parseJoinToken(joinToken).pin !== fleetPin(joined.fleet);
    if (isOther) throw new DeployError("TRUST_OTHER_FLEET", { fleet: joined.fleet.fleet });
    return joined;
  }
  if (joinToken === undefined) throw new DeployError("JOIN_REQUIRED");
  for (let failureCount = 1; !signal.aborted; failureCount++) {
    try {
      return await joinFleet({
        dataDir,
        coordinatorUrl,
        joinToken,
        identity,
        name: options.name,
        localAddress: settings.ownAddress,
        nowMs: Date.now(),
        signal,
      });
    } catch (error) {
      if (signal.aborted) return undefined;
      if (!(error instanceof DeployError) || !error.retryable) throw error;
      log.warn({ err: error }, "join.failed");
      // Said once: a person who waits at the first start sees why, a log reader sees every try.
      const { problem } = error.details;
      if (failureCount === 1)
        options.onUnreachable?.({ problem: String(problem ?? error.message) });
      const delayMs = backoffMs(failureCount, Math.random());
      await pause(delayMs, undefined, { signal }).catch(() => undefined);
    }
  }
  return undefined;
}

// The kept port may have been taken meanwhile; any other is better than none.
async function startSwarm(
  dataDir: string,
  settings: NodeSettings,
  start: (listen: readonly string[]) => Promise<Swarm>,
): Promise<Swarm> {
  const listen = await listenAddresses(dataDir, settings.listen);
  try {
    return await start(listen);
  } catch (error) {
    if (settings.listen.port !== 0) throw error;
    return start(listen.map((address) => address.replace(/\/tcp\/\d+$/u, "/tcp/0")));
  }
}

function refusalSink(
  endpoint: EndpointId,
  outbox: Outbox,
  { log }: NodeOptions,
): (refusal: Refusal) => void {
  const desk = new RefusalDesk(endpoint, () => Date.now());
  return (refusal) => {
    const report = desk.reportOf(refusal);
    if (report === undefined) return;
    log.warn({ refusal }, "node.refused");
    outbox.post(report).catch((error: unknown) => log.error({ err: error }, "refusal.notKept"));
  };
}

async function programVersion(): Promise<string> {
  const text = await readFile(new URL("../package.json", import.meta.url), "utf8");
  const found: unknown = JSON.parse(text);
  const isVersioned = typeof found === "object" && found !== null && "version" in found;
  return isVersioned ? String(found.version).slice(0, 40) : "unknown";
}
