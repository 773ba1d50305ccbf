/** Branchline in the lab: offices, nodes, DPs, and measured transfers of packages made of noise. */
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Type } from "typebox";
import { parserOf } from "../../../protocol/json.ts";
import type { StatusJob } from "../../../protocol/operator-api.ts";
import { withCoreShare } from "../../../test/support/core-load.ts";
import { publish } from "../../../test/support/deployments.ts";
import { COORDINATOR_HOST, Lab, type LabOptions } from "../../../test/support/lab.ts";
import { Fleet, until, writeNoise } from "../../../test/support/processes.ts";
import { cpuSecondsOf, wanDown } from "./course.ts";
import { strikeAll, type Fault } from "./faults.ts";

/** Nodes check in every five minutes elsewhere: more often, their check-ins are what fills a slow line. */
const CHECK_IN_SEC = 30;
/** Check-ins come a little early or late. */
const CHECK_IN_SPREAD = 1.3;
const LIMIT_MS = 600_000;
/** What nodes say after a deployment is no part of the next. */
const REST_MS = 20_000;
/** Agents that have run for days have read and compiled what a deployment needs: a small package before. */
const FIRST_PACKAGE = { ref: "stage/first@1", sizeBytes: 1_000_000 };
/** Every look at the status costs CPU that the nodes need. */
const LOOK_MS = 2000;
const NODE_PORT = 4001;

const parseMadeToken = parserOf("the token", Type.Object({ token: Type.String() }));

export interface StageOptions extends Omit<LabOptions, "hosts"> {
  /** Agents per office. */
  readonly agents: number;
  readonly hasDp: boolean;
  /** Hosts of each office without a node, behind the agents and the DP. */
  readonly spares?: number;
  /** How often nodes check in by themselves. */
  readonly checkIn?: string;
  /** Packages give way to other traffic on the lines. */
  readonly isBackground?: boolean;
  /** Nothing was ever deployed to these nodes: what they measure first is the start of their programs, too. */
  readonly isFresh?: boolean;
}

export interface Order {
  readonly ref: string;
  readonly sizeBytes: number;
  /** As `deploy --to` takes it. */
  readonly target: string;
  /** Whose success ends the run. */
  readonly names: readonly string[];
  readonly faults?: readonly Fault[];
}

export interface Transfer {
  /**
   * From the first lease of an office, which the DP or the first node that acted on the order asks for at
   * once, to the last node that held everything, in the slowest office (distribution 6).
   */
  readonly seconds: number;
  /** From the first agent that acted to the DP that did, in the slowest office. */
  readonly newsSeconds: number;
  /** From the order on, as coarse as the looks at the status: for runs whose nodes start again. */
  readonly wallSeconds: number;
  /** Like `seconds`, for each that was waited for, in rising order. */
  readonly endSeconds: readonly number[];
  /** When each that was waited for had everything, by name, in the terms of `endSeconds`. */
  readonly endOf: ReadonlyMap<string, number>;
  /** What each needed from its own start on, in rising order: they hear of an order at different moments. */
  readonly ownSeconds: readonly number[];
  /** By office. */
  readonly wanBytes: readonly number[];
  /** Bytes that each host sent, by name. */
  readonly uploads: ReadonlyMap<string, number>;
  /** User and system time of all nodes and the coordinator. */
  readonly cpuSeconds: number;
  /** The busiest core's share of busy time from the order to the end. */
  readonly coreShare: number;
  readonly jobs: readonly StatusJob[];
}

interface JobOf {
  readonly name: string;
  readonly job: StatusJob;
}

export class Stage implements AsyncDisposable {
  readonly lab: Lab;
  readonly fleet: Fleet;
  readonly agents: readonly string[];
  readonly dps: readonly string[];
  readonly #options: StageOptions;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    options: StageOptions,
    stack: AsyncDisposableStack,
    parts: { readonly lab: Lab; readonly fleet: Fleet },
  ) {
    this.#options = options;
    this.#stack = stack;
    this.lab = parts.lab;
    this.fleet = parts.fleet;
    const sites = Array.from({ length: options.sites }, (_none, site) => site);
    const hosts = Array.from({ length: options.agents }, (_none, host) => host);
    this.agents = sites.flatMap((site) => hosts.map((host) => nameOf(site, host)));
    this.dps = options.hasDp ? sites.map((site) => nameOf(site, options.agents)) : [];
  }

  /** Everything is up, joined and knows its DP. */
  static async open(options: StageOptions): Promise<Stage> {
    await using stack = new AsyncDisposableStack();
    const hosts = options.agents + (options.hasDp ? 1 : 0) + (options.spares ?? 0);
    const lab = stack.use(await Lab.build({ ...options, hosts }));
    const fleet = stack.use(await Fleet.start({ host: COORDINATOR_HOST, prefix: lab.headOffice }));
    const stage = new Stage(options, stack.move(), { lab, fleet });
    try {
      await stage.#start();
    } catch (cause) {
      await stage[Symbol.asyncDispose]();
      throw cause;
    }
    return stage;
  }

  /** Starts a host of the stage, or starts it again. */
  async startHost(name: string): Promise<void> {
    const { site, host } = placeOf(name);
    await this.fleet.startNode({
      name,
      site: officeOf(site),
      listen: `${this.lab.address(site, host)}:${NODE_PORT}`,
      prefix: this.lab.host(site, host),
      checkIn: this.#options.checkIn ?? `${CHECK_IN_SEC}s`,
    });
  }

  /** A join token of the first office. */
  async joinToken(uses: number): Promise<string> {
    const words = ["token", "create", "--site", officeOf(0), "--uses", String(uses)];
    return parseMadeToken(await this.fleet.json(words)).token;
  }

  /** Publishes and activates noise; nobody gets it yet. */
  async publish(ref: string, sizeBytes: number): Promise<string> {
    const name = ref.replaceAll(/[^a-z0-9]/gu, "-");
    const path = join(this.fleet.folder, `${name}.bin`);
    await writeNoise(path, sizeBytes, Date.now() % 1_000_000);
    await publish(this.fleet, ref, path, ["--action", "store", "--path", name]);
    await this.fleet.command(["package", "activate", ref]);
    return path;
  }

  /** Deploys what was published and measures until all `names` have it. */
  async transfer(order: Order): Promise<Transfer> {
    const before = await this.#counters();
    const over = new AbortController();
    const progress = async (): Promise<number> =>
      ((await this.lab.wanBytes(0)).down - (before.wan[0] ?? 0)) / order.sizeBytes;
    const orderedMs = Date.now();
    await this.fleet.command(["deploy", order.ref, "--to", order.target]);
    const begin = performance.now();
    const striking = strikeAll(order.faults ?? [], this, progress, over.signal);
    const isDone = async () => this.#doneJobs(order.ref, order.names);
    try {
      const { value: done, coreShare } = await withCoreShare(async () =>
        until(`${order.ref} everywhere`, LIMIT_MS, isDone, LOOK_MS),
      );
      const after = await this.#counters();
      const hosts = [...this.agents, ...this.dps];
      return {
        ...timesOf(done, await this.#dpBegins(order, orderedMs)),
        wallSeconds: (performance.now() - begin) / 1000,
        coreShare,
        jobs: done.map(({ job }) => job),
        wanBytes: after.wan.map((bytes, site) => bytes - (before.wan[site] ?? 0)),
        uploads: new Map(
          hosts.map((name, at) => [name, (after.up[at] ?? 0) - (before.up[at] ?? 0)]),
        ),
        cpuSeconds: after.cpuSeconds - before.cpuSeconds,
      };
    } finally {
      over.abort();
      await striking;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A frozen process hears no other signal.
    for (const { pid, isRunning } of this.fleet.nodes.values()) {
      if (isRunning) process.kill(pid, "SIGCONT");
    }
    await this.#stack.disposeAsync();
  }

  async #start(): Promise<void> {
    const { sites, isBackground } = this.#options;
    for (let site = 0; site < sites; site++) {
      const subnet = ["--subnet", this.lab.subnet(site)];
      await this.fleet.command(["site", "create", officeOf(site), ...subnet]);
      if (isBackground !== true) continue;
      await this.fleet.command(["site", "limit", officeOf(site), "--background"]);
    }
    const names = [...this.agents, ...this.dps];
    for (const name of names) await this.startHost(name);
    await this.fleet.joined(names, LIMIT_MS);
    await this.#enableDps();
    if (this.#options.isFresh !== true) await this.#deployFirst();
    // Whoever joined first hears who else is there at its next check-in: no part of a later transfer.
    else await pause(CHECK_IN_SEC * CHECK_IN_SPREAD * 1000);
  }

  async #deployFirst(): Promise<void> {
    const { ref, sizeBytes } = FIRST_PACKAGE;
    await this.publish(ref, sizeBytes);
    // Whoever is started on a spare host later is not to fetch it, too.
    const { spares = 0 } = this.#options;
    const targets = spares === 0 ? ["all"] : this.agents.map((name) => `endpoint:${name}`);
    for (const target of targets) await this.fleet.command(["deploy", ref, "--to", target]);
    await until(ref, LIMIT_MS, async () => this.#doneJobs(ref, this.agents), LOOK_MS);
    await pause(REST_MS);
  }

  async #enableDps(): Promise<void> {
    if (this.dps.length === 0) return;
    for (const dp of this.dps) await this.fleet.command(["dp", "enable", dp]);
    await until("the agents use their DP", LIMIT_MS, async () => {
      const { endpoints } = await this.fleet.status();
      const isUsed = endpoints.every(({ name, dp }) => !this.agents.includes(name) || dp !== null);
      return isUsed ? true : undefined;
    });
  }

  async #doneJobs(ref: string, names: readonly string[]): Promise<readonly JobOf[] | undefined> {
    const { endpoints } = await this.fleet.status();
    const found = endpoints
      .filter(({ name }) => names.includes(name))
      .flatMap(({ name, jobs }) => jobs.map((job) => ({ name, job })))
      .filter(({ job }) => `${job.package}@${job.version}` === ref);
    const failed = found.find(({ job }) => job.state === "failed");
    if (failed !== undefined) throw new Error(`${ref} failed: ${JSON.stringify(failed)}`);
    const isDone =
      found.length === names.length && found.every(({ job }) => job.state === "succeeded");
    return isDone ? found : undefined;
  }

  /** In seconds, of DPs that did not have the package before. */
  async #dpBegins({ ref }: Order, orderedMs: number): Promise<ReadonlyMap<number, number>> {
    const { endpoints } = await this.fleet.status();
    const begins = endpoints
      .filter(({ name }) => this.dps.includes(name))
      .flatMap(({ name, jobs }) => jobs.map((job) => [placeOf(name).site, job] as const))
      .filter(([, job]) => `${job.package}@${job.version}` === ref)
      .map(([site, job]) => [site, stepAt(job, "manifestVerified")] as const);
    return new Map(begins.filter(([, begin]) => begin * 1000 >= orderedMs));
  }

  async #counters() {
    const nodes = [...this.fleet.nodes.values()].filter(({ isRunning }) => isRunning);
    const pids = [...nodes.map(({ pid }) => pid), this.fleet.coordinator?.pid ?? -1];
    const places = [...this.agents, ...this.dps].map(placeOf);
    const ports = await Promise.all(
      places.map(async ({ site, host }) => this.lab.hostBytes(site, host)),
    );
    return {
      wan: await wanDown(this.lab),
      up: ports.map(({ up }) => up),
      cpuSeconds: await cpuSecondsOf(pids),
    };
  }
}

function officeOf(site: number): string {
  return `office${site}`;
}

function nameOf(site: number, host: number): string {
  return `s${site}h${host}`;
}

export function placeOf(name: string): { readonly site: number; readonly host: number } {
  const found = /^s(\d+)h(\d+)$/u.exec(name);
  if (found === null) throw new Error(`no host ${name}`);
  return { site: Number(found[1]), host: Number(found[2]) };
}

type Times = Pick<Transfer, "seconds" | "newsSeconds" | "endSeconds" | "endOf" | "ownSeconds">;

/** `dpBegins`: when the DP of each office that has one acted on the order. */
function timesOf(done: readonly JobOf[], dpBegins: ReadonlyMap<number, number>): Times {
  const spans = done.map(({ name, job }) => {
    return { name, begin: stepAt(job, "manifestVerified"), end: stepAt(job, "contentFetched") };
  });
  const offices = Map.groupBy(spans, ({ name }) => placeOf(name).site);
  const endOf = new Map(
    [...offices].flatMap(([site, office]) => {
      const begin = dpBegins.get(site) ?? firstOf(office);
      return office.map(({ name, end }) => [name, end - begin] as const);
    }),
  );
  const newsOf = ([site, office]: readonly [number, readonly { begin: number }[]]): number =>
    Math.max(0, (dpBegins.get(site) ?? 0) - firstOf(office));
  const endSeconds = rising([...endOf.values()]);
  const ownSeconds = rising(spans.map((span) => span.end - span.begin));
  const newsSeconds = Math.max(...[...offices].map(newsOf));
  return { seconds: endSeconds.at(-1) ?? Number.NaN, newsSeconds, endSeconds, endOf, ownSeconds };
}

function firstOf(spans: readonly { readonly begin: number }[]): number {
  return Math.min(...spans.map(({ begin }) => begin));
}

function stepAt({ trace }: StatusJob, wanted: string): number {
  return Date.parse(trace.find(({ step }) => step === wanted)?.at ?? "") / 1000;
}

function rising(values: readonly number[]): readonly number[] {
  return values.toSorted((one, other) => one - other);
}
