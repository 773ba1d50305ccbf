/** A cell by real processes in network namespaces. */
import { bestSeconds, type Figures } from "../swarm/course.ts";
import { killing, type Fault } from "../swarm/faults.ts";
import { placeOf, Stage } from "../swarm/stage.ts";
import {
  CHECK_IN_SEC,
  inUnitsOfAverage,
  KILL_AT_SHARE,
  LAN_MBIT_PER_SEC,
  SLOW_MBIT_PER_SEC,
  struckCount,
  type Cell,
  type CellRun,
} from "./cell.ts";

const REF = "bench/noise@1";

export interface LabRun extends CellRun {
  /** The busiest core's share of busy time. */
  readonly coreShare: number;
  /** Of `wan`, what the origin's own books do not know as package content: all the messages. */
  readonly messages: number;
}

export async function runInLab(cell: Cell, raw: Figures): Promise<LabRun> {
  const { hosts, hasDp, sizeBytes, fault } = cell;
  const line = `${cell.wanMbitPerSec}mbit`;
  const options = { sites: 1, agents: hosts, wan: line, lan: `${LAN_MBIT_PER_SEC}mbit` };
  await using stage = await Stage.open({ ...options, hasDp, checkIn: `${CHECK_IN_SEC}s` });
  const struck = stage.agents.slice(0, struckCount(cell));
  const rest = stage.agents.slice(struck.length);
  if (fault === "slow") await slowDown(stage, struck);
  await stage.publish(REF, sizeBytes);
  const faults: readonly Fault[] = fault === "kill" ? [killing(KILL_AT_SHARE, () => struck)] : [];
  const names = fault === "kill" ? rest : stage.agents;
  const order = { ref: REF, sizeBytes, target: "all", names, faults };
  const before = await originBytes(stage);
  const { seconds, wanBytes, uploads, coreShare } = await stage.transfer(order);
  const wan = (wanBytes[0] ?? Number.NaN) / sizeBytes / raw.wan;
  const content = (await originBytes(stage)) - before;
  return {
    time: seconds / bestSeconds(sizeBytes, line) / raw.time,
    wan,
    messages: wan - content / sizeBytes,
    uploads: inUnitsOfAverage(names.map((name) => uploads.get(name) ?? 0)),
    coreShare,
  };
}

async function originBytes({ fleet }: Stage): Promise<number> {
  const { sites } = await fleet.status();
  return sites.reduce((sum, site) => sum + site.originBytes, 0);
}

async function slowDown(stage: Stage, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const { site, host } = placeOf(name);
    await stage.lab.limitUpload(site, host, `${SLOW_MBIT_PER_SEC}mbit`);
  }
}
