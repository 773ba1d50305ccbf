import { describe, expect, it } from "vitest";
import { contradictions } from "../../../coordinator/core/plan/loops.ts";
import {
  catalogOf,
  codes,
  job,
  known,
  packageName,
  planAt,
  row,
  ruled,
  steps,
  succeed,
  waitingFor,
  wish,
  world,
} from "../../support/plan-world.ts";

const versions = [known("a/app@1"), known("a/app@2")];
const deploy = (name: string, createdMs: number) =>
  wish("a/app@1", { source: "deployment", name, createdMs });
const supersedes = (text: string, ...names: readonly string[]) =>
  ruled(text, { supersedes: names.map((name) => ({ name: packageName(name) })) });

describe("contradictions", () => {
  it("OCO-34 hands out nothing where a rule wants two versions with automatic uninstall, and names it", () => {
    const plan = planAt(world(versions, [wish("a/app@1"), wish("a/app@2")]));

    expect(steps(plan)).toEqual([]);
    expect(codes(plan, "a/app@1")).toEqual(["loop"]);
    expect(codes(plan, "a/app@2")).toEqual(["loop"]);
    expect(waitingFor(plan, "a/app@1")?.reasons[0]?.text).toContain("a/app@1 and a/app@2");
  });

  it("OCO-34 lets both be where neither takes the other off", () => {
    const both = ["a/app@1", "a/app@2"];
    const off = { schedule: { uninstallsOld: false } };

    expect(
      steps(
        planAt(
          world(
            versions,
            both.map((text) => wish(text, off)),
          ),
        ),
      ),
    ).toEqual(both);
    const tolerant = both.map((text) => ruled(text, { upgrade: "keep" }));
    expect(
      steps(
        planAt(
          world(
            tolerant,
            both.map((text) => wish(text)),
          ),
        ),
      ),
    ).toEqual(both);
  });

  it("OCO-34 never loops in 10 runs, also where one version is there already", () => {
    const input = world(versions, [wish("a/app@1"), wish("a/app@2")], {
      installed: [row("a/app@1")],
    });
    let now = input;
    for (let run = 0; run < 10; run++) now = succeed(now, 1000 + run);

    expect(now.installed).toEqual(input.installed);
  });

  it("OCO-34 holds presence against absence, from whatever sources", () => {
    const plan = planAt(
      world(
        versions,
        [
          wish("a/app@1", { source: "wishlist", name: "office x berlin" }),
          wish("a/app", { ensure: "absent" }),
        ],
        { installed: [row("a/app@1")] },
      ),
    );

    expect(steps(plan)).toEqual([]);
    expect(plan.waiting.map(({ reasons }) => reasons[0]?.code)).toEqual(["loop", "loop"]);
  });

  it("OCO-34 tells contradictions for whoever makes a rule", () => {
    const found = contradictions([wish("a/app@1"), wish("a/app")], catalogOf(versions));

    expect(found).toMatchObject([{ text: expect.stringContaining("rule/r") as string }]);
    expect(found[0]?.intents).toHaveLength(2);
    expect(contradictions([wish("a/app@1"), wish("b/app@1")], catalogOf(versions))).toEqual([]);
  });

  it("OCO-42 takes the other version at once when the group's entry is replaced", () => {
    const one = succeed(world(versions, [wish("a/app@1")]));

    expect(steps(planAt({ ...one, intents: [wish("a/app@2")] }))).toEqual([
      "uninstall a/app@1",
      "a/app@2",
    ]);
  });
});

describe("orders that run once", () => {
  it("lets the later order about a package count", () => {
    const plan = planAt(world(versions, [job("a/app@1", "old"), job("a/app@2", "new")]));

    expect(steps(plan)).toEqual(["a/app@2"]);
    expect(codes(plan, "a/app@1")).toEqual(["superseded"]);
  });

  it("does not bring back what a later order has taken off", () => {
    const one = succeed(world(versions, [job("a/app@1", "on")]));
    const off = job("a/app@1", "off", { operation: "uninstall" });
    const two = succeed({ ...one, intents: [...one.intents, off] }, 2000);

    expect(steps(planAt(two))).toEqual([]);
    expect(steps(planAt({ ...two, intents: one.intents }))).toEqual([]);
  });

  it("holds an order that a rule would undo, and goes on with the rule", () => {
    const one = succeed(world(versions, [wish("a/app@2")]));
    const plan = planAt({ ...one, intents: [...one.intents, job("a/app@1", "back")] });

    expect(steps(plan)).toEqual(["a/app@2"]);
    expect(codes(plan, "a/app@1")).toEqual(["loop"]);
  });

  it("makes an order for a deployment anew after the package was removed", () => {
    const one = succeed(world(versions, [deploy("d1", 1)]), 1000);
    const off = job("a/app@1", "off", { operation: "uninstall", createdMs: 1500 });
    const two = succeed({ ...one, intents: [...one.intents, off] }, 2000);

    const stale = planAt({ ...two, intents: [deploy("d1", 1)] });
    expect(steps(stale)).toEqual([]);
    expect(codes(stale, "a/app@1")).toEqual(["satisfied"]);
    expect(steps(planAt({ ...two, intents: [deploy("d1", 1), deploy("d2", 3000)] }))).toEqual([
      "a/app@1",
    ]);
  });
});

describe("supersedence", () => {
  it("uninstalls what a package takes the place of, and holds the wish for it", () => {
    const packages = [supersedes("a/new@1", "a/old"), known("a/old@1")];
    const installed = [row("a/old@1")];
    const plan = planAt(world(packages, [wish("a/old@1"), wish("a/new@1")], { installed }));

    expect(steps(plan)).toEqual(["uninstall a/old@1", "a/new@1"]);
    expect(codes(plan, "a/old")).toEqual(["superseded"]);
  });

  it("follows a chain of five and no longer", () => {
    const packages = [1, 2, 3, 4, 5, 6].map((at) => supersedes(`a/p${at}@1`, `a/p${at - 1}`));
    const all = [known("a/p0@1"), ...packages];
    const held = (top: string) => codes(planAt(world(all, [wish("a/p0@1"), wish(top)])), "a/p0");

    expect(held("a/p5@1")).toEqual(["superseded"]);
    expect(held("a/p6@1")).toEqual([]);
  });

  it("OCO-34 holds packages that take each other's place", () => {
    const packages = [supersedes("a/x@1", "a/y"), supersedes("a/y@1", "a/x")];
    const plan = planAt(world(packages, [wish("a/x@1"), wish("a/y@1")]));

    expect(steps(plan)).toEqual([]);
    expect(codes(plan, "a/x")).toEqual(["loop"]);
  });

  it("does not let a dependent take the place of what is wished", () => {
    const packages = [
      ruled("a/app@1", { dependencies: [{ name: packageName("a/new"), actionSet: "install" }] }),
      supersedes("a/new@1", "a/old"),
      known("a/old@1"),
    ];
    const plan = planAt(world(packages, [wish("a/app@1"), wish("a/old@1")]));

    expect(steps(plan)).toEqual(["a/old@1"]);
    expect(codes(plan, "a/app")).toEqual(["dependency", "conflict"]);
  });
});

describe("conflicts and requirements", () => {
  it("holds a package in conflict with one that is there or comes first", () => {
    const packages = [known("a/x@1"), ruled("a/y@1", { conflicts: [packageName("a/x")] })];

    const both = planAt(world(packages, [wish("a/x@1"), wish("a/y@1")]));
    expect(steps(both)).toEqual(["a/x@1"]);
    expect(waitingFor(both, "a/y")).toMatchObject({
      state: "conflict",
      reasons: [{ code: "conflict" }],
    });
    const reverse = planAt(world(packages, [wish("a/x@1")], { installed: [row("a/y@1")] }));
    expect(waitingFor(reverse, "a/x")?.state).toBe("conflict");
  });

  it.each([
    ["os", { os: ["win32" as const] }],
    ["osVersion", { osVersion: ">=13" }],
    ["arch", { arch: ["arm64"] }],
    ["memoryBytes", { memoryBytes: 9 * 2 ** 30 }],
    ["freeDiskBytes", { freeDiskBytes: 200_000_000_000 }],
    ["query", { query: "site = bonn or isServer" }],
  ])(
    "holds a package whose requirement of %s the endpoint does not meet",
    (_name, requirements) => {
      const plan = planAt(world([ruled("a/x@1", { requirements })], [wish("a/x@1")]));

      expect(steps(plan)).toEqual([]);
      expect(waitingFor(plan, "a/x")).toMatchObject({
        state: "incompatible",
        reasons: [{ code: "requirement" }],
      });
    },
  );

  it("hands out where all requirements hold, or where the endpoint has not told its facts yet", () => {
    const requirements = {
      os: ["linux" as const],
      osVersion: ">=12 <13",
      arch: ["x64"],
      memoryBytes: 4 * 2 ** 30,
      query: "site = berlin and memoryMb >= 8192",
    };
    const packages = [ruled("a/x@1", { requirements })];
    const { endpoint } = world([], []);

    expect(steps(planAt(world(packages, [wish("a/x@1")])))).toEqual(["a/x@1"]);
    const silent = { ...endpoint, os: undefined, arch: undefined, system: undefined };
    expect(steps(planAt(world(packages, [wish("a/x@1")], { endpoint: silent })))).toEqual([
      "a/x@1",
    ]);
  });
});
