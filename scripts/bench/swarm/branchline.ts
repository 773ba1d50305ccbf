/** Branchline on the course: from the first node that acts to the last that holds everything. */
import { figuresOf, type Course, type Figures } from "./course.ts";
import type { Fault } from "./faults.ts";
import { Stage } from "./stage.ts";

const REF = "bench/noise@1";

/** With `faults`, only the nodes in `survivors` are waited for. */
export interface BranchlineRun {
  readonly hasDp: boolean;
  /** Nodes that have just started, and deploy for the first time. */
  readonly isFresh?: boolean;
  readonly faults?: readonly Fault[];
  readonly survivors?: (agents: readonly string[]) => readonly string[];
}

export async function runBranchline(course: Course, run: BranchlineRun): Promise<Figures> {
  const { sites, hosts, wan, lan, sizeBytes } = course;
  const { hasDp, isFresh = false } = run;
  await using stage = await Stage.open({ sites, agents: hosts, wan, lan, hasDp, isFresh });
  await stage.publish(REF, sizeBytes);
  const names = run.survivors?.(stage.agents) ?? stage.agents;
  const order = { ref: REF, sizeBytes, target: "all", names };
  const { faults } = run;
  const transfer = await stage.transfer({ ...order, ...(faults === undefined ? {} : { faults }) });
  return figuresOf(course, transfer);
}
