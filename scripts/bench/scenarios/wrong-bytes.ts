/** Whether anything wrong was installed or sent in a run: by the files on disk, and by the agents' own logs. */
import { join } from "node:path";
import { sha256Of } from "../../../test/support/deployments.ts";
import type { Stage } from "../swarm/stage.ts";

/** How many agents have other bytes in their store than what was published as `ref` from `path`. */
export async function badFiles(stage: Stage, ref: string, path: string): Promise<number> {
  const digest = await sha256Of(path);
  const name = ref.replaceAll(/[^a-z0-9]/gu, "-");
  const stored = stage.agents.map((agent) =>
    join(stage.fleet.nodeFolder(agent), "store", name, `${name}.bin`),
  );
  const digests = await Promise.all(stored.map(sha256Of));
  return digests.filter((each) => each !== digest).length;
}

/** How many bad fragments one agent took from one peer, for each pair where that happened. */
export async function badFragments(stage: Stage): Promise<readonly number[]> {
  const counts: number[] = [];
  for (const name of stage.agents) {
    const log = (await stage.fleet.nodes.get(name)?.log()) ?? "";
    const byPeer = new Map<string, number>();
    for (const [, peer = ""] of log.matchAll(/peer (12D3\w+) sent bytes that do not match/gu)) {
      byPeer.set(peer, (byPeer.get(peer) ?? 0) + 1);
    }
    counts.push(...byPeer.values());
  }
  return counts;
}
