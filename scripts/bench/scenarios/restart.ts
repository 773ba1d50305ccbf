/** Scenario 8: kill -9 of all agents in the middle, then all start again. */
import { bestSeconds } from "../swarm/course.ts";
import type { FaultScene } from "../swarm/faults.ts";
import { Stage } from "../swarm/stage.ts";
import { atMost, shown, type Scenario } from "./scenario.ts";

const REF = "scenario/noise@1";
const AT_SHARE = 0.6;
const START_COUNT = 50;
const LOOK_MS = 100;

export const RESTART_SCENARIO: Scenario = {
  id: 8,
  title: "kill -9 of all agents at 60 %, then all start again",
  run: async ({ peers, wan, lan, sizeBytes, raw }) => {
    await using stage = await Stage.open({ sites: 1, agents: peers, hasDp: false, wan, lan });
    await stage.publish(REF, sizeBytes);
    let firstRequestSeconds = Number.NaN;
    const strike = async ({ fleet, agents, lab }: FaultScene): Promise<void> => {
      await Promise.all(agents.map(async (name) => fleet.nodes.get(name)?.kill()));
      // What was on its way when they died still drains over the line.
      const still = await resting(async () => (await lab.wanBytes(0)).down);
      const begin = performance.now();
      for (const name of agents) await stage.startHost(name);
      const isFlowing = async (): Promise<boolean> =>
        (await lab.wanBytes(0)).down - still > 1_000_000;
      while (!(await isFlowing())) await pause();
      firstRequestSeconds = (performance.now() - begin) / 1000;
    };
    const order = { ref: REF, sizeBytes, target: "all", names: stage.agents };
    const faults = [{ atShare: AT_SHARE, strike }];
    const transfer = await stage.transfer({ ...order, faults });
    const wanRatio = (transfer.wanBytes[0] ?? 0) / sizeBytes / raw.wan;
    return [
      atMost("fetched twice ÷ package", 0.01, wanRatio - 1),
      atMost("seconds from the restart to the first megabyte on the line", 5, firstRequestSeconds),
      atMost("files missing", 0, stage.agents.length - transfer.endSeconds.length),
      shown("seconds from the order to the end", transfer.wallSeconds),
      shown("seconds that raw TCP needs", bestSeconds(sizeBytes, wan) * raw.time),
    ];
  },
};

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
