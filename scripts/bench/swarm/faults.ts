/** Something that happens to the machines of a run once a share of the package has come over the line. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Lab } from "../../../test/support/lab.ts";
import type { Fleet } from "../../../test/support/processes.ts";

const LOOK_MS = 200;

/** What a fault may act on. Names are those of `Stage`. */
export interface FaultScene {
  readonly fleet: Fleet;
  readonly lab: Lab;
  readonly agents: readonly string[];
  readonly dps: readonly string[];
}

export interface Fault {
  /** Of the package's bytes, over the line of the first office. */
  readonly atShare: number;
  readonly strike: (scene: FaultScene) => Promise<void>;
}

/** Kill -9. */
export function killing(atShare: number, pick: (scene: FaultScene) => readonly string[]): Fault {
  return {
    atShare,
    strike: async (scene) => {
      for (const name of pick(scene)) await scene.fleet.nodes.get(name)?.kill();
    },
  };
}

/** SIGSTOP: the machine is there and answers nothing. */
export function freezing(atShare: number, pick: (scene: FaultScene) => readonly string[]): Fault {
  return {
    atShare,
    strike: async (scene) => {
      for (const name of pick(scene)) {
        const program = scene.fleet.nodes.get(name);
        if (program?.isRunning === true) process.kill(program.pid, "SIGSTOP");
      }
    },
  };
}

/** Strikes in order, each when its share is reached; ends when all have struck or `signal` aborts. */
export async function strikeAll(
  faults: readonly Fault[],
  scene: FaultScene,
  progress: () => Promise<number>,
  signal: AbortSignal,
): Promise<void> {
  for (const fault of faults.toSorted((one, other) => one.atShare - other.atShare)) {
    while (!signal.aborted && (await progress()) < fault.atShare) await sleep(LOOK_MS);
    if (!signal.aborted) await fault.strike(scene);
  }
}
