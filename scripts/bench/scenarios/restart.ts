/**
 * Scenario 8: all agents are killed in the middle and start again; the second time it is a power cut, which
 * leaves journals that end anywhere and fragments without their last bytes.
 */
import { until } from "../../../test/support/processes.ts";
import { Random } from "../../simulate/random.ts";
import { bestSeconds } from "../swarm/course.ts";
import type { Fault, FaultScene } from "../swarm/faults.ts";
import { placeOf, Stage, type Transfer } from "../swarm/stage.ts";
import { accountChecks, lineAccount } from "./line-account.ts";
import {
  LINE,
  atLeast,
  atMost,
  lineCheck,
  shown,
  timed,
  type Check,
  type Conditions,
  type Scenario,
} from "./scenario.ts";
import { tearDisk, type Torn } from "./torn-disk.ts";
import { badFiles, badFragments } from "./wrong-bytes.ts";

/** What is on its way when all die does not grow with the package: the bound is one for this size. */
const SIZE_BYTES = 100_000_000;
const AT_SHARE = 0.6;
const REFETCH_MAX = 0.01;
const FIRST_REQUEST_MAX_SECONDS = 5;
const FIRST_REQUEST_LIMIT_MS = 60_000;
/** More than a check-in and the first words with neighbours: one fragment of the middle size. */
const FLOWING_BYTES = 300_000;
const SEED = 8;
const START_COUNT = 50;
/** The kernel tells no one when a counter moves; a look costs nothing beside the seconds that are measured. */
const LOOK_MS = 100;

export const RESTART_SCENARIO: Scenario = {
  id: 8,
  title: "kill -9 of all agents at 60 %, and a power cut at 60 %; then all start again",
  run: async (conditions) => {
    const { peers, wan, lan } = conditions;
    const options = { sites: 1, agents: peers, wan, lan };
    await using stage = await Stage.open({ ...options, hasDp: false });
    const killed = await cut(stage, conditions, { word: "killed", ref: "scenario/killed@1" });
    const random = new Random(SEED);
    const torn: Torn[] = [];
    const tear = async (name: string): Promise<void> => {
      torn.push(await tearDisk(stage.fleet.nodeFolder(name), () => random.next()));
    };
    const order = { word: "power cut", ref: "scenario/power@1", tear };
    const powerless = await cut(stage, conditions, order);
    const first = await firstFragment(stage);
    // The last: a torn journal makes its node look again at all that it had before.
    const calm = await transferred(stage, "scenario/calm@1");
    const [kept, all] = [sumOf(torn, "keptBytes"), sumOf(torn, "journalBytes")];
    return [
      lineCheck("without any fault", { ...conditions, sizeBytes: SIZE_BYTES }, LINE, calm.transfer),
      ...[killed, powerless].flatMap(({ word, transfer, checks }) => {
        const twice = (lineBytes(transfer) - lineBytes(calm.transfer)) / SIZE_BYTES;
        const what = `${word}: line beyond that without a fault ÷ package`;
        return [atMost(what, REFETCH_MAX, twice), ...checks];
      }),
      first,
      atLeast("power cut: torn fragments, one of each agent", stage.agents.length, torn.length),
      shown("power cut: share of the journals that was left", kept / all),
      atMost("fragments that anybody refused", 0, (await badFragments(stage)).length),
    ];
  },
};

interface Cut {
  readonly word: string;
  readonly ref: string;
  /** What happens to the disk of each node while none runs. */
  readonly tear?: (name: string) => Promise<void>;
}

interface Outcome {
  readonly word: string;
  readonly transfer: Transfer;
  readonly checks: readonly Check[];
}

async function cut(
  stage: Stage,
  { wan, raw }: Conditions,
  { word, ref, tear }: Cut,
): Promise<Outcome> {
  const strike = async (scene: FaultScene): Promise<void> => {
    await Promise.all(scene.agents.map(async (name) => scene.fleet.nodes.get(name)?.kill()));
    // What was on its way when they died still drains over the line.
    await resting(async () => (await scene.lab.wanBytes(0)).down);
    for (const name of scene.agents) await tear?.(name);
    for (const name of scene.agents) await stage.startHost(name);
  };
  const faults = [{ atShare: AT_SHARE, strike }];
  const { transfer, path } = await transferred(stage, ref, faults);
  const checks = [
    atMost(`${word}: files with bad bytes`, 0, await badFiles(stage, ref, path)),
    ...accountChecks(await lineAccount(stage, ref), SIZE_BYTES),
    shown(`${word}: seconds from the order to the end`, transfer.wallSeconds),
    shown(`${word}: seconds that raw TCP needs`, bestSeconds(SIZE_BYTES, wan) * raw.time),
  ];
  return { word, transfer, checks };
}

/** One agent is killed and starts again: all at once would measure the two cores that they share. */
async function firstFragment(stage: Stage): Promise<Check> {
  const [name = ""] = stage.agents;
  const { site, host } = placeOf(name);
  const received = async (): Promise<number> => (await stage.lab.hostBytes(site, host)).down;
  const ref = "scenario/first@1";
  const sizeBytes = SIZE_BYTES / 5;
  await stage.publish(ref, sizeBytes);
  let seconds = Number.NaN;
  const strike = async ({ fleet }: FaultScene): Promise<void> => {
    await fleet.nodes.get(name)?.kill();
    const still = await resting(received);
    const begin = performance.now();
    await stage.startHost(name);
    await until(
      "a fragment for the restarted agent",
      FIRST_REQUEST_LIMIT_MS,
      async () => ((await received()) - still > FLOWING_BYTES ? true : undefined),
      LOOK_MS,
    );
    seconds = (performance.now() - begin) / 1000;
  };
  const order = { ref, sizeBytes, target: "all", names: stage.agents };
  const transfer = await stage.transfer({ ...order, faults: [{ atShare: 0.3, strike }] });
  const what = "one killed: seconds from its start to its first fragment";
  return timed(atMost(what, FIRST_REQUEST_MAX_SECONDS, seconds), transfer);
}

async function transferred(stage: Stage, ref: string, faults: readonly Fault[] = []) {
  const path = await stage.publish(ref, SIZE_BYTES);
  const order = { ref, sizeBytes: SIZE_BYTES, target: "all", names: stage.agents };
  return { path, transfer: await stage.transfer({ ...order, faults }) };
}

function lineBytes({ wanBytes }: Transfer): number {
  return wanBytes[0] ?? Number.NaN;
}

function sumOf(torn: readonly Torn[], name: "keptBytes" | "journalBytes"): number {
  return torn.reduce((sum, each) => sum + each[name], 0);
}

/** The counter's value once it no longer moves. */
async function resting(counter: () => Promise<number>): Promise<number> {
  let last = await counter();
  for (let count = 0; count < START_COUNT; count++) {
    await pause();
    const now = await counter();
    if (now === last) return now;
    last = now;
  }
  return last;
}

async function pause(): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, LOOK_MS);
  });
}
