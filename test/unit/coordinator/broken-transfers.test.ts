import { describe, expect, it } from "vitest";
import { a, b, c, granted, Site } from "../../support/gate-site.ts";

describe("a transfer that breaks off", () => {
  it("frees all that a holder has when its transfer breaks and nothing else flows to it", () => {
    const site = new Site();
    site.ask(a, [1, 2, 3]);
    site.tell("begin", a, 1);
    site.tell("broken", a, 1);
    site.nowMs += 1000;

    expect(granted(site.ask(b, [1, 2, 3]))).toEqual([2, 3, 1]);
  });

  it("leaves a broken transfer to its holder for 1 s, then to others", () => {
    const site = new Site();
    site.ask(a, [1, 2]);
    site.tell("broken", a, 1);
    site.nowMs += 900;
    expect(site.ask(b, [1]).grants).toEqual([]);
    // Another transfer of the same holder says nothing about the broken one.
    site.tell("progress", a, 2);
    site.nowMs += 100;
    expect(granted(site.ask(b, [1, 2]))).toEqual([1]);
  });

  it("gives what broke off to the one that has its beginning, and to others last", () => {
    const site = new Site();
    site.ask(a, [1, 2]);
    site.tell("broken", a, 1);
    site.nowMs += 6000;

    expect(granted(site.ask(b, [1, 3, 4], { most: 2 }))).toEqual([3, 4]);
    expect(granted(site.ask(a, [1, 5], { most: 1 }))).toEqual([1]);
    site.tell("broken", a, 1);
    site.nowMs += 6000;
    // Its holder may be gone for good.
    expect(granted(site.ask(b, [1], { most: 1 }))).toEqual([1]);
  });

  it("takes back that a fragment was served when it turns out not to have arrived", () => {
    const site = new Site();
    site.ask(a, [1, 2]);
    site.tell("served", a, 1);
    site.tell("served", b, 2);

    site.tell("broken", a, 1);
    site.tell("broken", a, 2);

    expect(granted(site.ask(c, [1, 2]))).toEqual([1]);
  });

  it("gives the holder of a broken transfer its whole time again when it asks", () => {
    const site = new Site();
    site.ask(a, [1]);
    site.tell("broken", a, 1);
    expect(granted(site.ask(a, [1]))).toEqual([1]);
    site.nowMs += 4900;
    expect(site.ask(b, [1]).grants).toEqual([]);
  });

  it("does not let a broken transfer of somebody else touch a lease", () => {
    const site = new Site();
    site.ask(a, [1]);
    site.tell("broken", b, 1);
    site.nowMs += 2000;

    expect(site.ask(b, [1]).grants).toEqual([]);
  });
});
