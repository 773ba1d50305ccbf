/** A fleet in the lab: the coordinator in the head office, nodes on hosts of the branch offices. */
import { join } from "node:path";
import type { StatusJob } from "../../protocol/operator-api.ts";
import { CORE_SHARE_MAX, withCoreShare } from "../support/core-load.ts";
import { publish } from "../support/deployments.ts";
import { COORDINATOR_HOST, Lab, labRefusal } from "../support/lab.ts";
import { Fleet, until, writeNoise } from "../support/processes.ts";

export const WAN = "20mbit";
export const WAN_BYTES_PER_SECOND = 20_000_000 / 8;
export const PACKAGE_BYTES = 25_000_000;

const NODE_PORT = 4001;
/** Eight nodes that ask this often use about one per cent of the line. */
const CHECK_IN = "1s";
const TRANSFER_LIMIT_MS = 150_000;
/** Every look starts a process; the instants come from the nodes, so looking rarely loses nothing. */
const LOOK_MS = 2000;

/** Set where the lab cannot run here; said once per file, because a silent skip looks like success. */
export const refusal = await labRefusal();
if (refusal !== undefined) process.stderr.write(`the lab is skipped: ${refusal}\n`);

export interface Transfer {
  /** What the package needs on a line: the sum of its fragments. */
  readonly wireBytes: number;
  /** Bytes that came in over each office's line meanwhile, headers and check-ins included. */
  readonly wanBytes: readonly number[];
  /** From the first node that acted on the order to the last that held everything. */
  readonly seconds: number;
  /** The busiest core's share of busy time meanwhile. */
  readonly coreShare: number;
  readonly jobs: readonly StatusJob[];
}

/** One office behind a slow line, its agents joined, with one more host that may become its DP. */
export interface Office extends AsyncDisposable {
  readonly lab: Lab;
  readonly fleet: Fleet;
  readonly agents: readonly string[];
}

export async function startOffice(agentCount: number): Promise<Office> {
  await using parts = new AsyncDisposableStack();
  const lab = parts.use(await Lab.build({ sites: 1, hosts: agentCount + 1, wan: WAN }));
  const fleet = parts.use(await startHeadOffice(lab));
  await addOffice(fleet, lab, 0);
  const agents = await startHosts(fleet, lab, 0, agentCount);
  const owned = parts.move();
  return { lab, fleet, agents, [Symbol.asyncDispose]: async () => owned.disposeAsync() };
}

/** Makes the office's spare host its DP, and waits until every agent uses it. */
export async function startDp({ lab, fleet, agents }: Office): Promise<string> {
  const dp = await startHost(fleet, lab, 0, agents.length);
  await fleet.joined([dp]);
  await fleet.command(["dp", "enable", dp]);
  await until("the agents use the DP", 30_000, async () => {
    const { endpoints } = await fleet.status();
    const users = endpoints.filter((endpoint) => endpoint.dp === dp);
    return users.length >= agents.length ? true : undefined;
  });
  return dp;
}

export function officeName(site: number): string {
  return `office${site}`;
}

export function hostName(site: number, host: number): string {
  return `s${site}h${host}`;
}

/** `coordinatorFlags` are more flags of `branchline coordinator`. */
export async function startHeadOffice(
  lab: Lab,
  coordinatorFlags: readonly string[] = [],
): Promise<Fleet> {
  return Fleet.start({ host: COORDINATOR_HOST, prefix: lab.headOffice, coordinatorFlags });
}

export async function addOffice(fleet: Fleet, lab: Lab, site: number): Promise<void> {
  await fleet.command(["site", "create", officeName(site), "--subnet", lab.subnet(site)]);
}

/** Starts, or starts again, a node on a host of the lab. */
export async function startHost(
  fleet: Fleet,
  lab: Lab,
  site: number,
  host: number,
): Promise<string> {
  const name = hostName(site, host);
  await fleet.startNode({
    name,
    site: officeName(site),
    listen: `${lab.address(site, host)}:${NODE_PORT}`,
    prefix: lab.host(site, host),
    checkIn: CHECK_IN,
  });
  return name;
}

/** Starts `count` nodes of an office and waits until they have checked in. */
export async function startHosts(
  fleet: Fleet,
  lab: Lab,
  site: number,
  count: number,
): Promise<readonly string[]> {
  const names: string[] = [];
  for (let host = 0; host < count; host++) names.push(await startHost(fleet, lab, site, host));
  await fleet.joined(names);
  return names;
}

/** Publishes and activates a package that cannot be compressed; nobody gets it yet. */
export async function publishNoise(
  fleet: Fleet,
  ref: string,
  sizeBytes: number,
  seed: number,
): Promise<void> {
  const path = join(fleet.folder, `noise-${seed}.bin`);
  await writeNoise(path, sizeBytes, seed);
  await publish(fleet, ref, path, ["--action", "store", "--path", `noise-${seed}`]);
  await fleet.command(["package", "activate", ref]);
}

/** Ends when `sizeBytes` have come in over the line of the first office. */
type Crossed = (sizeBytes: number) => Promise<void>;

/** Deploys and waits until all `names` have succeeded. `during` runs while the bytes are on the way. */
export async function transfer(
  fleet: Fleet,
  lab: Lab,
  order: { readonly ref: string; readonly target: string; readonly names: readonly string[] },
  during: (crossed: Crossed) => Promise<void> = async () => {},
): Promise<Transfer> {
  const before = await wanDown(lab);
  await fleet.command(["deploy", order.ref, "--to", order.target]);
  const { value: status, coreShare } = await withCoreShare(async () => {
    await during(async (sizeBytes) => crossedSince(lab, before[0] ?? 0, sizeBytes));
    const isEverywhere = async () => {
      const seen = await fleet.status();
      const jobs = jobsOf(seen, order);
      const isDone = jobs.length === order.names.length && jobs.every(isSucceeded);
      return isDone ? seen : undefined;
    };
    return until(`${order.ref} everywhere`, TRANSFER_LIMIT_MS, isEverywhere, LOOK_MS);
  });
  const after = await wanDown(lab);
  const jobs = jobsOf(status, order);
  const published = status.packages.find((each) => `${each.name}@${each.version}` === order.ref);
  return {
    wireBytes: published?.wireBytes ?? NaN,
    wanBytes: after.map((bytes, site) => bytes - (before[site] ?? 0)),
    seconds: secondsOf(jobs),
    coreShare,
    jobs,
  };
}

export function printFigures(what: string, transferred: Transfer): void {
  const { wireBytes, wanBytes, seconds, coreShare } = transferred;
  const best = wireBytes / WAN_BYTES_PER_SECOND;
  const ratios = wanBytes.map((bytes) => `${(bytes / wireBytes).toFixed(3)} x`).join(", ");
  process.stdout.write(
    `lab: ${what}: line ${ratios} of ${(wireBytes / 1e6).toFixed(1)} MB, ` +
      `last endpoint after ${seconds.toFixed(1)} s = ${(seconds / best).toFixed(2)} x the line's best` +
      `${coreShare > CORE_SHARE_MAX ? ", bound by the machine:" : ","} ` +
      `the busiest core ${Math.round(coreShare * 100)} % busy\n`,
  );
}

/** What the line of `site` carried, as a multiple of the package. */
export function wanRatio({ wireBytes, wanBytes }: Transfer, site = 0): number {
  return (wanBytes[site] ?? NaN) / wireBytes;
}

/**
 * Time as a multiple of what the line needs for one copy. `undefined` when a core was too busy for any time
 * to count (distribution 6), which is the case on a machine that does something else as well.
 */
export function validTimeRatio(transferred: Transfer): number | undefined {
  const { wireBytes, seconds, coreShare } = transferred;
  if (coreShare > CORE_SHARE_MAX) return undefined;
  return seconds / (wireBytes / WAN_BYTES_PER_SECOND);
}

async function crossedSince(lab: Lab, startBytes: number, sizeBytes: number): Promise<void> {
  await until(`${sizeBytes} bytes have crossed the line`, 60_000, async () => {
    const { down } = await lab.wanBytes(0);
    return down - startBytes > sizeBytes ? true : undefined;
  });
}

async function wanDown(lab: Lab): Promise<readonly number[]> {
  const sites = Array.from({ length: lab.options.sites }, (_none, site) => site);
  return Promise.all(sites.map(async (site) => (await lab.wanBytes(site)).down));
}

function jobsOf(
  status: Awaited<ReturnType<Fleet["status"]>>,
  order: { readonly ref: string; readonly names: readonly string[] },
): readonly StatusJob[] {
  return status.endpoints
    .filter(({ name }) => order.names.includes(name))
    .flatMap(({ jobs }) => jobs.filter((job) => `${job.package}@${job.version}` === order.ref));
}

function isSucceeded({ state }: StatusJob): boolean {
  return state === "succeeded";
}

function secondsOf(jobs: readonly StatusJob[]): number {
  const instants = (steps: readonly string[]): readonly number[] =>
    jobs.flatMap(({ trace }) =>
      trace.filter(({ step }) => steps.includes(step)).map(({ at }) => Date.parse(at)),
    );
  const begin = Math.min(...instants(["location", "manifestVerified"]));
  const end = Math.max(...instants(["contentFetched"]));
  return (end - begin) / 1000;
}
