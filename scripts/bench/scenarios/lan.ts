/** Scenario 7: the DP has everything, the LAN is the limit; a star of plain HTTP beside it. */
import { bestSeconds } from "../swarm/course.ts";
import { runHttpDp } from "../swarm/http-dp.ts";
import { middleOf } from "../swarm/median.ts";
import { Stage } from "../swarm/stage.ts";
import { atLeast, atMost, shown, timed, type Scenario } from "./scenario.ts";

const REF = "scenario/noise@1";
const AGENTS = 8;
const LAN = "50mbit";
/** Not the limit here. */
const WAN = "1gbit";

export const LAN_SCENARIO: Scenario = {
  id: 7,
  title: `LAN only: the DP is full, ports of ${LAN}, ${AGENTS} peers`,
  run: async ({ sizeBytes }) => {
    await using stage = await Stage.open({
      sites: 1,
      agents: AGENTS,
      hasDp: true,
      wan: WAN,
      lan: LAN,
    });
    await stage.publish(REF, sizeBytes);
    const [dp = ""] = stage.dps;
    await stage.transfer({ ref: REF, sizeBytes, target: `endpoint:${dp}`, names: [dp] });
    const order = { ref: REF, sizeBytes, target: "all", names: stage.agents };
    const transfer = await stage.transfer(order);
    const { ownSeconds, uploads, seconds } = transfer;
    const best = bestSeconds(sizeBytes, LAN);
    const [middle, slowest] = [middleOf(ownSeconds), ownSeconds.at(-1) ?? Number.NaN];
    const star = await runHttpDp({ sites: 1, hosts: AGENTS, sizeBytes, wan: WAN, lan: LAN });
    return [
      timed(atLeast("median peer: port's best ÷ time", 0.8, best / middle), transfer),
      timed(atLeast("slowest peer: port's best ÷ time", 0.75, best / slowest), transfer),
      atMost("DP's upload ÷ package", 1.5, (uploads.get(dp) ?? 0) / sizeBytes),
      shown("all, from the first one's start: port's best ÷ time", best / seconds),
      shown("star: time ÷ port's best", (star.time * bestSeconds(sizeBytes, WAN)) / best),
    ];
  },
};
