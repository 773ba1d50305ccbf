import { describe, expect, it } from "vitest";
import {
  codes,
  job,
  known,
  MONDAY_MS,
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

describe("activation and versions", () => {
  it("OCS-5 lets a wish for an inactive package wait with the reason", () => {
    const plan = planAt(world([known("a/app@1", { isActive: false })], [wish("a/app@1")]));

    expect(steps(plan)).toEqual([]);
    expect(codes(plan, "a/app")).toEqual(["notActive"]);
  });

  it("OCS-6 plans nothing that nobody wishes", () => {
    expect(steps(planAt(world([known("a/app@1"), known("a/away@1")], [wish("a/app@1")])))).toEqual([
      "a/app@1",
    ]);
  });

  it("waits for a version that nobody has published", () => {
    const plan = planAt(world([], [wish("a/app@1"), wish("a/new")]));

    expect(codes(plan, "a/app@1")).toEqual(["noVersion"]);
    expect(codes(plan, "a/new")).toEqual(["noVersion"]);
    expect(waitingFor(plan, "a/new")?.ref.version).toBeUndefined();
  });

  it("takes the newest active version for latest, and never goes back", () => {
    const packages = [
      known("a/app@1.9"),
      known("a/app@1.10"),
      known("a/app@2", { isActive: false }),
    ];
    const latest = [wish("a/app", { ensure: "latest" })];

    expect(steps(planAt(world(packages, latest)))).toEqual(["a/app@1.10"]);
    const ahead = planAt(world(packages, latest, { installed: [row("a/app@2")] }));
    expect(steps(ahead)).toEqual([]);
    expect(waitingFor(ahead, "a/app")?.state).toBe("alreadyInstalled");
  });

  it("D8 updateOnly touches only what is there", () => {
    const packages = [known("a/app@1"), known("a/app@2")];
    const update = [wish("a/app", { ensure: "updateOnly" })];

    expect(steps(planAt(world(packages, update)))).toEqual([]);
    expect(codes(planAt(world(packages, update)), "a/app")).toEqual(["satisfied"]);
    expect(steps(planAt(world(packages, update, { installed: [row("a/app@1")] })))).toEqual([
      "uninstall a/app@1",
      "a/app@2",
    ]);
  });

  it("OCO-33 takes the newer procedure of a version, and does not install the same version again", () => {
    const packages = [known("a/app@1"), known("a/app@1+2")];

    const both = planAt(world(packages, [wish("a/app@1"), wish("a/app@1+2")]));
    expect(steps(both)).toEqual(["a/app@1+2"]);
    expect(codes(both, "a/app@1")).toEqual(["superseded"]);
    const again = planAt(world(packages, [wish("a/app@1+2")], { installed: [row("a/app@1")] }));
    expect(steps(again)).toEqual([]);
    expect(waitingFor(again, "a/app")?.state).toBe("alreadyInstalled");
  });
});

describe("what is there already", () => {
  it("SE-15 installs nothing that is installed, unless it is forced", () => {
    const input = world([known("a/app@1")], [job("a/app@1", "c")], { installed: [row("a/app@1")] });

    expect(steps(planAt(input))).toEqual([]);
    expect(waitingFor(planAt(input), "a/app")).toMatchObject({
      state: "alreadyInstalled",
      reasons: [{ code: "satisfied" }],
    });
    const forced = planAt({ ...input, intents: [job("a/app@1", "c", { isForced: true })] });
    expect(forced.instructions).toMatchObject([{ force: true }]);
  });

  it("keeps what is done in the directive, so that it is repaired and served", () => {
    const done = succeed(world([known("a/app@1")], [wish("a/app@1")]));

    expect(planAt(done)).toEqual(planAt(world([known("a/app@1")], done.intents)));
  });

  it("SE-19 trusts a later scan more than its own record", () => {
    const detection = [{ kind: "file" as const, path: "app.txt" }];
    const input = world([ruled("a/app@1", { detection })], [wish("a/app@1")], {
      installed: [row("a/app@1", 10)],
    });

    expect(steps(planAt(input))).toEqual([]);
    const scan = { software: [], atMs: 20, isComplete: true };
    expect(steps(planAt({ ...input, scan }))).toEqual(["a/app@1"]);
    const found = { name: "a/app", version: "1", source: "rule" as const };
    expect(steps(planAt({ ...input, scan: { ...scan, software: [found] } }))).toEqual([]);
  });

  it("SE-19 leaves the order for a repair with the endpoint until its scan is there", () => {
    const input = world([known("a/app@1")], [wish("a/app@1")]);
    const [instruction] = planAt(input).instructions;
    const installed = reported(input, instruction!, "succeeded");
    const gone = reported(installed, instruction!, "waiting", { attempt: 1 });

    expect(steps(planAt(gone))).toEqual(["a/app@1"]);
  });

  it("OCO-41 uninstalls the old version before the new one, unless that is switched off", () => {
    const packages = [known("a/app@1"), known("a/app@2")];
    const installed = [row("a/app@1")];
    const plan = planAt(world(packages, [wish("a/app@2")], { installed }));

    expect(steps(plan)).toEqual(["uninstall a/app@1", "a/app@2"]);
    expect(plan.instructions[1]?.after).toEqual([plan.instructions[0]?.job]);
    const off = [wish("a/app@2", { schedule: { uninstallsOld: false } })];
    expect(steps(planAt(world(packages, off, { installed })))).toEqual(["a/app@2"]);
  });

  it("OCO-41 leaves the old version to an installer that replaces it, and beside one that tolerates it", () => {
    for (const upgrade of ["replaces", "keep"] as const) {
      const packages = [known("a/app@1"), ruled("a/app@2", { upgrade })];
      const input = world(packages, [wish("a/app@2")], { installed: [row("a/app@1")] });

      expect(steps(planAt(input))).toEqual(["a/app@2"]);
    }
  });

  it("holds the new version back while the old one cannot be uninstalled, and says so", () => {
    const packages = [known("a/app@1"), known("a/app@2")];
    const input = world(packages, [wish("a/app@2")], { installed: [row("a/app@1")] });
    const [off] = planAt(input).instructions;

    const plan = planAt(reported(input, off!, "failed", { attempt: 3 }));

    expect(steps(plan)).toEqual([]);
    expect(codes(plan, "a/app@2")).toEqual(["dependency", "attemptsExhausted"]);
  });

  it("installs anew what was uninstalled since", () => {
    const packages = [known("a/app@1"), known("a/app@2")];
    const one = succeed(world(packages, [wish("a/app@1")]));
    const two = succeed({ ...one, intents: [wish("a/app@2")] }, MONDAY_MS + 1);
    const back = { ...two, intents: [wish("a/app@1")] };

    expect(steps(planAt(back))).toEqual(["uninstall a/app@2", "a/app@1"]);
    const revision = planAt(back).instructions[1]?.revision;
    expect(revision).not.toBe(planAt(world(packages, one.intents)).instructions[0]?.revision);
  });
});

describe("absence", () => {
  it("D8 uninstalls only what is expressly absent, and each version that is there", () => {
    const packages = [ruled("a/app@1", { upgrade: "keep" }), ruled("a/app@2", { upgrade: "keep" })];
    const installed = [row("a/app@1"), row("a/app@2")];

    expect(steps(planAt(world(packages, [], { installed })))).toEqual([]);
    expect(
      steps(
        planAt(world(packages, [wish("a/app", { ensure: "absent" })], { installed })),
      ).toSorted(),
    ).toEqual(["uninstall a/app@1", "uninstall a/app@2"]);
  });

  it("OCO-35 runs an uninstall job once", () => {
    const input = world([known("a/app@1")], [job("a/app@1", "off", { operation: "uninstall" })], {
      installed: [row("a/app@1")],
    });

    expect(steps(planAt(input))).toEqual(["uninstall a/app@1"]);
    const done = succeed(input);
    expect(steps(planAt(done))).toEqual([]);
    expect(waitingFor(planAt(done), "a/app")?.state).toBe("succeeded");
  });

  it("says that a package without an uninstall command cannot be uninstalled", () => {
    const absent = [wish("a/app", { ensure: "absent" })];
    const installed = [row("a/app@1")];

    const plan = planAt(world([known("a/app@1", { rules: {} })], absent, { installed }));
    expect(codes(plan, "a/app")).toEqual(["uninstallImpossible"]);
    expect(codes(planAt(world([], absent, { installed })), "a/app")).toEqual([
      "uninstallImpossible",
    ]);
  });
});
