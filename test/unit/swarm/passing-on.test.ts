/** A holder that cannot pass on what it fetches leaves the line to others. */
import { describe, expect, it } from "vitest";
import { PassingOn } from "../../../node/core/exchange/passing-on.ts";

function heardOf(fetched: readonly number[], nowMs: number): PassingOn {
  const passing = new PassingOn();
  for (const index of fetched) passing.fetched(index, nowMs);
  passing.heard(nowMs + 1000);
  return passing;
}

describe("what a holder fetched", () => {
  it("may not become more than three fragments that nobody has taken", () => {
    const passing = heardOf([1, 2, 3], 1000);
    expect(passing.mayFetch(2000)).toBe(false);
    passing.taken(2, 1500);

    expect(passing.mayFetch(2000)).toBe(true);
  });

  it("makes it step down when three wait for a second", () => {
    expect(heardOf([1, 2, 3], 1000).isFailing(1999)).toBe(false);
    expect(heardOf([1, 2, 3], 1000).isFailing(2000)).toBe(true);
    expect(heardOf([1, 2], 1000).isFailing(2000)).toBe(false);
  });

  it("may be further ahead once neighbours have taken three: one may be a small page", () => {
    const passing = heardOf([0, 7, 8], 1000);
    for (const index of [0, 7]) passing.taken(index, 1500);
    for (let index = 1; index <= 2; index++) passing.fetched(index, 2000);
    expect(passing.mayFetch(2000)).toBe(false);
    passing.taken(8, 1900);
    for (let index = 3; index <= 6; index++) passing.fetched(index, 2000);

    expect(passing.mayFetch(2000)).toBe(true);
    expect(passing.isFailing(3000)).toBe(true);
    expect(passing.mayFetch(3000)).toBe(false);
  });

  it("proves nothing where it was taken late: a slow port gives out its own in the end, too", () => {
    const passing = heardOf([0, 1, 2], 1000);
    for (const index of [0, 1, 2]) passing.taken(index, 2500);
    for (const index of [3, 4, 5]) passing.fetched(index, 2500);

    expect(passing.mayFetch(2600)).toBe(false);
  });

  it("could go to nobody before the first neighbour came, who gets a second to take it", () => {
    const passing = new PassingOn();
    for (const index of [1, 2, 3]) passing.fetched(index, 1000);
    passing.accompanied(5000);

    expect(passing.isFailing(5500)).toBe(false);
    expect(passing.isFailing(6000)).toBe(true);
  });

  it("is held against nobody whose neighbours are silent, or who has none", () => {
    const lone = new PassingOn();
    for (let index = 0; index < 20; index++) lone.fetched(index, 1000);
    expect(lone.mayFetch(1500)).toBe(true);
    expect(lone.isFailing(4000)).toBe(false);

    const silent = heardOf([1, 2, 3], 1000);
    expect(silent.isFailing(4100)).toBe(false);
    expect(silent.mayFetch(4100)).toBe(true);
  });

  it("is forgotten after 10 s: somebody else will have brought it", () => {
    const passing = heardOf([1, 2, 3], 1000);
    passing.heard(11_500);
    expect(passing.isFailing(11_500)).toBe(false);
    expect(passing.mayFetch(11_500)).toBe(true);
  });
});
