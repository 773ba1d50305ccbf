/**
 * The endpoint of the bench `large` is killed in the middle of its work and starts again: how long until it
 * says a word, and how much of the package crosses the line a second time.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { ApiClient } from "../../../coordinator/cli/api-client.ts";
import { readEnvironment } from "../../../coordinator/cli/config.ts";
import { findConnection } from "../../../coordinator/cli/context.ts";
import { outputOf, until, type Fleet, type Program } from "../../../test/support/processes.ts";

const PHASES = ["fetch", "assemble"] as const;
/** A look at all fragments is a process of its own. */
const FETCH_LOOK_MS = 200;
const LOOK_MS = 20;
const PHASE_LIMIT_MS = 3_600_000;
const FIRST_REQUEST_LIMIT_MS = 60_000;

/** When that much of the package is on the disk as fragments, or in the file that is made of them. */
export interface KillAt {
  readonly phase: (typeof PHASES)[number];
  readonly share: number;
}

/** Of `fetch:60`, in percent. Throws TypeError. */
export function parseKillAt(text: string): KillAt {
  const [, phase, percent] = /^(\w+):(\d{1,2})$/u.exec(text) ?? [];
  const known = PHASES.find((each) => each === phase);
  if (known === undefined || percent === undefined) {
    throw new TypeError(`--kill-at ${text}: expected fetch:PERCENT or assemble:PERCENT`);
  }
  return { phase: known, share: Number(percent) / 100 };
}

export interface KillPlan {
  readonly killAt: KillAt;
  readonly name: string;
  /** Path of the file below the folder of the package, and of that below the endpoint's store. */
  readonly file: readonly [folder: string, file: string];
  readonly sizeBytes: number;
  readonly start: () => Promise<Program>;
}

export interface Killed {
  readonly agent: Program;
  /** From its start again to the first request that the coordinator takes from it. */
  readonly firstRequestSeconds: number;
}

export async function killed(fleet: Fleet, plan: KillPlan): Promise<Killed> {
  const { killAt, name, sizeBytes } = plan;
  const wantedBytes = killAt.share * sizeBytes;
  const isFetch = killAt.phase === "fetch";
  const reached = isFetch ? fetchedBytes : assembledBytes;
  await until(
    `${killAt.phase} at ${killAt.share * 100} %`,
    PHASE_LIMIT_MS,
    async () => ((await reached(fleet.nodeFolder(name), plan)) >= wantedBytes ? true : undefined),
    isFetch ? FETCH_LOOK_MS : LOOK_MS,
  );
  await fleet.nodes.get(name)?.kill();
  await using client = await operatorClient(fleet);
  const beginMs = Date.now();
  const agent = await plan.start();
  const seenMs = await until(
    "a request of the endpoint that was killed",
    FIRST_REQUEST_LIMIT_MS,
    async () => {
      const { endpoints } = await client.status();
      const { lastSeen } = endpoints.find((endpoint) => endpoint.name === name) ?? {};
      const atMs = Date.parse(lastSeen ?? "");
      return atMs > beginMs ? atMs : undefined;
    },
    LOOK_MS,
  );
  return { agent, firstRequestSeconds: (seenMs - beginMs) / 1000 };
}

/** Bytes over the line beyond one copy, over the package's; the coordinator's own account. */
export async function refetchedShare(fleet: Fleet): Promise<number> {
  await using client = await operatorClient(fleet);
  const [site] = (await client.traffic({})).sites;
  if (site === undefined) throw new Error("nothing crossed the line");
  return site.ratio - 1;
}

async function operatorClient(fleet: Fleet): Promise<ApiClient> {
  const connection = await findConnection({ data: fleet.dataFolder }, readEnvironment());
  return new ApiClient(connection, AbortSignal.timeout(FIRST_REQUEST_LIMIT_MS));
}

async function fetchedBytes(folder: string): Promise<number> {
  const { stdout } = await outputOf("du", ["-s", "--block-size=1", join(folder, "fragments")]);
  return Number(stdout.split("\t")[0]);
}

async function assembledBytes(folder: string, { file }: KillPlan): Promise<number> {
  const path = join(folder, "store", `.${file[0]}.incoming`, file[1]);
  const found = await stat(path).catch(() => undefined);
  return found?.size ?? 0;
}
