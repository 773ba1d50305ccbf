import { describe, expect, it } from "vitest";
import { OriginChoice } from "../../../node/core/exchange/origin-choice.ts";
import { parseDigest } from "../../../protocol/ids.ts";

const app = parseDigest("a".repeat(64));
const tool = parseDigest("b".repeat(64));
const first = { url: "https://first.example" };
const second = { url: "https://second.example" };
const both = [first, second];

describe("the choice of a plain origin", () => {
  it("keeps the operator's order, and passes by what failed until its pause is over", () => {
    const choice = new OriginChoice();
    const before = choice.open(both, app, 0);
    choice.failed(first.url, app, "unreachable", 0);

    expect(before).toEqual(both);
    expect(choice.open(both, app, 4999)).toEqual([second]);
    expect(choice.open(both, app, 5000)).toEqual(both);
  });

  it("doubles the pause with every failure up to five minutes, and begins anew after a success", () => {
    const choice = new OriginChoice();
    let nowMs = 0;
    const pauses: number[] = [];
    for (let times = 0; times < 8; times++) {
      choice.failed(first.url, app, "broken", nowMs);
      const fromMs = nowMs;
      while (choice.open([first], app, nowMs).length === 0) nowMs += 1000;
      pauses.push(nowMs - fromMs);
    }
    choice.worked(first.url, app);
    choice.failed(first.url, app, "broken", nowMs);

    expect(pauses).toEqual([5000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
    expect(choice.open([first], app, nowMs + 5000)).toEqual([first]);
  });

  it("takes transfers that break together for one failure", () => {
    const choice = new OriginChoice();
    for (const nowMs of [0, 10, 20]) choice.failed(first.url, app, "broken", nowMs);

    expect(choice.open([first], app, 5000)).toEqual([first]);
  });

  it("passes an origin that lacks a package by for this package only", () => {
    const choice = new OriginChoice();
    choice.failed(first.url, app, "absent", 0);

    expect(choice.open(both, app, 1)).toEqual([second]);
    expect(choice.open(both, tool, 1)).toEqual(both);
  });

  it("does not trust other bytes with the line for five minutes", () => {
    const choice = new OriginChoice();
    choice.failed(first.url, app, "corrupt", 0);

    expect(choice.open([first], app, 299_999)).toEqual([]);
    expect(choice.open([first], app, 300_000)).toEqual([first]);
  });
});
