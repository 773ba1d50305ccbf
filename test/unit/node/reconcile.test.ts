import { describe, expect, it } from "vitest";
import type { Instruction } from "../../../protocol/directive.ts";
import { initialState, step, type ReconcileEvent } from "../../../node/core/reconcile.ts";
import type { ReconcileState } from "../../../node/core/reconcile-state.ts";

const REVISION = "aaaaaaaaaaaaaaaa";

function wanted(job: string, sequence: number, change: Partial<Instruction> = {}): Instruction {
  return { job, purpose: "perform", revision: REVISION, sequence, attemptLimit: 3, ...change };
}

const wish = (job: string, revision = REVISION) => ({ job, revision });

/** Applies events and returns what they did, as short text. */
function play(
  events: readonly ReconcileEvent[],
  from: ReconcileState = initialState({ records: new Map(), retryBaseMs: 1000 }),
  nowMs = 0,
) {
  let state = from;
  const done: string[] = [];
  for (const event of events) {
    const next = step(state, event, nowMs);
    state = next.state;
    for (const effect of next.effects) {
      if (effect.type === "wake") done.push(`wake ${effect.atMs}`);
      else if ("wish" in effect) done.push(`${effect.type} ${effect.wish.job}`);
      else done.push(effect.type);
    }
  }
  return { state, done };
}

describe("the order of jobs", () => {
  it("OCS-22 executes in sequence order although content arrives in another", () => {
    const { done } = play([
      { type: "directive", instructions: [wanted("c", 2), wanted("a", 0), wanted("b", 1)] },
      { type: "fetched", wish: wish("c") },
      { type: "fetched", wish: wish("a") },
      { type: "fetched", wish: wish("b") },
      { type: "ended", wish: wish("a"), outcome: "success" },
      { type: "ended", wish: wish("b"), outcome: "success" },
    ]);

    expect(done.filter((one) => one.startsWith("execute"))).toEqual([
      "execute a",
      "execute b",
      "execute c",
    ]);
  });

  it("OCS-14 fetches several packages at once while another executes", () => {
    const { done } = play([
      { type: "directive", instructions: [wanted("a", 0), wanted("b", 1)] },
      { type: "fetched", wish: wish("a") },
    ]);

    expect(done).toEqual(["fetch a", "fetch b", "execute a"]);
  });

  it("OCS-23 runs nothing after a level 0 that has not succeeded, until it is withdrawn", () => {
    const failed = play([
      { type: "directive", instructions: [wanted("zero", 0, { attemptLimit: 1 }), wanted("b", 1)] },
      { type: "manifestRead", wish: wish("zero"), level: 0, runMs: 0 },
      { type: "fetched", wish: wish("zero") },
      { type: "fetched", wish: wish("b") },
      { type: "ended", wish: wish("zero"), outcome: "failed" },
    ]);
    const withdrawn = play([{ type: "directive", instructions: [wanted("b", 1)] }], failed.state);

    expect(failed.done).not.toContain("execute b");
    expect(withdrawn.done).toEqual(["execute b"]);
  });

  it("OCS-23 lets later jobs pass a failed one of another level", () => {
    const { done } = play([
      { type: "directive", instructions: [wanted("a", 0, { attemptLimit: 1 }), wanted("b", 1)] },
      { type: "manifestRead", wish: wish("a"), level: 5, runMs: 0 },
      { type: "fetched", wish: wish("a") },
      { type: "fetched", wish: wish("b") },
      { type: "ended", wish: wish("a"), outcome: "failed" },
    ]);

    expect(done.at(-1)).toBe("execute b");
  });

  it("holds content for the site without ever executing a replicate instruction", () => {
    const { done } = play([
      { type: "directive", instructions: [wanted("r", 0, { purpose: "replicate" })] },
      { type: "fetched", wish: wish("r") },
      { type: "tick" },
    ]);

    expect(done).toEqual(["fetch r"]);
  });
});

describe("attempts", () => {
  it("SE-20 tries again after a pause that doubles, SE-21 and stops at the limit", () => {
    let { state } = play([{ type: "directive", instructions: [wanted("a", 0)] }]);
    const wakes: string[] = [];
    for (const atMs of [0, 1000, 3000]) {
      const round = play(
        [
          { type: "tick" },
          { type: "fetched", wish: wish("a") },
          { type: "ended", wish: wish("a"), outcome: "failed" },
        ],
        state,
        atMs,
      );
      state = round.state;
      wakes.push(round.done.at(-1) ?? "");
    }

    expect(wakes).toEqual(["wake 1000", "wake 3000", "execute a"]);
    expect(play([{ type: "tick" }], state, 1e9).done).toEqual([]);
  });

  it("SE-23 starts again when the desired revision changes", () => {
    const spent = new Map([[`a/${REVISION}`, { attempts: 3, isDone: false }]]);
    const state = initialState({ records: spent, retryBaseMs: 1000 });
    const same = play([{ type: "directive", instructions: [wanted("a", 0)] }], state);
    const revision = "bbbbbbbbbbbbbbbb";
    const changed = play(
      [{ type: "directive", instructions: [wanted("a", 0, { revision })] }],
      same.state,
    );

    expect(same.done).toEqual([]);
    expect(changed.done).toEqual(["forget a", "fetch a"]);
  });

  it("SE-23 starts again when the desired revision changes and changes back", () => {
    const spent = new Map([[`a/${REVISION}`, { attempts: 3, isDone: false }]]);
    const revision = "bbbbbbbbbbbbbbbb";
    const { done } = play(
      [
        { type: "directive", instructions: [wanted("a", 0, { revision })] },
        { type: "directive", instructions: [wanted("a", 0)] },
        { type: "fetched", wish: wish("a") },
      ],
      initialState({ records: spent, retryBaseMs: 1000 }),
    );

    expect(done).toEqual(["forget a", "fetch a", "cancel a", "fetch a", "execute a"]);
  });

  it("SE-23 counts on while a job is not wished for a time, and forgets none that was done", () => {
    const records = new Map([
      [`a/${REVISION}`, { attempts: 3, isDone: false }],
      [`b/${REVISION}`, { attempts: 1, isDone: true }],
    ]);
    const revision = "bbbbbbbbbbbbbbbb";
    const { state, done } = play(
      [
        { type: "directive", instructions: [wanted("b", 0, { revision })] },
        { type: "directive", instructions: [wanted("a", 0), wanted("b", 1)] },
      ],
      initialState({ records, retryBaseMs: 1000 }),
    );

    expect(done).toEqual(["fetch b", "cancel b", "serve b"]);
    expect(state.records).toEqual(records);
  });

  it("SE-22 goes on where an operator raises the limit", () => {
    const spent = new Map([[`a/${REVISION}`, { attempts: 3, isDone: false }]]);
    const same = play(
      [{ type: "directive", instructions: [wanted("a", 0)] }],
      initialState({ records: spent, retryBaseMs: 1000 }),
    );

    const raised = [wanted("a", 0, { attemptLimit: 5 })];
    expect(play([{ type: "directive", instructions: raised }], same.state).done).toEqual([
      "fetch a",
    ]);
  });

  it("serves finished packages again after a restart instead of running them", () => {
    const finished = new Map([[`a/${REVISION}`, { attempts: 1, isDone: true }]]);
    const { done } = play(
      [{ type: "directive", instructions: [wanted("a", 0)] }],
      initialState({ records: finished, retryBaseMs: 1000 }),
    );

    expect(done).toEqual(["serve a"]);
  });

  it("cancels the fetch of a withdrawn job", () => {
    const { done } = play([
      { type: "directive", instructions: [wanted("a", 0)] },
      { type: "directive", instructions: [] },
    ]);

    expect(done).toEqual(["fetch a", "cancel a"]);
  });
});
