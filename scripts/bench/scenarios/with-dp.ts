/** Scenario 2: an office with a DP; beside it a DP that passes nothing on before it has all, and a star. */
import { bestSeconds } from "../swarm/course.ts";
import { runHttpDp } from "../swarm/http-dp.ts";
import { Stage } from "../swarm/stage.ts";
import { atMost, lineCheck, shown, timeCheck, timed, type Scenario } from "./scenario.ts";

const REF = "scenario/noise@1";
const LATER_REF = "scenario/forwarded@1";
/** The last peer may end so long after the DP's last byte. */
const TAIL_SECONDS = 0.5;

export const DP_SCENARIO: Scenario = {
  id: 2,
  title: "a DP; beside it store-and-forward, and a star of plain HTTP",
  run: async (conditions) => {
    const { peers, wan, lan, sizeBytes, raw } = conditions;
    const options = { sites: 1, agents: peers, wan, lan };
    await using stage = await Stage.open({ ...options, hasDp: true });
    const { agents } = stage;
    const [dp = ""] = stage.dps;
    await stage.publish(REF, sizeBytes);
    const order = { ref: REF, sizeBytes, target: "all", names: [...agents, dp] };
    const transfer = await stage.transfer(order);
    const forwardedSeconds = await storeAndForward(stage, dp, sizeBytes);
    const star = await runHttpDp({ ...conditions, sites: 1, hosts: peers });
    const best = bestSeconds(sizeBytes, wan) * raw.time;
    const { uploads, endOf } = transfer;
    const peerUploads = agents.map((name) => uploads.get(name) ?? 0);
    const lastPeer = Math.max(...agents.map((name) => endOf.get(name) ?? Number.NaN));
    const tailSeconds = lastPeer - (endOf.get(dp) ?? Number.NaN);
    return [
      lineCheck("all", conditions, { most: 1.06, strict: 1.005 }, transfer),
      timeCheck("all", conditions, { most: 1.08, strict: 1.03 }, transfer),
      timed(
        atMost("seconds from the DP's end to the last peer's", TAIL_SECONDS, tailSeconds),
        transfer,
      ),
      atMost("busiest peer's upload ÷ package", 2, Math.max(...peerUploads) / sizeBytes),
      shown("DP's upload ÷ package", (uploads.get(dp) ?? 0) / sizeBytes),
      shown("store-and-forward: time ÷ raw TCP", forwardedSeconds / best),
      shown("star: time ÷ raw TCP", star.time / raw.time),
    ];
  },
};

/** The DP has all before the others hear of it: the sum of both ways. */
async function storeAndForward(stage: Stage, dp: string, sizeBytes: number): Promise<number> {
  await stage.publish(LATER_REF, sizeBytes);
  const order = { ref: LATER_REF, sizeBytes };
  const stored = await stage.transfer({ ...order, target: `endpoint:${dp}`, names: [dp] });
  const forwarded = await stage.transfer({ ...order, target: "all", names: stage.agents });
  return stored.seconds + forwarded.seconds;
}
