import { describe, expect, it } from "vitest";
import { initialState } from "../../../node/core/reconcile.ts";
import { isQuiet } from "../../../node/core/schedule.ts";
import { directed, need, Play, REVISION, wanted, wish } from "./reconcile-play.ts";

describe("the gate of a restart", () => {
  it("executes nothing after a restart has become necessary, but goes on fetching", () => {
    const play = directed(wanted("a", 0), wanted("b", 1)).end(
      "a",
      "success",
      need("external", "a"),
    );

    play.send({
      type: "directive",
      instructions: [wanted("a", 0), wanted("b", 1), wanted("c", 2)],
    });

    expect(play.jobs("execute")).toEqual(["a"]);
    expect(play.holdOf("b")).toBe("waits for a restart of the system");
    expect(play.effects).toContainEqual({ type: "fetch", wish: wish("c") });
    expect(play.powerOrders()).toEqual([]);
  });

  it("orders a restart once, when nothing runs, and holds the rest until then", () => {
    const play = directed(wanted("a", 0), wanted("b", 1)).end("a", "success", need("restart", "a"));

    play.send({ type: "tick" }, { type: "tick" });

    expect(play.powerOrders()).toEqual(["restart"]);
    expect(play.jobs("execute")).toEqual(["a"]);
  });

  it("D9 defers a restart inside a chain to the chain's end, and holds strangers meanwhile", () => {
    const play = directed(
      wanted("b", 0),
      wanted("z", 1),
      wanted("c", 2),
      wanted("a", 3, { after: ["b", "c"] }),
    );

    play.end("b", "success", need("restart", "b"));
    const during = play.powerOrders().length;
    play.end("c").end("a");

    expect(play.jobs("execute")).toEqual(["b", "c", "a"]);
    expect([during, play.powerOrders()]).toEqual([0, ["restart"]]);
  });

  it("D9 defers a restart while the rest of its chain is still being fetched", () => {
    const play = new Play().send({
      type: "directive",
      instructions: [wanted("b", 0), wanted("a", 1, { after: ["b"] })],
    });

    play.send({ type: "fetched", wish: wish("b") }).end("b", "success", need("restart", "b"));
    const during = play.powerOrders().length;
    play.fetchAll().end("a");

    expect(play.jobs("execute")).toEqual(["b", "a"]);
    expect([during, play.powerOrders()]).toEqual([0, ["restart"]]);
  });

  it("D9 restarts at once where the rest of the chain cannot be reached", () => {
    const play = directed(wanted("c", 0), wanted("b", 1), wanted("a", 2, { after: ["b", "c"] }));

    play.end("c", "failed").end("b", "success", need("restart", "b"));

    expect(play.powerOrders()).toEqual(["restart"]);
  });

  it("begins again after the restart", () => {
    const play = directed(wanted("a", 0), wanted("b", 1)).end("a", "success", need("restart", "a"));
    const later = new Play();
    later.state = initialState({ records: play.state.records, retryBaseMs: 1000 });

    later.send({ type: "directive", instructions: [wanted("a", 0), wanted("b", 1)] }).fetchAll();

    expect(later.jobs("execute")).toEqual(["b"]);
  });

  it("OCO-8 shuts down after the last job only, and OCO-11 not where that was taken back", () => {
    const last = { shutdownAfter: true, attemptLimit: 2 };
    const play = directed(wanted("a", 0, last), wanted("b", 1, last));

    play.end("a");
    const early = play.powerOrders().length;
    play.end("b", "failed");
    const retrying = play.powerOrders().length;
    play.nowMs = 1e6;
    play.send({ type: "tick" }).fetchAll().end("b");

    expect([early, retrying, play.powerOrders()]).toEqual([0, 0, ["shutdown"]]);

    const taken = directed(wanted("a", 0, last), wanted("b", 1, last)).end("a");
    taken.send({ type: "directive", instructions: [wanted("a", 0), wanted("b", 1)] }).end("b");
    expect(taken.powerOrders()).toEqual([]);
  });

  it("orders nothing after a start before the directive shows whose chain it is", () => {
    const play = new Play();
    play.state = initialState({
      records: new Map([[`b/${REVISION}`, { attempts: 1, isDone: true }]]),
      retryBaseMs: 1000,
      power: need("restart", "b"),
    });

    play.send({ type: "moved", publicAddress: "10.0.0.1" });
    const early = play.powerOrders().length;
    const instructions = [wanted("b", 0), wanted("a", 1, { after: ["b"] })];
    play.send({ type: "directive", instructions }).fetchAll();
    const during = play.powerOrders().length;
    play.end("a");

    expect([early, during, play.powerOrders()]).toEqual([0, 0, ["restart"]]);
  });

  it("OCO-9 never shuts down an endpoint whose jobs do not say so", () => {
    const play = directed(wanted("a", 0)).end("a");

    expect(play.powerOrders()).toEqual([]);
  });

  it("restarts the agent between two jobs", () => {
    const play = directed(wanted("a", 0), wanted("b", 1));

    play.send({ type: "ended", wish: wish("a"), outcome: "success", restartsAgent: true });

    expect(play.effects.at(-1)).toEqual({ type: "restartAgent" });
    expect(play.jobs("execute")).toEqual(["a"]);
  });
});

describe("what a run changes", () => {
  it("SE-19 does again what no longer holds", () => {
    const play = directed(wanted("a", 0, { attemptLimit: 3 })).end("a");

    play.send({ type: "drifted", wish: wish("a") }).fetchAll();

    expect(play.jobs("execute")).toEqual(["a", "a"]);
  });

  it("SE-21 counts attempts over drifts: a tug of war ends at the limit", () => {
    const play = directed(wanted("a", 0, { attemptLimit: 3 }));

    for (let round = 0; round < 10; round++) {
      play
        .fetchAll()
        .end("a")
        .send({ type: "drifted", wish: wish("a") });
    }

    expect(play.jobs("execute")).toHaveLength(3);
    expect(play.state.entries[0]?.phase.kind).toBe("exhausted");
  });

  it("SE-20 gives a failed job another try at the next run, before its pause is over", () => {
    const play = directed(wanted("a", 0, { attemptLimit: 3 })).end("a", "failed");

    play.send({ type: "run" }).fetchAll();

    expect(play.jobs("execute")).toEqual(["a", "a"]);
  });

  it("looks again at the next run at what was not possible here", () => {
    const play = directed(wanted("a", 0));

    play.send({ type: "settled", wish: wish("a"), end: "incompatible" });
    const idle = isQuiet(play.state, 0);
    play.send({ type: "run" }).fetchAll();

    expect(idle).toBe(true);
    expect(play.jobs("execute")).toEqual(["a", "a"]);
  });

  it("SE-15 counts no attempt where there was nothing to do", () => {
    const play = directed(wanted("a", 0));

    play.send({ type: "settled", wish: wish("a"), end: "alreadyInstalled" });

    expect(play.state.records.get(`a/${REVISION}`)).toMatchObject({ attempts: 0, isDone: true });
    expect(play.state.entries[0]?.phase.kind).toBe("done");
  });
});
