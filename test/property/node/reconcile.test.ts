import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Instruction } from "../../../protocol/directive.ts";
import type { Outcome } from "../../../protocol/outcome.ts";
import {
  afterAttempt,
  NO_ATTEMPTS,
  wishKey,
  type AttemptRecord,
} from "../../../node/core/attempts.ts";
import type { ReconcileEffect } from "../../../node/core/reconcile-effect.ts";
import type { ReconcileState, Wish } from "../../../node/core/reconcile-state.ts";
import { initialState, step, type ReconcileEvent } from "../../../node/core/reconcile.ts";

const LIMIT = 3;
const REVISIONS = ["aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"];

const instruction = fc.record({
  job: fc.constantFrom("j1", "j2", "j3", "j4"),
  purpose: fc.constantFrom("perform" as const, "perform" as const, "replicate" as const),
  revision: fc.constantFrom(...REVISIONS),
  sequence: fc.integer({ min: 0, max: 5 }),
  attemptLimit: fc.constant(LIMIT),
});
const directive = fc.uniqueArray(instruction, {
  selector: (one) => one.job,
  minLength: 1,
  maxLength: 4,
  size: "max",
});
const wish = fc.record({
  job: fc.constantFrom("j1", "j2", "j3", "j4"),
  revision: fc.constantFrom(...REVISIONS),
});
const outcome = fc.constantFrom<Outcome>("success", "failed", "interrupted", "rebootInitiated");
type Move =
  | ReconcileEvent
  | { readonly type: "deliver"; readonly pick: number }
  | { readonly type: "end"; readonly outcome: Outcome }
  | { readonly type: "restart" }
  | { readonly type: "wait"; ms: number };
const move: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 2,
    arbitrary: directive.map((instructions) => ({ type: "directive", instructions }) as const),
  },
  { weight: 4, arbitrary: wish.map((one) => ({ type: "fetched", wish: one }) as const) },
  { weight: 1, arbitrary: wish.map((one) => ({ type: "fetchFailed", wish: one }) as const) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(wish, fc.integer({ min: 0, max: 5 }))
      .map(([one, level]) => ({ type: "manifestRead", wish: one, level, runMs: 0 }) as const),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(wish, outcome)
      .map(([one, ended]) => ({ type: "ended", wish: one, outcome: ended }) as const),
  },
  // Most events fit what goes on, or nothing would ever get far.
  { weight: 6, arbitrary: fc.nat().map((pick) => ({ type: "deliver", pick }) as const) },
  { weight: 6, arbitrary: outcome.map((ended) => ({ type: "end", outcome: ended }) as const) },
  { weight: 1, arbitrary: fc.constant({ type: "restart" } as const) },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 0, max: 20_000 }).map((ms) => ({ type: "wait", ms }) as const),
  },
);

/** A node around the pure step: what a journal keeps, and what the laws watch. */
class Node {
  records = new Map<string, AttemptRecord>();
  running: Wish | undefined;
  starts = new Map<string, number>();
  state: ReconcileState = initialState({ records: new Map(), retryBaseMs: 1000 });
  nowMs = 0;
  directive: readonly Instruction[] = [];

  apply(one: Move): void {
    if (one.type === "deliver") {
      const fetching = this.state.entries.filter((entry) => entry.phase.kind === "fetching");
      const entry = fetching[one.pick % Math.max(1, fetching.length)];
      if (entry !== undefined) this.send({ type: "fetched", wish: entry.instruction });
      return;
    }
    if (one.type === "end") {
      if (this.running !== undefined) {
        this.apply({ type: "ended", wish: this.running, outcome: one.outcome });
      }
      return;
    }
    if (one.type === "restart") {
      // The runner outlives the agent; the journal has the records and the open attempt.
      this.state = initialState({
        records: new Map(this.records),
        retryBaseMs: 1000,
        running: this.running,
      });
      this.send({ type: "directive", instructions: this.directive });
      return;
    }
    if (one.type === "wait") {
      this.nowMs += one.ms;
      this.send({ type: "tick" });
      return;
    }
    if (one.type === "directive") this.directive = one.instructions;
    if (one.type === "ended") {
      // Only what runs can end; events of the past must change nothing, so they are sent as well.
      if (this.running !== undefined && wishKey(this.running) === wishKey(one.wish)) {
        const key = wishKey(one.wish);
        this.records.set(key, afterAttempt(this.records.get(key) ?? NO_ATTEMPTS, one.outcome));
        this.running = undefined;
      }
    }
    this.send(one);
  }

  send(event: ReconcileEvent): void {
    const next = step(this.state, event, this.nowMs);
    this.state = next.state;
    for (const effect of next.effects) this.carryOut(effect);
  }

  carryOut(effect: ReconcileEffect): void {
    if (effect.type !== "execute" && effect.type !== "forget") return;
    const key = wishKey(effect.wish);
    if (effect.type === "forget") {
      const current = this.directive.find(({ job }) => job === effect.wish.job)?.revision;
      expect(current, "only a change starts anew").not.toBe(effect.wish.revision);
      expect(this.records.get(key)?.isDone ?? false, "what is done is remembered").toBe(false);
      this.records.delete(key);
      this.starts.delete(key);
      return;
    }
    expect(this.running, "never two executions at once").toBeUndefined();
    expect(this.records.get(key)?.isDone ?? false, "a finished revision runs again").toBe(false);
    this.running = effect.wish;
    this.starts.set(key, (this.starts.get(key) ?? 0) + 1);
    expect(this.starts.get(key)).toBeLessThanOrEqual(LIMIT);
    expect(effect.attempt).toBe((this.records.get(key)?.attempts ?? 0) + 1);
  }
}

describe("reconcile under any order of events and restarts", () => {
  it("SE-21 SE-23 runs one execution at a time, at most attemptLimit times, and never a finished revision", () => {
    let starts = 0;
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60, size: "max" }), (moves) => {
        const node = new Node();
        for (const one of moves) node.apply(one);
        starts += node.starts.size;
      }),
      { numRuns: 500 },
    );
    expect(starts, "the laws saw executions").toBeGreaterThan(100);
  });

  it("brings every job to an end when all succeed, whatever order their content arrives in", () => {
    fc.assert(
      fc.property(directive, fc.infiniteStream(fc.nat()), (instructions, picks) => {
        const node = new Node();
        node.apply({ type: "directive", instructions });
        for (let turn = 0; turn < 40; turn++) {
          const fetching = node.state.entries.filter((entry) => entry.phase.kind === "fetching");
          const pick = fetching[(picks.next().value ?? 0) % Math.max(1, fetching.length)];
          if (pick !== undefined) node.apply({ type: "fetched", wish: pick.instruction });
          if (node.running !== undefined) {
            node.apply({ type: "ended", wish: node.running, outcome: "success" });
          }
        }
        expect(node.state.entries.map((entry) => entry.phase.kind)).toEqual(
          instructions.map(() => "done"),
        );
      }),
    );
  });
});
