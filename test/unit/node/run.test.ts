import { describe, expect, it } from "vitest";
import { firstRun, runStep, type RunEffect, type RunEvent } from "../../../node/core/run.ts";

const MINUTE_MS = 60_000;

class Cycle {
  state;
  nowMs = 0;
  readonly effects: RunEffect[] = [];

  constructor(intervalMs: number) {
    this.state = firstRun(0, intervalMs);
  }

  send(...events: readonly RunEvent[]): this {
    for (const event of events) {
      const next = runStep(this.state, event, this.nowMs);
      this.state = next.state;
      this.effects.push(...next.effects);
    }
    return this;
  }

  /** A whole run without anything to do. */
  pass(): this {
    return this.send(
      { type: "tick" },
      { type: "scanned", count: 3 },
      { type: "asked" },
      { type: "quiet" },
      { type: "rescanned", count: 3, isChanged: false },
    );
  }

  types(): readonly string[] {
    return this.effects.map(({ type }) => type).filter((type) => type !== "wake");
  }
}

describe("the run", () => {
  it("SE-12 SE-13 SE-17 SE-18 scans, fetches the wishlist, acts, scans again and then sends the log", () => {
    const cycle = new Cycle(10 * MINUTE_MS);
    cycle.nowMs = 2000;

    cycle.pass();

    expect(cycle.types()).toEqual(["scan", "checkIn", "act", "rescan", "finish"]);
    const finish = cycle.effects.find(({ type }) => type === "finish");
    const entries = finish?.type === "finish" ? finish.entries : [];
    expect(entries.map(({ step }) => step)).toEqual(["scan", "wishlist", "log", "rescan"]);
  });

  it("SE-11 runs shortly after the start and then in the interval, from start to start", () => {
    const cycle = new Cycle(2 * MINUTE_MS);
    const starts: number[] = [];
    for (cycle.nowMs = 0; cycle.nowMs < 7 * MINUTE_MS; cycle.nowMs += 1000) {
      const before = cycle.types().length;
      cycle.pass();
      if (cycle.types().length > before) starts.push(cycle.nowMs);
    }

    expect(starts).toEqual([2000, 122_000, 242_000, 362_000]);
  });

  it("SE-11 does not make up for runs that were slept through", () => {
    const cycle = new Cycle(2 * MINUTE_MS);
    cycle.nowMs = 60 * MINUTE_MS;

    cycle.pass().send({ type: "tick" });

    expect(cycle.types().filter((type) => type === "scan")).toHaveLength(1);
    expect(cycle.effects.at(-1)).toEqual({ type: "wake", atMs: 60 * MINUTE_MS + 2000 });
  });

  it("acts by the last wishlist where the coordinator does not answer, and says so", () => {
    const cycle = new Cycle(MINUTE_MS);
    cycle.nowMs = 2000;

    cycle.send(
      { type: "tick" },
      { type: "scanned", count: 1 },
      { type: "asked", problem: "no answer" },
    );

    expect(cycle.types()).toContain("act");
    expect(cycle.state).toMatchObject({ entries: [{}, { step: "wishlist", text: "no answer" }] });
  });

  it("closes work of a check-in between two runs with log and scan, and keeps the interval", () => {
    const cycle = new Cycle(10 * MINUTE_MS);
    cycle.nowMs = 2000;
    const before = cycle.pass().types().length;
    cycle.nowMs = MINUTE_MS;

    cycle.send({ type: "acted" }, { type: "quiet" });
    cycle.send({ type: "rescanned", count: 4, isChanged: true });

    expect(cycle.types().slice(before)).toEqual(["rescan", "finish"]);
    expect(cycle.state).toMatchObject({ kind: "idle", nextMs: 2000 + 10 * MINUTE_MS });
  });

  it("does not wait for ever for jobs that are still under way", () => {
    const cycle = new Cycle(10 * MINUTE_MS);
    cycle.nowMs = 2000;
    cycle.send({ type: "tick" }, { type: "scanned", count: 1 }, { type: "asked" });

    cycle.nowMs += 61 * MINUTE_MS;
    cycle.send({ type: "tick" });

    expect(cycle.types().at(-1)).toBe("rescan");
  });

  it("ignores what belongs to another step", () => {
    const cycle = new Cycle(MINUTE_MS);

    cycle.send({ type: "quiet" }, { type: "asked" }, { type: "scanned", count: 1 });

    expect(cycle.types()).toEqual([]);
  });
});
