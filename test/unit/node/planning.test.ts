import { describe, expect, it } from "vitest";
import { initialState } from "../../../node/core/reconcile.ts";
import { isQuiet } from "../../../node/core/schedule.ts";
import { directed, Play, wanted, wish } from "./reconcile-play.ts";

describe("dependents", () => {
  it("ZEN-13 runs dependents before their primary, whatever the order of the directive", () => {
    const play = directed(wanted("a", 0, { after: ["b", "c"] }), wanted("b", 1), wanted("c", 2));

    play.end("b").end("c").end("a");

    expect(play.jobs("execute")).toEqual(["b", "c", "a"]);
  });

  it("ZEN-9 does not run a primary while one of its chain is missing, and names the path", () => {
    const play = directed(
      wanted("a", 0, { after: ["b"] }),
      wanted("b", 1, { after: ["b1", "b2"] }),
      wanted("b1", 2),
      wanted("b2", 3),
    );

    play.end("b1").end("b2", "failed");

    expect(play.jobs("execute")).toEqual(["b1", "b2"]);
    expect(play.holdOf("a")).toBe("waits for a dependency: A > B > B2");
  });

  it("ZEN-15 does not run a primary whose dependent cannot run here", () => {
    const play = directed(wanted("b", 0), wanted("a", 1, { after: ["b"] }));

    play.send({ type: "settled", wish: wish("b"), end: "incompatible" });

    expect(play.jobs("execute")).toEqual(["b"]);
    expect(play.holdOf("a")).toBe("waits for a dependency: A > B");
  });

  it("ZEN-10 runs a dependent of two primaries once", () => {
    const play = directed(
      wanted("d", 0),
      wanted("a", 1, { after: ["d"] }),
      wanted("e", 2, { after: ["d"] }),
    );

    play.end("d").end("a").end("e");

    expect(play.jobs("execute")).toEqual(["d", "a", "e"]);
  });

  it("takes a dependent that is not in the directive as done, and survives a circle", () => {
    const play = directed(
      wanted("a", 0, { after: ["gone"] }),
      wanted("x", 1, { after: ["y"] }),
      wanted("y", 2, { after: ["x"] }),
    );

    expect(play.jobs("execute")).toEqual(["a"]);
    expect(play.end("a").jobs("execute")).toEqual(["a"]);
  });

  it("lets independent jobs pass a blocked one", () => {
    const play = directed(wanted("b", 0), wanted("a", 1, { after: ["b"] }), wanted("z", 2));

    play.end("b", "failed");

    expect(play.jobs("execute")).toEqual(["b", "z"]);
  });
});

const sequence = (abort: boolean) => (job: string, place: number) =>
  wanted(job, place, { sequenceOf: { id: "c1", abort } });

describe("sequences", () => {
  it("OCO-48 aborts the rest of a sequence without running it", () => {
    const job = sequence(true);
    const play = directed(job("one", 0), job("two", 1), job("three", 2), wanted("other", 3));

    play.end("one", "failed");

    expect(play.jobs("abort")).toEqual(["two", "three"]);
    expect(play.jobs("execute")).toEqual(["one", "other"]);
  });

  it("OCO-48 aborts nothing while the failed job has tries left, and runs nothing either", () => {
    const job = sequence(true);
    const play = directed({ ...job("one", 0), attemptLimit: 2 }, job("two", 1));

    play.end("one", "failed");

    expect(play.jobs("abort")).toEqual([]);
    expect(play.jobs("execute")).toEqual(["one"]);
    expect(play.holdOf("two")).toContain("waits for ONE");
  });

  it("OCO-49 goes on after a failed job where the sequence ignores failures", () => {
    const job = sequence(false);
    const play = directed(job("one", 0), job("two", 1), job("three", 2));

    play.end("one", "failed").end("two").end("three");

    expect(play.jobs("execute")).toEqual(["one", "two", "three"]);
    expect(play.jobs("abort")).toEqual([]);
  });

  it("keeps an aborted job aborted over a restart, and runs it under a new revision", () => {
    const job = sequence(true);
    const play = directed(job("one", 0), job("two", 1)).end("one", "failed");
    const later = new Play();
    later.state = initialState({ records: play.state.records, retryBaseMs: 1000 });

    later.send({ type: "directive", instructions: [job("two", 1)] }).fetchAll();
    const revision = "bbbbbbbbbbbbbbbb";
    later.send({ type: "directive", instructions: [{ ...job("two", 1), revision }] });

    expect(later.jobs("execute")).toEqual([]);
    expect(later.effects.filter(({ type }) => type === "fetch")).toHaveLength(1);
  });
});

const ending = (endMs: number) => wanted("a", 0, { conditions: { endMs } });

describe("conditions and execution", () => {
  it("fetches before the time frame opens and executes when it opens (OCO-21)", () => {
    const startMs = 60_000;
    const play = new Play().send({
      type: "directive",
      instructions: [wanted("a", 0, { conditions: { startMs } })],
    });

    const fetchedEarly = play.effects.some(({ type }) => type === "fetch");
    play.fetchAll();
    const before = play.jobs("execute").length;
    play.nowMs = startMs;
    play.send({ type: "tick" });

    expect([fetchedEarly, before, play.jobs("execute")]).toEqual([true, 0, ["a"]]);
    expect(play.effects).toContainEqual({ type: "wake", atMs: startMs });
  });

  it("OCO-6 ends what has not begun at its end, once, and stops its fetch", () => {
    const play = new Play().send({
      type: "directive",
      instructions: [wanted("a", 0, { conditions: { endMs: 1000 } })],
    });

    play.nowMs = 1000;
    play.send({ type: "tick" }, { type: "tick" });

    expect(play.jobs("expire")).toEqual(["a"]);
    expect(play.effects).toContainEqual({ type: "cancel", wish: wish("a") });
  });

  it("OCO-6 tells an expired job once, also over a restart of the agent", () => {
    const play = new Play();
    play.nowMs = 1000;
    play.send({ type: "directive", instructions: [ending(1000)] });
    const later = new Play();
    later.nowMs = 2000;
    later.state = initialState({ records: play.state.records, retryBaseMs: 1000 });

    later.send({ type: "directive", instructions: [ending(1000)] });

    expect([play.jobs("expire"), later.jobs("expire")]).toEqual([["a"], []]);
  });

  it("OCO-2 takes up an expired job when its end is moved", () => {
    const play = new Play();
    play.nowMs = 1000;
    play.send({ type: "directive", instructions: [ending(1000)] });
    play.send({ type: "directive", instructions: [ending(9000)] }).fetchAll();

    expect(play.jobs("execute")).toEqual(["a"]);
  });

  it("OCO-16 executes when the endpoint is back at an address of its ranges", () => {
    const addressRanges = "192.168.2.0/24";
    const play = directed(wanted("a", 0, { conditions: { addressRanges } }));

    play.send({ type: "moved", publicAddress: "10.8.0.4" });
    const away = play.jobs("execute").length;
    play.send({ type: "moved", publicAddress: "192.168.2.7" });

    expect([away, play.jobs("execute")]).toEqual([0, ["a"]]);
  });

  it("tells why a job waits once per reason", () => {
    const conditions = { startMs: 5000 };
    const play = directed(wanted("a", 0, { conditions }));

    play.send({ type: "tick" }, { type: "tick" });

    expect(play.effects.filter(({ type }) => type === "hold")).toHaveLength(1);
    expect(play.holdOf("a")).toBe("waits for its start until 1970-01-01T00:00:05.000Z");
  });

  it("brings the content of a cache instruction and never executes it (ZEN-17)", () => {
    const play = directed(wanted("a", 0, { purpose: "cache" }));

    expect(play.jobs("execute")).toEqual([]);
    expect(isQuiet(play.state, 0)).toBe(true);
  });
});
