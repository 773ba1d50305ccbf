/** Laws of the agent's planning under any order of directives, ends, drifts, restarts and clock. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Instruction } from "../../../protocol/directive.ts";
import type { Outcome } from "../../../protocol/outcome.ts";
import { afterAttempt, afterDrift, afterQuietEnd, wishKey } from "../../../node/core/attempts.ts";
import { gateOf } from "../../../node/core/conditions.ts";
import type { PowerNeed } from "../../../node/core/power.ts";
import type { ReconcileEffect } from "../../../node/core/reconcile-effect.ts";
import { recordOf, type Wish } from "../../../node/core/reconcile-state.ts";
import { initialState, step, type ReconcileEvent } from "../../../node/core/reconcile.ts";
import { WORLD_CASES, WORLD_TIMEOUT_MS } from "../../support/config.ts";

const LIMIT = 3;
const JOBS = ["j0", "j1", "j2", "j3", "j4"];
const surroundings = { endpoint: "e", publicAddress: "10.0.0.1" };

const instruction = fc.record({
  sequence: fc.integer({ min: 0, max: 9 }),
  after: fc.subarray(JOBS, { maxLength: 2 }),
  inSequence: fc.constantFrom<"none" | "abort" | "go">("none", "none", "abort", "go"),
  startMs: fc.constantFrom(0, 0, 0, 20_000),
  endMs: fc.constantFrom(1e9, 1e9, 40_000),
  purpose: fc.constantFrom<Instruction["purpose"]>("perform", "perform", "perform", "cache"),
});
const directive = fc.array(instruction, { minLength: 2, maxLength: 5, size: "max" }).map((list) =>
  list.map(({ sequence, after, inSequence, startMs, endMs, purpose }, index): Instruction => ({
    job: JOBS[index]!,
    purpose,
    revision: "aaaaaaaaaaaaaaaa",
    sequence,
    attemptLimit: LIMIT,
    after: after.filter((job) => job !== JOBS[index]),
    conditions: { startMs, endMs },
    ...(inSequence === "none" ? {} : { sequenceOf: { id: "s", abort: inSequence === "abort" } }),
  })),
);
const outcome = fc.constantFrom<Outcome>("success", "success", "failed", "interrupted");
type Move =
  | { readonly kind: "directive"; readonly instructions: readonly Instruction[] }
  | { readonly kind: "fetchAll" | "run" | "restartAgent" | "reboot" }
  | { readonly kind: "end"; readonly outcome: Outcome; readonly restarts: boolean }
  | { readonly kind: "settle"; readonly isHere: boolean }
  | { readonly kind: "drift"; readonly pick: number }
  | { readonly kind: "wait"; readonly ms: number };
const move: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 1,
    arbitrary: directive.map((instructions) => ({ kind: "directive", instructions }) as const),
  },
  { weight: 5, arbitrary: fc.constantFrom<Move>({ kind: "fetchAll" }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Move>({ kind: "run" }, { kind: "restartAgent" }, { kind: "reboot" }),
  },
  {
    weight: 6,
    arbitrary: fc
      .record({ outcome, restarts: fc.integer({ min: 0, max: 5 }).map((one) => one === 0) })
      .map((end) => ({ kind: "end", ...end }) as const),
  },
  { weight: 1, arbitrary: fc.boolean().map((isHere) => ({ kind: "settle", isHere }) as const) },
  { weight: 1, arbitrary: fc.nat().map((pick) => ({ kind: "drift", pick }) as const) },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 1, max: 30_000 }).map((ms) => ({ kind: "wait", ms }) as const),
  },
);

/** A node with its journal and a computer, that checks the laws at every execution. */
class Node {
  state = initialState({ records: new Map(), retryBaseMs: 1000, surroundings });
  instructions: readonly Instruction[] = [];
  running: Wish | undefined;
  /** Journaled: a restart of the system is due. */
  power: PowerNeed | undefined;
  nowMs = 0;
  executions = 0;
  orders = 0;
  readonly starts = new Map<string, number>();

  apply(one: Move): void {
    switch (one.kind) {
      case "directive":
        this.instructions = one.instructions;
        return this.send({ type: "directive", instructions: one.instructions });
      case "fetchAll":
        for (const { instruction: fetched } of this.state.entries) {
          this.send({ type: "fetched", wish: fetched });
        }
        return undefined;
      case "run":
        return this.send({ type: "run" });
      case "wait":
        this.nowMs += one.ms;
        return this.send({ type: "tick" });
      case "end":
        return this.end(one.outcome, one.restarts);
      case "settle":
        return this.settle(one.isHere ? "alreadyInstalled" : "incompatible");
      case "drift":
        return this.drift(one.pick);
      case "reboot":
        // What ran was cut off; nobody knows how it ended.
        if (this.running !== undefined) this.end("interrupted", false);
        this.power = undefined;
        return this.restart();
      case "restartAgent":
        return this.restart();
      default:
        return one satisfies never;
    }
  }

  end(ended: Outcome, restarts: boolean): void {
    const { running } = this;
    if (running === undefined) return;
    const need: PowerNeed | undefined =
      restarts && ended === "success"
        ? { kind: "restart", job: running.job, timeoutMin: 0, isOrdered: false }
        : undefined;
    this.running = undefined;
    this.power = need ?? this.power;
    const more = need === undefined ? {} : { power: need };
    this.send({ type: "ended", wish: running, outcome: ended, ...more });
  }

  settle(end: "alreadyInstalled" | "incompatible"): void {
    const { running } = this;
    if (running === undefined) return;
    this.running = undefined;
    this.starts.set(wishKey(running), (this.starts.get(wishKey(running)) ?? 1) - 1);
    this.send({ type: "settled", wish: running, end });
  }

  drift(pick: number): void {
    const done = this.state.entries.filter(({ phase }) => phase.kind === "done");
    const entry = done[pick % Math.max(1, done.length)];
    if (entry !== undefined) this.send({ type: "drifted", wish: entry.instruction });
  }

  restart(): void {
    const { records } = this.state;
    const { running, power } = this;
    this.state = initialState({ records, retryBaseMs: 1000, surroundings, running, power });
    this.send({ type: "directive", instructions: this.instructions });
  }

  send(event: ReconcileEvent): void {
    const next = step(this.state, event, this.nowMs);
    this.state = next.state;
    for (const effect of next.effects) this.watch(effect);
  }

  watch(effect: ReconcileEffect): void {
    if (effect.type === "power") {
      expect(this.running, "no restart while something runs").toBeUndefined();
      this.orders += 1;
      this.power = { ...effect.need, isOrdered: true };
    }
    if (effect.type !== "execute") return;
    const key = wishKey(effect.wish);
    const wanted = this.instructions.find(({ job }) => job === effect.wish.job)!;
    this.executions += 1;
    expect(this.running, "never two executions at once").toBeUndefined();
    expect(wanted.purpose).toBe("perform");
    expect(this.power?.isOrdered ?? false, "nothing runs once a restart is ordered").toBe(false);
    const gate = gateOf(
      { ...wanted, conditions: wanted.conditions, runMs: 0 },
      surroundings,
      this.nowMs,
    );
    expect(gate.kind, "conditions hold at the start").toBe("open");
    for (const job of wanted.after ?? []) this.refuseOpen(job, "its dependents come first");
    this.watchSequence(wanted);
    this.starts.set(key, (this.starts.get(key) ?? 0) + 1);
    expect(this.starts.get(key), "SE-21").toBeLessThanOrEqual(LIMIT);
    expect(effect.attempt).toBe(recordOf(this.state, effect.wish).attempts + 1);
    this.running = { job: effect.wish.job, revision: effect.wish.revision };
  }

  watchSequence(wanted: Instruction): void {
    if (wanted.sequenceOf?.abort !== true) return;
    const earlier = this.instructions.filter(
      (one) =>
        one.purpose === "perform" &&
        one.sequenceOf?.id === wanted.sequenceOf?.id &&
        one.sequence < wanted.sequence,
    );
    for (const { job } of earlier) this.refuseOpen(job, "OCO-48 nothing runs past a failed job");
  }

  refuseOpen(job: string, law: string): void {
    const other = this.instructions.find((one) => one.job === job && one.purpose === "perform");
    if (other === undefined) return;
    expect(recordOf(this.state, other).isDone, law).toBe(true);
  }
}

describe("the agent's planning under any order of events", () => {
  it(
    "keeps order, conditions, limits and the gate of a restart",
    () => {
      let executions = 0;
      let orders = 0;
      fc.assert(
        fc.property(directive, fc.array(move, { maxLength: 60, size: "max" }), (first, moves) => {
          const node = new Node();
          node.apply({ kind: "directive", instructions: first });
          for (const one of moves) node.apply(one);
          executions += node.executions;
          orders += node.orders;
        }),
        { numRuns: WORLD_CASES },
      );
      expect(executions, "the laws saw executions").toBeGreaterThan(500);
      expect(orders, "the laws saw restarts").toBeGreaterThan(20);
    },
    WORLD_TIMEOUT_MS,
  );

  it("keeps records that the journal can rebuild", () => {
    const start = { attempts: 1, isDone: false, level: 3, end: "incompatible" } as const;

    expect(afterAttempt(start, "success")).toEqual({ attempts: 2, isDone: true, level: 3 });
    expect(afterQuietEnd(start, "alreadyInstalled")).toMatchObject({ isDone: true, attempts: 1 });
    expect(afterDrift({ ...start, isDone: true })).toEqual({
      attempts: 1,
      isDone: false,
      level: 3,
    });
  });
});
