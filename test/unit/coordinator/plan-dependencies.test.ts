import { describe, expect, it } from "vitest";
import { closureOf } from "../../../coordinator/core/plan/dependencies.ts";
import { packageRefText } from "../../../protocol/ids.ts";
import {
  catalogOf,
  codes,
  job,
  known,
  MONDAY_MS,
  needs,
  packageName,
  planAt,
  reported,
  row,
  ruled,
  steps,
  succeed,
  waitingFor,
  wish,
  world,
} from "../../support/plan-world.ts";

/** A needs B, C, D; B needs B1 and B2; E needs D. */
const chain = [
  ruled("a/a@1", needs("a/b", "a/c", "a/d")),
  ruled("a/b@1", needs("a/b1", "a/b2")),
  ruled("a/e@1", needs("a/d")),
  ...["a/b1@1", "a/b2@1", "a/c@1", "a/d@1"].map((text) => known(text)),
];
const without = (text: string) => chain.filter((one) => packageRefText(one) !== text);

describe("chains", () => {
  it("ZEN-6 ZEN-7 ZEN-8 ZEN-13 brings all dependents of all levels before the primary", () => {
    const order = steps(planAt(world(chain, [wish("a/a@1")])));

    expect(order).toEqual(["a/b1@1", "a/b2@1", "a/b@1", "a/c@1", "a/d@1", "a/a@1"]);
  });

  it("ZEN-13 makes each wait for its own dependents", () => {
    const { instructions } = planAt(world(chain, [wish("a/a@1")]));
    const byName = new Map(instructions.map((one) => [one.ref.name as string, one]));
    const names = (name: string) =>
      byName
        .get(name)
        ?.after?.map((id) => instructions.find(({ job: own }) => own === id)?.ref.name);

    expect(names("a/a")).toEqual(["a/b", "a/c", "a/d"]);
    expect(names("a/b")).toEqual(["a/b1", "a/b2"]);
    expect(byName.get("a/b1")?.after).toBeUndefined();
  });

  it("ZEN-13 puts nothing behind what has its place, and leaves an old version where its wish says so", () => {
    const packages = [known("a/b@1"), known("a/b@3"), ruled("a/c@1", needs("a/b"))];
    const kept = wish("a/b@3", { schedule: { uninstallsOld: false } });
    const plan = planAt(world(packages, [kept, wish("a/c@1")], { installed: [row("a/b@1")] }));

    expect(steps(plan)).toEqual(["a/b@3", "a/c@1"]);
  });

  it("ZEN-9 does not start the primary without one at the end of the chain, and names the path", () => {
    const plan = planAt(world(without("a/b2@1"), [wish("a/a@1")]));

    expect(steps(plan)).toEqual([]);
    expect(waitingFor(plan, "a/a")?.reasons).toMatchObject([
      { code: "dependency", text: expect.stringContaining("a/a>a/b>a/b2") as string },
      { code: "noVersion", text: expect.stringContaining("a/b2") as string },
    ]);
  });

  it("ZEN-10 ZEN-14 installs a dependent of two primaries once, for both", () => {
    const both = planAt(
      world(chain, [wish("a/a@1", { name: "one" }), wish("a/e@1", { name: "two" })]),
    );
    const shared = both.instructions.filter(({ ref }) => ref.name === "a/d");

    expect(shared).toHaveLength(1);
    expect(shared[0]?.from).toEqual(["rule/one", "rule/two"]);
    const later = succeed(world(chain, [wish("a/a@1")]));
    const second = planAt({ ...later, intents: [...later.intents, wish("a/e@1")] });
    const before = planAt(later).instructions.find(({ ref }) => ref.name === "a/d");
    expect(second.instructions.find(({ ref }) => ref.name === "a/d")).toMatchObject({
      job: before?.job,
      revision: before?.revision,
    });
  });

  it("ZEN-14 brings a dependent again when its version is updated, and tries a failed one again", () => {
    const first = world(chain, [wish("a/e@1")]);
    const [dependent] = planAt(first).instructions;

    expect(steps(planAt(reported(first, dependent!, "failed", { attempt: 1 })))).toContain("a/d@1");
    const updated = [...chain, known("a/d@2")];
    const done = succeed(first);
    expect(
      steps(planAt(world(updated, done.intents, { ...done, packages: catalogOf(updated) }))),
    ).toEqual(["uninstall a/d@1", "a/d@2", "a/e@1"]);
  });

  it("ZEN-11 ZEN-12 delivers a dependent that nobody wishes, and no primary for its dependent's sake", () => {
    expect(steps(planAt(world(chain, [wish("a/e@1")])))).toEqual(["a/d@1", "a/e@1"]);
    expect(steps(planAt(world(chain, [wish("a/d@1")])))).toEqual(["a/d@1"]);
  });

  it("ZEN-15 blocks the primary where a dependent does not fit the endpoint", () => {
    const packages = [
      ruled("a/a@1", needs("a/b")),
      ruled("a/b@1", { requirements: { memoryBytes: 64 * 2 ** 30 } }),
    ];
    const plan = planAt(world(packages, [wish("a/a@1")]));

    expect(steps(plan)).toEqual([]);
    expect(waitingFor(plan, "a/a")?.state).toBe("waiting");
    expect(codes(plan, "a/a")).toEqual(["dependency", "requirement"]);
    expect(waitingFor(plan, "a/a")?.reasons[0]?.text).toContain("a/a>a/b");
  });

  it("ZEN-15 blocks the primary when a dependent has failed for good", () => {
    const input = world(chain, [wish("a/e@1")]);
    const [dependent] = planAt(input).instructions;
    const plan = planAt(reported(input, dependent!, "failed", { attempt: 3 }));

    expect(steps(plan)).toEqual([]);
    expect(codes(plan, "a/e")).toEqual(["dependency", "attemptsExhausted"]);
    const anew = { ...reported(input, dependent!, "failed", { attempt: 3 }) };
    expect(steps(planAt({ ...anew, resets: new Map([[packageName("a/d"), 1]]) }))).toEqual([
      "a/d@1",
      "a/e@1",
    ]);
  });

  it("refuses a circle and names it", () => {
    const packages = [
      ruled("a/x@1", needs("a/y")),
      ruled("a/y@1", needs("a/z")),
      ruled("a/z@1", needs("a/x")),
    ];
    const plan = planAt(world(packages, [wish("a/x@1")]));

    expect(steps(plan)).toEqual([]);
    expect(waitingFor(plan, "a/x")?.reasons).toMatchObject([
      { code: "dependency" },
      { code: "loop", text: expect.stringContaining("a/x>a/y>a/z>a/x") as string },
    ]);
  });
});

describe("versions of dependents", () => {
  const libraries = ["a/lib@1", "a/lib@1.5", "a/lib@2"].map((text) => known(text));

  it("takes the newest active version that fits", () => {
    const packages = [...libraries, ruled("a/a@1", needs("a/lib <2"))];

    expect(steps(planAt(world(packages, [wish("a/a@1")])))).toEqual(["a/lib@1.5", "a/a@1"]);
  });

  it("takes one version that fits all primaries where there is one", () => {
    const packages = [
      ...libraries,
      ruled("a/a@1", needs("a/lib")),
      ruled("a/e@1", needs("a/lib <2")),
    ];

    expect(steps(planAt(world(packages, [wish("a/a@1"), wish("a/e@1")])))).toEqual([
      "a/lib@1.5",
      "a/a@1",
      "a/e@1",
    ]);
  });

  it("takes the version that is wished for itself, and blocks where that does not fit", () => {
    const packages = [
      ...libraries,
      ruled("a/a@1", needs("a/lib")),
      ruled("a/e@1", needs("a/lib >=2")),
    ];
    const wished = wish("a/lib@1");

    expect(steps(planAt(world(packages, [wish("a/a@1"), wished])))).toEqual(["a/lib@1", "a/a@1"]);
    const blocked = planAt(world(packages, [wish("a/e@1"), wished]));
    expect(steps(blocked)).toEqual(["a/lib@1"]);
    expect(codes(blocked, "a/e")).toEqual(["dependency", "conflict"]);
  });

  it("does not take off what something else needs, and says so on both sides", () => {
    const packages = [...libraries, ruled("a/a@1", needs("a/lib"))];
    const plan = planAt(
      world(packages, [wish("a/a@1"), wish("a/lib", { ensure: "absent" })], {
        installed: [row("a/lib@2")],
      }),
    );

    expect(steps(plan)).toEqual([]);
    expect(codes(plan, "a/a")).toEqual(["dependency", "loop"]);
    expect(codes(plan, "a/lib")).toEqual(["loop"]);
  });

  it("brings a dependent of the uninstall set before the uninstall only", () => {
    const rules = {
      dependencies: [{ name: packageName("a/cleaner"), actionSet: "uninstall" as const }],
    };
    const packages = [ruled("a/a@1", rules), known("a/cleaner@1")];

    expect(steps(planAt(world(packages, [wish("a/a@1")])))).toEqual(["a/a@1"]);
    const off = world(packages, [wish("a/a", { ensure: "absent" })], { installed: [row("a/a@1")] });
    expect(steps(planAt(off))).toEqual(["a/cleaner@1", "uninstall a/a@1"]);
  });

  it("closureOf lists all that a package needs by the newest versions, for whoever replicates or exports", () => {
    const find = (text: string) => chain.find((one) => packageRefText(one) === text)!;
    const { below, problem } = closureOf(find("a/a@1"), catalogOf(chain));

    expect(below.map(packageRefText)).toEqual(["a/b1@1", "a/b2@1", "a/b@1", "a/c@1", "a/d@1"]);
    expect(problem).toBeUndefined();
    const broken = closureOf(find("a/a@1"), catalogOf(without("a/b2@1")));
    expect(broken.problem?.path).toEqual(["a/a", "a/b", "a/b2"]);
  });
});

describe("launching", () => {
  const onLaunch = {
    kind: "execute" as const,
    command: ["start"],
    shell: false,
    captureExitCode: true,
    timeoutSec: 60,
    successCodes: [0],
  };
  const packages = [ruled("a/a@1", { ...needs("a/b"), onLaunch }), ruled("a/b@1", { onLaunch })];

  it("ZEN-13 ZEN-19 installs what is missing first, and runs the dependents' launch actions too", () => {
    const input = world(packages, [job("a/a@1", "go", { operation: "launch" })]);

    expect(steps(planAt(input))).toEqual(["a/b@1", "a/a@1", "launch a/b@1", "launch a/a@1"]);
    const done = succeed(input);
    expect(steps(planAt(done))).toEqual([]);
    const again = { ...done, intents: [job("a/a@1", "again", { operation: "launch" })] };
    expect(steps(planAt(again)).filter((step) => step.startsWith("launch"))).toEqual([
      "launch a/b@1",
      "launch a/a@1",
    ]);
  });

  it("SE-21 launches nothing whose install has failed for good, and tries that no more", () => {
    const input = world(packages.slice(1), [job("a/b@1", "go", { operation: "launch" })]);
    const [install] = planAt(input).instructions;
    const plan = planAt(reported(input, install!, "failed", { attempt: 3 }));

    expect(steps(plan)).toEqual([]);
    expect(codes(plan, "a/b")).toEqual(["dependency", "attemptsExhausted"]);
  });

  it("SE-21 launches nothing whose dependent's launch has failed for good, and names that", () => {
    const input = succeed(world(packages, [wish("a/a@1")]));
    const launching = { ...input, intents: [job("a/a@1", "go", { operation: "launch" })] };
    const [first] = planAt(launching).instructions.filter(
      ({ operation }) => operation === "launch",
    );
    const plan = planAt(reported(launching, first!, "failed", { attempt: 3 }));

    expect(first?.ref.name).toBe("a/b");
    expect(steps(plan)).toEqual([]);
    expect(codes(plan, "a/a")).toEqual(["dependency", "attemptsExhausted"]);
    const anew = { ...reported(launching, first!, "failed", { attempt: 3 }) };
    const resets = new Map([[packageName("a/b"), 1]]);
    expect(steps(planAt({ ...anew, resets })).slice(-2)).toEqual(["launch a/b@1", "launch a/a@1"]);
  });

  it("OCO-34 launches no version beside one that a rule keeps up in its place", () => {
    const versions = [...packages.slice(1), known("a/b@2")];
    const plan = planAt(
      world(versions, [job("a/b@1", "go", { operation: "launch" }), wish("a/b@2")]),
    );

    expect(steps(plan)).toEqual(["a/b@2"]);
    expect(codes(plan, "a/b@1")).toEqual(["loop"]);
  });

  it("does not repeat a launch that succeeded", () => {
    const input = world(packages, [
      job("a/a@1", "go", { operation: "launch", createdMs: MONDAY_MS }),
    ]);

    expect(codes(planAt(succeed(input)), "a/a")).toEqual(["satisfied"]);
  });
});
