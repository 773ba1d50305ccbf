/** Branchline on the course: from the first node that acts to the last that holds everything. */
import { join } from "node:path";
import type { StatusJob } from "../../../protocol/operator-api.ts";
import { publish } from "../../../test/support/deployments.ts";
import { COORDINATOR_HOST, type Lab } from "../../../test/support/lab.ts";
import { Fleet, until, writeNoise } from "../../../test/support/processes.ts";
import { buildLab, cpuSecondsOf, figuresOf, wanDown, type Course, type Figures } from "./course.ts";

const REF = "bench/noise@1";
const CHECK_IN = "5s";
const LIMIT_MS = 600_000;
/** Every look at the status costs CPU that the contestants share. */
const LOOK_MS = 2000;

export async function runBranchline(course: Course, hasDp: boolean): Promise<Figures> {
  await using lab = await buildLab(course, hasDp ? 1 : 0);
  await using fleet = await Fleet.start({ host: COORDINATOR_HOST, prefix: lab.headOffice });
  const names = await startAll(fleet, lab, course);
  if (hasDp) await startDps(fleet, lab, course, names);
  const path = join(fleet.folder, "noise.bin");
  await writeNoise(path, course.sizeBytes, Date.now() % 1_000_000);
  await publish(fleet, REF, path, ["--action", "store", "--path", "noise"]);
  await fleet.command(["package", "activate", REF]);
  const pids = [...fleet.nodes.values()].map(({ pid }) => pid);
  const [cpuBefore, wanBefore] = [await cpuSecondsOf(pids), await wanDown(lab)];
  await fleet.command(["deploy", REF, "--to", "all"]);
  const jobs = await until("all endpoints", LIMIT_MS, async () => finished(fleet, names), LOOK_MS);
  const [cpuAfter, wanAfter] = [await cpuSecondsOf(pids), await wanDown(lab)];
  return figuresOf(course, {
    seconds: secondsOf(jobs),
    wanBytes: wanAfter.map((bytes, site) => bytes - (wanBefore[site] ?? 0)),
    cpuSeconds: cpuAfter - cpuBefore,
  });
}

async function startAll(fleet: Fleet, lab: Lab, course: Course): Promise<readonly string[]> {
  const names: string[] = [];
  for (let site = 0; site < course.sites; site++) {
    await fleet.command(["site", "create", `office${site}`, "--subnet", lab.subnet(site)]);
    for (let host = 0; host < course.hosts; host++) {
      names.push(await startHost(fleet, lab, site, host));
    }
  }
  await fleet.joined(names, LIMIT_MS);
  return names;
}

async function startDps(
  fleet: Fleet,
  lab: Lab,
  course: Course,
  names: readonly string[],
): Promise<void> {
  const dps: string[] = [];
  for (let site = 0; site < course.sites; site++) {
    dps.push(await startHost(fleet, lab, site, course.hosts));
  }
  await fleet.joined(dps);
  for (const dp of dps) await fleet.command(["dp", "enable", dp]);
  await until("the agents use their DP", 60_000, async () => {
    const { endpoints } = await fleet.status();
    const isUsed = endpoints.every(({ name, dp }) => !names.includes(name) || dp !== null);
    return isUsed ? true : undefined;
  });
}

async function startHost(fleet: Fleet, lab: Lab, site: number, host: number): Promise<string> {
  const name = `s${site}h${host}`;
  const listen = `${lab.address(site, host)}:4001`;
  const prefix = lab.host(site, host);
  await fleet.startNode({ name, site: `office${site}`, listen, prefix, checkIn: CHECK_IN });
  return name;
}

async function finished(
  fleet: Fleet,
  names: readonly string[],
): Promise<readonly StatusJob[] | undefined> {
  const { endpoints } = await fleet.status();
  const jobs = endpoints
    .filter(({ name }) => names.includes(name))
    .flatMap((endpoint) => endpoint.jobs);
  const isDone = jobs.length === names.length && jobs.every(({ state }) => state === "succeeded");
  return isDone ? jobs : undefined;
}

function secondsOf(jobs: readonly StatusJob[]): number {
  const instants = (wanted: string): readonly number[] =>
    jobs.flatMap(({ trace }) =>
      trace.filter(({ step }) => step === wanted).map(({ at }) => Date.parse(at)),
    );
  const begin = Math.min(...instants("manifestVerified"));
  const end = Math.max(...instants("contentFetched"));
  return (end - begin) / 1000;
}
