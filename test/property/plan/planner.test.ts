import fc from "fast-check";
import { expect, it } from "vitest";
import type {
  Intent,
  Plan,
  PlanInput,
  PlannedInstruction,
} from "../../../coordinator/core/plan/plan-model.ts";
import { parseDirectiveTarget } from "../../../protocol/directive.ts";
import { packageRefText } from "../../../protocol/ids.ts";
import { inVersionRange, parseVersionRange } from "../../../protocol/version-order.ts";
import { WORLD_CASES, WORLD_TIMEOUT_MS } from "../../support/config.ts";
import { inventory, nature, wishes, type Nature } from "../../support/plan-arbitraries.ts";
import { MONDAY_MS, planAt, reported, row, world } from "../../support/plan-world.ts";

/** Enough for every failure and every start and end of a wish to be over. */
const RUN_COUNT = 24;
const RUN_MS = 3_600_000 / 2;

/** An endpoint that does what it is told, in order, and repairs what it finds missing. */
class Endpoint {
  input: PlanInput;
  readonly failures: Map<string, number>;
  readonly attempts = new Map<string, number>();
  readonly done = new Set<string>();
  /** What really is there. */
  readonly there: Set<string>;
  /** Successful changes, as `+a/b@1` and `-a/b@1`. */
  readonly changes: string[] = [];
  nowMs = MONDAY_MS;

  constructor(
    { packages, failures }: Nature,
    intents: readonly Intent[],
    before: readonly string[],
  ) {
    this.input = world(packages, intents, { installed: before.map((text) => row(text, 1)) });
    this.failures = new Map(failures);
    this.there = new Set(before);
  }

  plan(): Plan {
    return planAt(this.input, this.nowMs);
  }

  /** One run; `until`: the power fails after so many instructions. */
  run(until: number): void {
    const { instructions } = this.plan();
    for (const instruction of instructions.slice(0, until)) this.follow(instruction, instructions);
    this.nowMs += RUN_MS;
  }

  private follow(instruction: PlannedInstruction, all: readonly PlannedInstruction[]): void {
    if (instruction.purpose !== "perform") return;
    const key = `${instruction.job}/${instruction.revision}`;
    const text = packageRefText(instruction.ref);
    const isDetected = this.input.packages.get(instruction.ref)?.rules.detection !== undefined;
    const isDrifted = isDetected && instruction.operation === undefined && !this.there.has(text);
    if (this.done.has(key) && !isDrifted) return;
    const isReady = (instruction.after ?? []).every((id) => {
      const other = all.find(({ job }) => job === id);
      return other !== undefined && this.done.has(`${other.job}/${other.revision}`);
    });
    if (!isReady) return;
    const attempt = (this.attempts.get(key) ?? 0) + 1;
    this.attempts.set(key, attempt);
    const left = this.failures.get(text) ?? 0;
    if (left > 0) {
      if (left < 9) this.failures.set(text, left - 1);
      this.input = reported(this.input, instruction, "failed", { attempt, nowMs: this.nowMs });
      return;
    }
    this.done.add(key);
    this.act(instruction, text);
    this.input = reported(this.input, instruction, "succeeded", { attempt, nowMs: this.nowMs });
  }

  private act({ operation, ref }: PlannedInstruction, text: string): void {
    this.changes.push(operation === "uninstall" ? `-${text}` : `+${text}`);
    if (operation === "uninstall") {
      this.there.delete(text);
      return;
    }
    if (this.input.packages.get(ref)?.rules.upgrade === "replaces") {
      for (const other of this.there)
        if (other.startsWith(`${ref.name}@`)) this.there.delete(other);
    }
    this.there.add(text);
  }
}

const performs = ({ instructions }: Plan): readonly PlannedInstruction[] =>
  instructions.filter(({ purpose }) => purpose === "perform");

function checkDependentsFirst(plan: Plan, { input }: Endpoint): void {
  const order = performs(plan).filter(({ operation }) => operation === undefined);
  for (const [at, { ref, job, revision }] of order.entries()) {
    const record = input.records.get(job);
    const isDone = record?.revision === revision && record.state === "succeeded";
    for (const edge of input.packages.get(ref)?.rules.dependencies ?? []) {
      if (edge.actionSet === "uninstall" || isDone) continue;
      const range = parseVersionRange(edge.versions ?? "*");
      const fits = ({ name, version }: (typeof order)[number]["ref"]): boolean =>
        name === edge.name && inVersionRange(range, "numbers", version);
      const isThere = input.installed.some(
        (one) => fits(one) && (one.removedMs ?? -1) < one.sinceMs,
      );
      const isBefore = order.slice(0, at).some((one) => fits(one.ref));
      expect(isThere || isBefore, `${ref.name} before its ${edge.name}`).toBe(true);
    }
  }
}

function checkLevelZero(plan: Plan, { input }: Endpoint): void {
  const due = performs(plan).filter(({ job, revision }) => {
    const record = input.records.get(job);
    return record?.revision !== revision || record.state !== "succeeded";
  });
  const blocker = due.find(
    ({ ref, operation }) => operation === undefined && input.packages.get(ref)?.level === 0,
  );
  if (blocker === undefined) return;
  const needed = new Set(
    due.filter(({ ref }) => input.packages.get(ref)?.level === 0).map(({ job }) => job),
  );
  for (const id of needed) {
    for (const other of plan.instructions.find(({ job }) => job === id)?.after ?? [])
      needed.add(other);
  }
  expect(due.filter(({ job }) => !needed.has(job)).map(({ ref }) => packageRefText(ref))).toEqual(
    [],
  );
}

function checkReasons(plan: Plan, { input }: Endpoint): void {
  const answered = new Set(
    [...plan.instructions, ...plan.waiting, ...plan.preview].flatMap(({ from }) => from),
  );
  for (const { source, name } of input.intents) expect(answered).toContain(`${source}/${name}`);
  for (const { reasons } of [...plan.waiting, ...plan.preview]) {
    expect(reasons.length).toBeGreaterThan(0);
    for (const { text, endsWhen } of reasons) expect([text, endsWhen]).not.toContain("");
  }
  const previews = new Set(
    input.intents.filter(({ isPreview }) => isPreview).map(({ name }) => `rule/${name}`),
  );
  expect(plan.instructions.flatMap(({ from }) => from).filter((one) => previews.has(one))).toEqual(
    [],
  );
}

function checkInstructions(plan: Plan): void {
  const ids = plan.instructions.map(({ job }) => job);
  expect(new Set(ids).size).toBe(ids.length);
  expect(plan.instructions.map(({ sequence }) => sequence)).toEqual([...ids.keys()]);
  for (const { ref: _ref, from: _from, ...instruction } of plan.instructions) {
    for (const before of instruction.after ?? []) {
      expect(ids.indexOf(before)).toBeGreaterThanOrEqual(0);
      expect(ids.indexOf(before)).toBeLessThan(instruction.sequence);
    }
    const match = { epoch: 1, kind: "execute" as const };
    parseDirectiveTarget({ match, swarm: "0".repeat(64), instructions: [instruction] });
  }
}

const stops = fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 4 });

it(
  "OCO-34 whatever is assigned: the runs end in rest, and nothing is installed or taken off again and again",
  () => {
    fc.assert(
      fc.property(nature, wishes, inventory, stops, (world_, intents, before, cuts) => {
        const endpoint = new Endpoint(world_, intents, before);
        for (let run = 0; run < RUN_COUNT; run++)
          endpoint.run(cuts[run] ?? Number.MAX_SAFE_INTEGER);
        const settled = endpoint.changes.length;
        for (let run = 0; run < 10; run++) endpoint.run(Number.MAX_SAFE_INTEGER);

        expect(endpoint.changes.slice(settled)).toEqual([]);
        // Once, and once more for each wish that begins or ends on the way: it changes what is wished.
        const instants = intents.flatMap(({ schedule }) => [schedule.startMs, schedule.endMs]);
        const limit = 1 + instants.filter((atMs) => atMs !== undefined).length;
        const counts = [...Map.groupBy(endpoint.changes, (change) => change).values()];
        expect(counts.filter(({ length }) => length > limit)).toEqual([]);
      }),
      { numRuns: WORLD_CASES },
    );
  },
  WORLD_TIMEOUT_MS,
);

it(
  "ZEN-13 OCS-23 SE-21 holds its laws at every step: dependents first, level 0 alone, attempts bounded, each wish answered",
  () => {
    fc.assert(
      fc.property(
        nature,
        fc.array(wishes, { minLength: 1, maxLength: 3 }),
        inventory,
        stops,
        (world_, changes, before, cuts) => {
          const endpoint = new Endpoint(world_, changes[0]!, before);
          for (const intents of changes) {
            endpoint.input = { ...endpoint.input, intents };
            for (let run = 0; run < 4; run++) {
              const plan = endpoint.plan();
              checkInstructions(plan);
              checkDependentsFirst(plan, endpoint);
              checkLevelZero(plan, endpoint);
              checkReasons(plan, endpoint);
              endpoint.run(cuts[run] ?? Number.MAX_SAFE_INTEGER);
            }
          }
          // The limits of all wishes are at most 3; what nobody wishes directly has 3.
          expect(Math.max(0, ...endpoint.attempts.values())).toBeLessThanOrEqual(3);
        },
      ),
      { numRuns: WORLD_CASES },
    );
  },
  WORLD_TIMEOUT_MS,
);

it(
  "gives the same bytes for the same input, in whatever order the wishes come",
  () => {
    fc.assert(
      fc.property(nature, wishes, inventory, fc.nat(), (world_, intents, before, seed) => {
        const endpoint = new Endpoint(world_, intents, before);
        endpoint.run(Number.MAX_SAFE_INTEGER);
        const bytes = JSON.stringify(endpoint.plan());

        expect(JSON.stringify(endpoint.plan())).toBe(bytes);
        const turned = intents.map((_one, at) => intents[(at + seed) % intents.length]!);
        const other = planAt({ ...endpoint.input, intents: turned }, endpoint.nowMs);
        expect(JSON.stringify(other.instructions)).toBe(
          JSON.stringify(endpoint.plan().instructions),
        );
      }),
      { numRuns: WORLD_CASES },
    );
  },
  WORLD_TIMEOUT_MS,
);

it(
  "plans the same until the instant at which it says that it changes",
  () => {
    fc.assert(
      fc.property(
        nature,
        wishes,
        inventory,
        fc.integer({ min: 0, max: 20 * RUN_MS }),
        (world_, intents, before, waitMs) => {
          const { input, nowMs } = new Endpoint(world_, intents, before);
          const plan = planAt(input, nowMs);
          const laterMs = Math.min(
            nowMs + waitMs,
            (plan.changesMs ?? Number.POSITIVE_INFINITY) - 1,
          );

          expect(JSON.stringify(planAt(input, laterMs))).toBe(JSON.stringify(plan));
        },
      ),
      { numRuns: WORLD_CASES },
    );
  },
  WORLD_TIMEOUT_MS,
);
