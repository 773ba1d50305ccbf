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
import { CHECK_IN_PERIOD_MAX_MS } from "../protocol/limits.ts";
import type { LocationFacts } from "../protocol/location.ts";
import type { Placement } from "./actions/job-parts.ts";
import { nodeSettings, type NodeOptions, type NodeSettings } from "./config.ts";
import type { CacheKeeper } from "./content/cache-keeper.ts";
import { openJournalFile } from "./content/journal-file.ts";
import { Journal } from "./content/journal.ts";
import type { Origin, Refusal, Swarm } from "./content/ports.ts";
import { backoffMs, newsSpreadMs } from "./core/backoff.ts";
import { chooseDp } from "./core/choose-dp.ts";
import { openContent, type ContentRoom } from "./open-content.ts";
import { openJobs, type JobRoom } from "./open-jobs.ts";
import { createSwarm } from "./swarm/swarm.ts";
import { TrustStore } from "./trust/trust-store.ts";
import { CheckIn } from "./uplink/check-in.ts";
import { CoordinatorClock } from "./uplink/coordinator-clock.ts";
import { createCoordinatorClient, type CoordinatorClient } from "./uplink/coordinator-client.ts";
import { readFacts } from "./uplink/facts.ts";
import { readHost } from "./uplink/host-facts.ts";
import { openIdentity, type Identity } from "./uplink/identity.ts";
import { joinFleet, readJoined, type Joined } from "./uplink/join.ts";
import { LineProbe } from "./uplink/line-probe.ts";
import { keepPort, listenAddresses } from "./uplink/listen-port.ts";
import { Manners } from "./uplink/manners.ts";
import { manifestFetcher, openOrigin } from "./uplink/origin.ts";
import { Outbox } from "./uplink/outbox.ts";
import { RefusalDesk } from "./uplink/refusal-desk.ts";
import { Session } from "./uplink/session.ts";
import { readSystemFacts } from "./uplink/system-facts.ts";

/** Runs until the signal aborts. Throws DeployError where the node cannot start or go on. */
export async function runNode(options: NodeOptions): Promise<void> {
  const settings = nodeSettings(options);
  const { dataDir, signal } = options;
  await makeDataFolders(dataDir);
  const identity = await openIdentity(dataDir);
  const joined = await openFleet(options, settings, identity);
  if (joined === undefined) return;
  await using stack = new AsyncDisposableStack();
  const stop = new AbortController();
  const asked = { restart: false };
  const restartAgent = (): void => {
    asked.restart = true;
    stop.abort();
  };
  const membership = { identity, joined, restartAgent };
  const rooms = await openRooms(stack, options, settings, membership);
  const { swarm, driver, checkIn, outbox, trust, placing, cache, cycle } = rooms;
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
  const until = AbortSignal.any([signal, stop.signal]);
  const stopAll = (): void => stop.abort();
  // One that fails ends the others; all have ended before anything is closed.
  const loops = [driver.run(until), checkIn.run(until), outbox.run(until), cache.run(until)];
  loops.push(cycle.run(until));
  const ends = await Promise.allSettled(loops.map((loop) => loop.finally(stopAll)));
  options.log.info({}, "node.stopping");
  const failed = ends.find((end) => end.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  await stack.disposeAsync();
  if (asked.restart && !signal.aborted) options.onRestart?.();
}

interface Membership {
  readonly identity: Identity;
  readonly joined: Joined;
  readonly restartAgent: () => void;
}

interface Rooms extends JobRoom {
  readonly trust: TrustStore;
  readonly swarm: Swarm;
  readonly outbox: Outbox;
  readonly checkIn: CheckIn;
  readonly placing: Placing;
  readonly cache: CacheKeeper;
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
  const manners = openManners(base);
  const probe = stack.use(new LineProbe({ session, url, nowMs: () => performance.now(), log }));
  const fetchManifest = manifestFetcher(session, url);
  const content = await openContent(stack, { ...base, fetchManifest, now });
  const origin = await openOrigin(stack, { ...base, store: content.store, manners, probe });
  const swarm = stack.use(await openSwarm(base, content, { manners, origin }));
  content.tellLosses(swarm);
  const placing = new Placing(trust, swarm, settings);
  const late: { checkIn?: CheckIn } = {};
  const ask = async (within: AbortSignal): Promise<void> => late.checkIn?.now(within);
  const room = { ...base, ...jobSettings(membership, placing), checkIn: ask };
  const jobs = await openJobs(stack, room, swarm, content);
  const checkIn = await openCheckIn(base, {
    client,
    manners,
    cache: content.cache,
    swarm,
    placing,
    jobs,
  });
  late.checkIn = checkIn;
  session.onRenew(async (within) => checkIn.now(within));
  news.addEventListener("news", () => checkIn.soon());
  return { trust, swarm, outbox, ...jobs, checkIn, placing, cache: content.cache };
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

function jobSettings({ joined, restartAgent }: Membership, placing: Placing) {
  const clock = (): number => placing.clock.nowMs();
  return { name: joined.name, restartAgent, placement: () => placing.current, now, clock };
}

interface CheckInRooms {
  readonly client: CoordinatorClient;
  readonly manners: Manners;
  readonly cache: CacheKeeper;
  readonly swarm: Swarm;
  readonly placing: Placing;
  readonly jobs: JobRoom;
}

async function openCheckIn(
  base: BaseRooms,
  { client, manners, cache, swarm, placing, jobs }: CheckInRooms,
): Promise<CheckIn> {
  const { trust, settings, dataDir } = base;
  return new CheckIn({
    ...base,
    client,
    facts: async () => readFacts(settings.ownAddress),
    listen: () => swarm.addresses(),
    nodeVersion: await programVersion(),
    intervalMs: settings.checkInMs,
    newsSpreadMs: () => (isDp(trust) ? 0 : newsSpreadMs(trust.roster()?.peers.length ?? 0)),
    manners,
    system: async () => ({
      ...(await readSystemFacts(dataDir)),
      checkInMs: Math.min(settings.checkInMs, CHECK_IN_PERIOD_MAX_MS),
    }),
    cache,
    onAccepted: async (accepted, facts) => {
      manners.obey(trust.roster()?.policy);
      placing.clock.set();
      await placing.place(facts);
      jobs.driver.direct(accepted.instructions);
      await jobs.waker.wake(trust.roster()?.wakes ?? []);
    },
    now,
    random,
  });
}

/** What this node allows itself, by its own settings and the last known policy of its site. */
function openManners({ dataDir, settings, trust }: BaseRooms): Manners {
  const { ownAddress } = settings;
  const places = { sysDir: "/sys", procDir: "/proc", dataDir, ownAddress };
  const manners = new Manners({
    ...settings.manners,
    readHost: async () => readHost(places),
    isDp: () => isDp(trust),
    now,
  });
  manners.obey(trust.roster()?.policy);
  return manners;
}

function isDp(trust: TrustStore): boolean {
  return trust.membership()?.membership.role === "dp";
}

async function openSwarm(
  base: BaseRooms,
  { store }: ContentRoom,
  { manners, origin }: { readonly manners: Manners; readonly origin: Origin },
): Promise<Swarm> {
  const { onRefusal, trust } = base;
  const start = async (listen: readonly string[]): Promise<Swarm> =>
    createSwarm({
      seed: base.identity.seed,
      fleet: base.fleet,
      onNews: base.onNews,
      listen,
      store,
      origin,
      manners,
      verifyMembership: (envelope, peer) => trust.verifyMembership(envelope, peer, now()),
      onRefusal,
    });
  return startSwarm(base.dataDir, base.settings, start);
}

function now(): number {
  return Date.now();
}

function random(): number {
  return Math.random();
}

/** Where and when the node stands: by its own facts, before anything is fetched or run (BR-5, MYP-8). */
class Placing {
  /** The time in which the coordinator's conditions are written. */
  readonly clock: CoordinatorClock;
  readonly #trust: TrustStore;
  readonly #swarm: Swarm;
  readonly #settings: NodeSettings;
  #current: Placement = { site: undefined, dp: undefined };

  constructor(trust: TrustStore, swarm: Swarm, settings: NodeSettings) {
    this.#trust = trust;
    this.clock = new CoordinatorClock(() => trust.signedMs(), now);
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
    const { site, publicAddress } = roster;
    this.#current = { site, dp: dp?.endpoint, publicAddress };
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
