/** Scenario 5: members of the office that flip bytes, truncate, and claim what they never send. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Behaviour } from "../../../test/support/hostile-peer.ts";
import { PROJECT_FOLDER } from "../../../test/support/processes.ts";
import { bestSeconds } from "../swarm/course.ts";
import { Stage } from "../swarm/stage.ts";
import { atLeast, atMost, QUIET_CHECK_IN, timed, type Scenario } from "./scenario.ts";
import { badFiles, badFragments } from "./wrong-bytes.ts";

const REF = "scenario/noise@1";
const PROGRAM = join(PROJECT_FOLDER, "test/support/hostile-program.ts");
const BEHAVIOURS: readonly Behaviour["kind"][] = ["flips", "truncates", "silent"];
/** The second bad fragment of a peer bans it, at each of the others. */
const STRIKES = 2;

export const HOSTILE_SCENARIO: Scenario = {
  id: 5,
  title: "one peer flips a tenth of its fragments, one truncates, one claims all and sends none",
  run: async (conditions) => {
    const { peers, wan, lan, sizeBytes, raw } = conditions;
    const options = { sites: 1, agents: peers, hasDp: false, spares: BEHAVIOURS.length };
    await using stage = await Stage.open({ ...options, wan, lan, checkIn: QUIET_CHECK_IN });
    await using stack = new AsyncDisposableStack();
    for (const [at, kind] of BEHAVIOURS.entries()) {
      const child = await startHostile(stage, peers + at, kind);
      stack.defer(async () => {
        child.kill("SIGKILL");
        await once(child, "exit");
      });
    }
    const path = await stage.publish(REF, sizeBytes);
    const order = { ref: REF, sizeBytes, target: "all", names: stage.agents };
    const transfer = await stage.transfer(order);
    const refused = await badFragments(stage);
    const best = bestSeconds(sizeBytes, wan) * raw.time;
    return [
      atMost("files with bad bytes", 0, await badFiles(stage, REF, path)),
      atMost("line ÷ raw TCP", 1.01, (transfer.wanBytes[0] ?? 0) / sizeBytes / raw.wan),
      timed(atMost("time ÷ raw TCP", 1.03, transfer.seconds / best), transfer),
      atMost("bad fragments that one agent took from one peer", STRIKES, Math.max(0, ...refused)),
      atLeast("pairs in which one refused the other's fragment", 1, refused.length),
    ];
  },
};

async function startHostile(
  stage: Stage,
  host: number,
  kind: Behaviour["kind"],
): Promise<ChildProcess> {
  const { fleet, lab } = stage;
  const name = `hostile-${kind}`;
  const program = {
    url: fleet.url,
    dataFolder: fleet.dataFolder,
    nodeFolder: fleet.nodeFolder(name),
    token: await stage.joinToken(1),
    name,
    site: "office0",
    host: lab.address(0, host),
    behaviour: { kind },
  };
  const [file = "", ...rest] = lab.host(0, host);
  const words = [...rest, process.execPath, PROGRAM, JSON.stringify(program)];
  const child = spawn(file, words, {
    env: fleet.environment(),
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  return child;
}
