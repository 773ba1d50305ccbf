/** Scenario 5: members of the office that flip bytes, truncate, and claim what they never send. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { sha256Of } from "../../../test/support/deployments.ts";
import type { Behaviour } from "../../../test/support/hostile-peer.ts";
import { PROJECT_FOLDER } from "../../../test/support/processes.ts";
import { bestSeconds } from "../swarm/course.ts";
import { Stage } from "../swarm/stage.ts";
import { atMost, type Check, type Scenario } from "./scenario.ts";

const REF = "scenario/noise@1";
const STORED = "scenario-noise-1";
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
    await using stage = await Stage.open({ ...options, wan, lan });
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
    const best = bestSeconds(sizeBytes, wan) * raw.time;
    return [
      atMost("files with bad bytes", 0, await badFiles(stage, path)),
      atMost("line ÷ raw TCP", 1.01, (transfer.wanBytes[0] ?? 0) / sizeBytes / raw.wan),
      atMost("time ÷ raw TCP", 1.03, transfer.seconds / best),
      await mostRefused(stage),
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

async function badFiles(stage: Stage, path: string): Promise<number> {
  const digest = await sha256Of(path);
  const stored = stage.agents.map((name) =>
    join(stage.fleet.nodeFolder(name), "store", STORED, `${STORED}.bin`),
  );
  const digests = await Promise.all(stored.map(sha256Of));
  return digests.filter((each) => each !== digest).length;
}

/** By the agents' own logs: how many bad fragments one of them took from one peer. */
async function mostRefused(stage: Stage): Promise<Check> {
  const counts: number[] = [];
  for (const name of stage.agents) {
    const log = (await stage.fleet.nodes.get(name)?.log()) ?? "";
    const byPeer = new Map<string, number>();
    for (const [, peer = ""] of log.matchAll(/peer (12D3\w+) sent bytes that do not match/gu)) {
      byPeer.set(peer, (byPeer.get(peer) ?? 0) + 1);
    }
    counts.push(...byPeer.values());
  }
  return atMost("bad fragments that one agent took from one peer", STRIKES, Math.max(0, ...counts));
}
