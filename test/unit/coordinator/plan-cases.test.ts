/** Worlds that broke a law of the planner once, each as small as it could be made. */
import { describe, expect, it } from "vitest";
import type { Intent, PlanPackage } from "../../../coordinator/core/plan/plan-model.ts";
import type { PackageRules } from "../../../protocol/package-rules.ts";
import { PlanEndpoint } from "../../support/plan-endpoint.ts";
import { checkRest, checkSteps } from "../../support/plan-laws.ts";
import {
  codes,
  job,
  known,
  LAUNCHABLE,
  MONDAY_MS,
  needs,
  packageName,
  planAt,
  REMOVABLE,
  reported,
  row,
  ruled,
  steps,
  succeed,
  waitingFor,
  wish,
  world,
} from "../../support/plan-world.ts";

const HOUR_MS = 3_600_000;
const keepsOld = { uninstallsOld: false };
const bare = (text: string, rules: PackageRules = {}) => known(text, { rules });
const deploy = (text: string, more: Parameters<typeof wish>[1] = {}) =>
  wish(text, { source: "deployment", name: "d", ...more });
const gone = (text: string, more: Parameters<typeof wish>[1] = {}) =>
  wish(text, { ensure: "absent", ...more });

const cleanedBy = (text: string, cleaner: string): PlanPackage =>
  ruled(text, { dependencies: [{ name: packageName(cleaner), actionSet: "uninstall" }] });

/** Runs it to its end; `failures`: of the first tries, by version. */
function expectRest(
  packages: readonly PlanPackage[],
  intents: readonly Intent[],
  {
    before = [],
    failures = {},
  }: { before?: readonly string[]; failures?: Record<string, number> } = {},
): void {
  const nature = { packages, failures: new Map(Object.entries(failures)) };
  const one = { nature, intents, before, stops: [] };
  checkRest(one);
  checkSteps(one, []);
}

describe("uninstalling what another package takes the place of", () => {
  const packages = [
    cleanedBy("a/lib@1", "a/cleaner"),
    known("a/lib@3"),
    ruled("a/app@1", needs("a/lib")),
    known("a/cleaner@1"),
    ruled("a/new@1", { supersedes: [{ name: packageName("a/lib") }] }),
  ];
  const installed = [row("a/lib@1")];

  it("ZEN-13 brings what the uninstall needs before it, whether the uninstall is ordered or not", () => {
    const first = wish("a/app@1", { schedule: { priority: 5 } });
    const order = gone("a/lib@1", { source: "deployment", name: "off" });
    const all = ["a/cleaner@1", "uninstall a/lib@1", "a/lib@3", "a/app@1"];

    expect(steps(planAt(world(packages, [first], { installed })))).toEqual(all);
    expect(steps(planAt(world(packages, [first, order], { installed })))).toEqual(all);
    expectRest(packages, [order, first], { before: ["a/lib@1"] });
  });

  it("ZEN-13 does so for a package that supersedes another, which a rule wants gone, too", () => {
    const intents = [wish("a/new@1"), gone("a/lib", { name: "off" })];

    expect(steps(planAt(world(packages, intents, { installed })))).toEqual([
      "a/cleaner@1",
      "uninstall a/lib@1",
      "a/new@1",
    ]);
    expectRest(packages, intents, { before: ["a/lib@1"] });
  });

  it("ZEN-15 holds the new version where the uninstall of the old one lacks something, with the path", () => {
    const without = packages.filter(({ name }) => name !== "a/cleaner");
    for (const text of ["a/lib@3", "a/app@1"]) {
      const plan = planAt(world(without, [wish(text)], { installed }));

      expect(steps(plan)).toEqual([]);
      expect(codes(plan, text)).toEqual(["dependency", "noVersion"]);
      expect(waitingFor(plan, text)?.reasons[1]?.text).toContain("a/lib>a/cleaner");
    }
  });

  it("ZEN-15 holds what could only be uninstalled by what comes after it", () => {
    const circle = [...packages.slice(0, 3), ruled("a/cleaner@1", needs("a/app"))];
    const plan = planAt(world(circle, [wish("a/app@1")], { installed }));

    expect(steps(plan)).toEqual([]);
    expect(codes(plan, "a/app")).toEqual(["dependency", "loop"]);
    const successor = ruled("a/new@1", { supersedes: [{ name: packageName("a/lib") }] });
    const back = [packages[0]!, successor, ruled("a/cleaner@1", needs("a/new"))];
    const direct = [cleanedBy("a/lib@1", "a/new"), successor];
    for (const all of [back, direct]) {
      const held = planAt(world(all, [wish("a/new@1")], { installed }));
      expect(codes(held, "a/new")).toEqual(["dependency", "loop"]);
    }
  });

  describe("where the uninstall and what comes after it need versions that exclude each other", () => {
    const worker = [bare("a/lib@1"), bare("a/lib@3"), ruled("a/cleaner@1", needs("a/lib >=2"))];
    const next = ruled("a/tool@2", { ...LAUNCHABLE, ...needs("a/lib <2") });
    const tools = [...worker, next, cleanedBy("a/tool@3", "a/cleaner")];

    it("OCO-34 holds both an install and a launch, with the reason, and installs nothing twice", () => {
      for (const intent of [wish("a/tool@2"), job("a/tool@2", "go", { operation: "launch" })]) {
        const plan = planAt(world(tools, [intent], { installed: [row("a/tool@3")] }));

        expect(steps(plan)).toEqual([]);
        expect(codes(plan, "a/tool@2")).toEqual(["dependency", "conflict"]);
        expect(waitingFor(plan, "a/tool@2")?.reasons[1]?.text).toContain("a/lib@3");
        expectRest(tools, [intent], { before: ["a/tool@3"] });
      }
    });

    it("OCO-34 does so where the two stand below one primary, side by side or one below the other", () => {
      const lone = ruled("a/tool@2", {});
      const beside = [...worker, lone, tools[4]!, ruled("a/app@1", needs("a/lib <2", "a/tool <3"))];
      const below = [...tools, ruled("a/app@1", needs("a/tool <3"))];
      for (const all of [beside, below]) {
        const intents = [wish("a/app@1")];
        const plan = planAt(world(all, intents, { installed: [row("a/tool@3")] }));

        expect(steps(plan)).toEqual([]);
        expect(codes(plan, "a/app@1")).toEqual(["dependency", "conflict"]);
        expectRest(all, intents, { before: ["a/tool@3"] });
      }
    });
  });

  it("holds a package that cannot be there beside what only the uninstall needs", () => {
    const hostile = [
      ...packages.filter(({ version }) => version !== "3"),
      ruled("a/lib@3", { conflicts: [packageName("a/cleaner")] }),
    ];
    const plan = planAt(world(hostile, [wish("a/lib@3")], { installed }));

    expect(steps(plan)).toEqual([]);
    expect(codes(plan, "a/lib@3")).toEqual(["dependency", "conflict"]);
  });

  it("OCO-34 does not keep up in the same directive what an installer of a dependent replaces", () => {
    const versions = [
      bare("a/lib@1", { upgrade: "replaces" }),
      bare("a/lib@3", { detection: [{ kind: "file", path: "x" }] }),
      ruled("a/app@1", needs("a/lib <3")),
    ];
    const one = succeed(world(versions, [job("a/lib@3", "c")]));
    const intents = [...one.intents, wish("a/app@1")];

    expect(steps(planAt({ ...one, intents }))).toEqual(["a/lib@1", "a/app@1"]);
    expectRest(versions, intents);
  });
});

describe("orders that have had their time", () => {
  it("OCO-34 makes a deployment no more once its package was taken off, although an ended rule shares its job", () => {
    const ended = wish("a/app@1", {
      name: "ended",
      schedule: { ...keepsOld, endMs: MONDAY_MS + 4 * HOUR_MS },
    });
    const intents = [deploy("a/app@1"), ended, gone("a/app", { name: "off" })];

    expectRest([known("a/app@1")], intents);
    const endpoint = new PlanEndpoint({
      nature: { packages: [known("a/app@1")], failures: new Map() },
      intents,
      before: [],
    });
    for (let run = 0; run < 12; run++) endpoint.run();
    expect(endpoint.changes).toEqual(["+a/app@1", "-a/app@1"]);
  });

  it("OCO-34 makes it no more either where the rule that shares its job is held by a contradiction", () => {
    const order = deploy("a/app@1");
    const intents = [order, wish("a/app@1"), gone("a/app", { name: "off" })];
    const installed = [{ ...row("a/app@1"), removedMs: order.createdMs }];
    const plan = planAt(world([known("a/app@1")], intents, { installed }));

    expect(steps(plan)).toEqual([]);
    expect(codes(plan, "a/app@1")).toEqual(["loop"]);
  });

  it("OCO-34 does not go back to an older order when the later one fails", () => {
    const packages = [bare("a/app@1"), known("a/app@2")];
    const older = job("a/app@2", "older", { schedule: keepsOld });
    const later = deploy("a/app@1", { schedule: { attemptLimit: 2 } });

    expectRest(packages, [older, later], { before: ["a/app@2"], failures: { "a/app@1": 2 } });
    for (const text of ["a/app@1", "a/app@2"]) {
      const installed = [{ ...row(text), removedMs: MONDAY_MS }];
      const plan = planAt(world(packages, [older, later], { installed }));
      expect(codes(plan, "a/app@2")).toEqual(["superseded"]);
    }
  });

  it("OCO-34 does not bring back what the installer of a later order has replaced", () => {
    const packages = [
      bare("a/app@2", { upgrade: "replaces" }),
      bare("a/app@3", { detection: [{ kind: "file", path: "x" }] }),
    ];
    const order = ["2", "3"].map((version) =>
      job(`a/app@${version}`, version, { schedule: keepsOld }),
    );

    expectRest(packages, order, { before: ["a/app@2"] });
  });

  it("OCO-36 takes off once what a deployment wants gone, and leaves what comes later", () => {
    const order = gone("a/app@1", { source: "deployment", name: "off", createdMs: MONDAY_MS });
    const there = world([known("a/app@1")], [order], { installed: [row("a/app@1")] });
    const done = succeed(there, MONDAY_MS + 1);

    expect(steps(planAt(there))).toEqual(["uninstall a/app@1"]);
    const back = done.installed.map((one) => ({ ...one, sinceMs: MONDAY_MS + 2 }));
    const plan = planAt({ ...done, installed: back });
    expect(steps(plan)).toEqual([]);
    expect(codes(plan, "a/app@1")).toEqual(["satisfied"]);
    // It was on its way there when the order came: that is what the order means.
    const late = world([known("a/app@1")], [order], { installed: [row("a/app@1", MONDAY_MS + 2)] });
    expect(steps(planAt(late))).toEqual(["uninstall a/app@1"]);
  });

  it("SE-15 takes no older try for a repair of what another job has installed since", () => {
    const rule = wish("a/app@1", { schedule: { timeFrames: "8:00-12:00" } });
    const container = job("a/app@1", "c");

    expectRest([bare("a/app@1")], [rule, container], { failures: { "a/app@1": 2 } });
    const input = world([bare("a/app@1")], [container]);
    const [tried] = planAt(input).instructions;
    const failed = reported(input, tried!, "failed", { nowMs: MONDAY_MS });
    const installed = [row("a/app@1", MONDAY_MS + 1)];
    expect(codes(planAt({ ...failed, installed }), "a/app")).toEqual(["satisfied"]);
  });
});

it("ZEN-14 leaves the repair of a dependent that is done to the endpoint, whatever has changed there since", () => {
  const requirements = { os: ["win32" as const] };
  const packages = [
    bare("a/lib@1", { requirements, detection: [{ kind: "file", path: "x" }] }),
    ruled("a/app@1", needs("a/lib")),
  ];
  const { endpoint } = world([], []);
  const silent = { ...endpoint, os: undefined };
  const done = succeed(world(packages, [wish("a/app@1")], { endpoint: silent }));
  const scan = { software: [], atMs: MONDAY_MS + 1, isComplete: true };
  const plan = planAt({ ...done, scan, endpoint });

  expect(steps(plan)).toEqual(["a/lib@1", "a/app@1"]);
  expect(plan.waiting).toEqual([]);
});

describe("orders against what is needed", () => {
  const packages = [
    known("a/lib@2"),
    bare("a/lib@3", { requirements: { os: ["win32"] } }),
    ruled("a/app@1", needs("a/lib")),
  ];
  const off = gone("a/lib@2", { source: "deployment", name: "off" });

  it("OCO-34 takes no order to uninstall a version for a wish to have it", () => {
    const plan = planAt(world(packages, [off, wish("a/app@1")]));

    expect(steps(plan)).toEqual([]);
    expect(codes(plan, "a/app")).toEqual(["dependency", "requirement"]);
    expectRest(packages, [off, wish("a/app@1")]);
  });

  it("OCO-34 holds an order to uninstall the version that is left for a rule's package", () => {
    const two = [
      known("a/lib@2"),
      known("a/lib@3"),
      ruled("a/app@1", needs("a/lib")),
      ruled("a/new@1", { supersedes: [{ name: packageName("a/lib"), versions: ">=3" }] }),
    ];
    const intents = [wish("a/app@1"), wish("a/new@1", { name: "new" }), off];
    const plan = planAt(world(two, intents, { installed: [row("a/lib@2")] }));

    expect(steps(plan)).toEqual(["a/app@1", "a/new@1"]);
    expect(waitingFor(plan, "a/lib@2")?.reasons).toMatchObject([
      { code: "loop", text: expect.stringContaining("rule/r needs a/lib@2") as string },
    ]);
    expectRest(two, intents, { before: ["a/lib@2"] });
  });

  it("ZEN-13 takes off no version that one of several edges to a package needs", () => {
    const two = [known("a/lib@1"), known("a/lib@3"), ruled("a/app@1", needs("a/lib", "a/lib <2"))];
    const urgent = gone("a/lib@1", { source: "container", name: "off" });
    const intents = [urgent, job("a/app@1", "on")];
    const plan = planAt(world(two, intents, { installed: [row("a/lib@1")] }));

    expect(codes(plan, "a/lib@1")).toEqual(["loop"]);
    expectRest(two, intents, { before: ["a/lib@1"] });
  });

  it("OCO-34 holds an order that would be undone by what a rule needs, however urgent it is", () => {
    const two = [known("a/lib@1"), known("a/lib@3"), ruled("a/app@1", needs("a/lib >=2"))];
    const order = deploy("a/lib@1", { schedule: { priority: 5 } });
    const plan = planAt(world(two, [order, wish("a/app@1")]));

    expect(steps(plan)).toEqual(["a/lib@3", "a/app@1"]);
    expect(codes(plan, "a/lib@1")).toEqual(["loop"]);
    expectRest(two, [order, wish("a/app@1")]);
  });
});

describe("what has a say in what is needed", () => {
  const packages = [
    known("a/lib@1", { rules: { ...REMOVABLE, ...LAUNCHABLE } }),
    known("a/lib@3"),
    ruled("a/app@1", needs("a/lib >=2")),
  ];

  it("OCO-34 holds a launch of a version that would take off what a rule needs", () => {
    const launch = job("a/lib@1", "go", { operation: "launch", schedule: { priority: 5 } });
    const plan = planAt(world(packages, [launch, wish("a/app@1")]));

    expect(steps(plan)).toEqual(["a/lib@3", "a/app@1"]);
    expect(codes(plan, "a/lib@1")).toEqual(["loop"]);
  });

  it("keeps nothing up for an ended rule, although an order that was done shares its job", () => {
    const tools = [ruled("a/tool@1", needs("a/lib <3")), ...packages.slice(0, 2)];
    const order = deploy("a/tool@1");
    const ended = wish("a/tool@1", { name: "ended", schedule: { endMs: MONDAY_MS + 1 } });
    const done = succeed(world(tools, [order, ended]));
    const intents = [order, ended, job("a/lib@3", "newer")];

    expect(codes(planAt({ ...done, intents }), "a/lib@3")).toEqual(["loop"]);
    expect(steps(planAt({ ...done, intents }, MONDAY_MS + 2))).toEqual([
      "a/tool@1",
      "uninstall a/lib@1",
      "a/lib@3",
    ]);
  });
});

describe("several wishes for one version", () => {
  const packages = [
    ruled("a/lib@1", { upgrade: "keep" }),
    bare("a/lib@2", { requirements: { os: ["win32"] } }),
    ruled("a/app@1", needs("a/lib <2")),
  ];
  const intents = [
    wish("a/lib", { name: "beside", schedule: keepsOld }),
    wish("a/app", { name: "app" }),
    wish("a/lib", { name: "alone" }),
  ];

  it("OCO-41 takes no older one beside it where one of them takes that off, in whatever order they come", () => {
    for (const all of [intents, intents.toReversed()]) {
      const plan = planAt(world(packages, all));

      expect(steps(plan)).toEqual([]);
      expect(codes(plan, "a/app")).toEqual(["dependency", "conflict"]);
    }
  });
});

describe("what excludes what", () => {
  it("OCO-34 holds versions that are installed over each other, for want of an uninstall", () => {
    const versions = ["a/app@1", "a/app@2"].map((text) => bare(text));
    const plan = planAt(
      world(
        versions,
        versions.map((one) => wish(`a/app@${one.version}`, { schedule: keepsOld })),
      ),
    );

    expect(steps(plan)).toEqual([]);
    expect(plan.waiting.map(({ reasons }) => reasons[0]?.code)).toEqual(["loop", "loop"]);
  });

  it("leaves an older version where its wish says so, also where a circle of successors leads back to it", () => {
    const circle = [
      known("a/x@1"),
      ruled("a/x@2", { supersedes: [{ name: packageName("a/y") }] }),
      ruled("a/y@1", { supersedes: [{ name: packageName("a/x") }] }),
    ];
    const input = world(circle, [wish("a/x@2", { schedule: keepsOld })], {
      installed: [row("a/x@1")],
    });

    expect(steps(planAt(input))).toEqual(["a/x@2"]);
  });
});
