/** Scenario 5: a third of the office flips bytes, truncates, or claims what it never sends. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Behaviour } from "../../../test/support/hostile-peer.ts";
import { PROJECT_FOLDER } from "../../../test/support/processes.ts";
import { Stage } from "../swarm/stage.ts";
import { accountChecks, lineAccount, sentAgainBytes } from "./line-account.ts";
import { atLeast, atMost, lineCheck, timeCheck, type Scenario } from "./scenario.ts";
import { badFiles, badFragments } from "./wrong-bytes.ts";

const REF = "scenario/noise@1";
const PROGRAM = join(PROJECT_FOLDER, "test/support/hostile-program.ts");
const BEHAVIOURS = [
  { kind: "flips" },
  { kind: "truncates" },
  { kind: "silent" },
] as const satisfies readonly Behaviour[];
/** What it says is no part of what is measured; it must hear of the package while that is on its way. */
const CHECK_IN_MS = 15_000;
/** The second bad fragment of a peer bans it, at each of the others. */
const STRIKES = 2;

export const HOSTILE_SCENARIO: Scenario = {
  id: 5,
  title:
    "a third of the peers: some flip a tenth of their fragments, some truncate, some send none",
  run: async (conditions) => {
    const { peers, wan, lan, sizeBytes } = conditions;
    const count = Math.max(BEHAVIOURS.length, Math.round(peers / 3));
    const options = { sites: 1, agents: peers - count, hasDp: false, spares: count };
    await using stage = await Stage.open({ ...options, wan, lan });
    await using stack = new AsyncDisposableStack();
    for (let at = 0; at < count; at++) {
      const child = await startHostile(stage, options.agents + at, at);
      stack.defer(async () => {
        child.kill("SIGKILL");
        await once(child, "exit");
      });
    }
    const path = await stage.publish(REF, sizeBytes);
    const order = { ref: REF, sizeBytes, target: "all", names: stage.agents };
    const transfer = await stage.transfer(order);
    const refused = await badFragments(stage);
    const account = await lineAccount(stage, REF);
    return [
      atMost("files with bad bytes", 0, await badFiles(stage, REF, path)),
      atMost("fetched again over the line ÷ package", 0, sentAgainBytes(account) / sizeBytes),
      ...accountChecks(account, sizeBytes),
      atMost("bad fragments that one agent took from one peer", STRIKES, Math.max(0, ...refused)),
      atLeast("pairs in which one refused the other's fragment", 1, refused.length),
      lineCheck("all", conditions, { most: 1.06, strict: 1.01 }, transfer),
      timeCheck("all", conditions, { most: 1.08, strict: 1.03 }, transfer),
    ];
  },
};

async function startHostile(stage: Stage, host: number, at: number): Promise<ChildProcess> {
  const { fleet, lab } = stage;
  const behaviour = BEHAVIOURS[at % BEHAVIOURS.length] ?? BEHAVIOURS[0];
  const name = `hostile-${at}-${behaviour.kind}`;
  const program = {
    url: fleet.url,
    dataFolder: fleet.dataFolder,
    nodeFolder: fleet.nodeFolder(name),
    token: await stage.joinToken(1),
    name,
    site: "office0",
    host: lab.address(0, host),
    behaviour,
    intervalMs: CHECK_IN_MS,
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
