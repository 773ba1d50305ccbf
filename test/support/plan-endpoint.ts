/** An endpoint for the laws of the planner: it does what it is told, in order, and repairs what it finds missing. */
import type {
  Intent,
  Plan,
  PlanInput,
  PlannedInstruction,
} from "../../coordinator/core/plan/plan-model.ts";
import { packageRefText } from "../../protocol/ids.ts";
import type { Nature } from "./plan-arbitraries.ts";
import { MONDAY_MS, planAt, reported, row, world } from "./plan-world.ts";

const RUN_MS = 3_600_000 / 2;
/** A package with so many failures never succeeds. */
const HOPELESS_COUNT = 9;

/** A world of packages, the wishes for it, and how the endpoint fares. */
export interface PlanCase {
  readonly nature: Nature;
  readonly intents: readonly Intent[];
  /** Versions that are there before. */
  readonly before: readonly string[];
  /** How many instructions the first runs get through before the power fails. */
  readonly stops: readonly number[];
}

export class PlanEndpoint {
  input: PlanInput;
  /** Most attempts at one desired state of a job, without another one in between. */
  mostAttempts = 0;
  /** Successful changes, as `+a/b@1` and `-a/b@1`. */
  readonly changes: string[] = [];
  nowMs = MONDAY_MS;
  readonly #attempts = new Map<string, { readonly revision: string; readonly count: number }>();
  readonly #failures: Map<string, number>;
  readonly #done = new Set<string>();
  /** What really is there. */
  readonly #there: Set<string>;

  constructor({ nature, intents, before }: Omit<PlanCase, "stops">) {
    const installed = before.map((text) => row(text, 1));
    this.input = world(nature.packages, intents, { installed });
    this.#failures = new Map(nature.failures);
    this.#there = new Set(before);
  }

  plan(): Plan {
    return planAt(this.input, this.nowMs);
  }

  /** One run; `until`: the power fails after so many instructions. */
  run(until?: number): void {
    const { instructions } = this.plan();
    for (const instruction of instructions.slice(0, until)) this.#follow(instruction, instructions);
    this.nowMs += RUN_MS;
  }

  #follow(instruction: PlannedInstruction, all: readonly PlannedInstruction[]): void {
    if (instruction.purpose !== "perform") return;
    const key = stateKey(instruction);
    const text = packageRefText(instruction.ref);
    const isDetected = this.input.packages.get(instruction.ref)?.rules.detection !== undefined;
    const isDrifted = isDetected && instruction.operation === undefined && !this.#there.has(text);
    if (this.#done.has(key) && !isDrifted) return;
    const isReady = (instruction.after ?? []).every((id) => {
      const other = all.find(({ job }) => job === id);
      return other !== undefined && this.#done.has(stateKey(other));
    });
    if (!isReady) return;
    const attempt = this.#attempt(instruction);
    const isGood = this.#succeeds(text);
    if (isGood) {
      this.#done.add(key);
      this.#act(instruction, text);
    }
    const more = { attempt, nowMs: this.nowMs };
    this.input = reported(this.input, instruction, isGood ? "succeeded" : "failed", more);
  }

  /** As a node counts: a change of the desired state, also one back, starts the attempts anew (SE-23). */
  #attempt({ job, revision }: PlannedInstruction): number {
    const before = this.#attempts.get(job);
    const count = before?.revision === revision ? before.count + 1 : 1;
    this.#attempts.set(job, { revision, count });
    this.mostAttempts = Math.max(this.mostAttempts, count);
    return count;
  }

  #succeeds(text: string): boolean {
    const left = this.#failures.get(text) ?? 0;
    if (left > 0 && left < HOPELESS_COUNT) this.#failures.set(text, left - 1);
    return left === 0;
  }

  #act({ operation, ref }: PlannedInstruction, text: string): void {
    if (operation === "launch") return;
    this.changes.push(operation === "uninstall" ? `-${text}` : `+${text}`);
    if (operation === "uninstall") {
      this.#there.delete(text);
      return;
    }
    if (this.input.packages.get(ref)?.rules.upgrade === "replaces") {
      for (const other of this.#there) {
        if (other.startsWith(`${ref.name}@`)) this.#there.delete(other);
      }
    }
    this.#there.add(text);
  }
}

function stateKey({ job, revision }: PlannedInstruction): string {
  return `${job}/${revision}`;
}
