import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { canonicalBytes } from "../../../protocol/json.ts";
import { parsePackageRef } from "../../../protocol/ids.ts";
import {
  codes,
  ENDPOINT,
  job,
  known,
  MONDAY_MS,
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

const MINUTE_MS = 60_000;

/** As the first release named jobs and revisions. */
const hash = (value: unknown) =>
  createHash("sha256").update(canonicalBytes(value)).digest("hex").slice(0, 16);
const jobs = (abortsAfterFailed: boolean) =>
  ["a/x@1", "a/y@1", "a/z@1"].map((text, sequence) =>
    job(text, "c", { sequence, createdMs: 1, order: 1, schedule: { abortsAfterFailed } }),
  );

describe("order", () => {
  it("OCS-22 OCS-24 orders by package level, then by creation", () => {
    const packages = [
      known("a/seven@1", { level: 7 }),
      known("a/two@1", { level: 2 }),
      known("a/five@1"),
      known("a/default@1"),
    ];
    const intents = ["a/default@1", "a/seven@1", "a/two@1", "a/five@1"].map((text) => wish(text));

    const plan = planAt(world(packages, intents));

    expect(steps(plan)).toEqual(["a/two@1", "a/default@1", "a/five@1", "a/seven@1"]);
    expect(plan.instructions.map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3]);
  });

  it("OCO-13 D1 puts a higher deployment priority first, whatever the package level", () => {
    const packages = [known("a/low@1", { level: 1 }), known("a/high@1", { level: 9 })];
    const intents = [
      wish("a/low@1", { name: "usual" }),
      wish("a/high@1", { name: "urgent", schedule: { priority: 50 } }),
    ];

    expect(steps(planAt(world(packages, intents)))).toEqual(["a/high@1", "a/low@1"]);
  });

  it("D1 orders equal priorities and levels by creation, then by sequence", () => {
    const packages = ["a/x@1", "a/y@1", "a/z@1"].map((text) => known(text));
    const intents = [
      wish("a/x@1", { createdMs: 5, order: 2 }),
      wish("a/y@1", { createdMs: 4, order: 1, sequence: 1 }),
      wish("a/z@1", { createdMs: 4, order: 1, sequence: 0 }),
    ];

    expect(steps(planAt(world(packages, intents)))).toEqual(["a/z@1", "a/y@1", "a/x@1"]);
  });

  it("merges two wishes for the same thing: the higher priority decides, both are named", () => {
    const intents = [
      wish("a/app@1", { name: "slow", schedule: { attemptLimit: 2 } }),
      wish("a/app@1", { name: "fast", schedule: { priority: 9, attemptLimit: 7 } }),
    ];

    const { instructions, waiting } = planAt(world([known("a/app@1")], intents));

    expect(instructions).toHaveLength(1);
    expect(instructions[0]).toMatchObject({ attemptLimit: 7 });
    expect(instructions[0]?.from.toSorted()).toEqual(["rule/fast", "rule/slow"]);
    expect(waiting).toEqual([]);
  });

  it("keeps the id and revision that plain deployments had before there were schedules", () => {
    const [instruction] = planAt(
      world([known("a/app@1")], [wish("a/app@1", { source: "deployment", name: "d1" })]),
    ).instructions;

    const { manifest } = known("a/app@1");
    expect(instruction).toMatchObject({
      job: `perform-${hash([ENDPOINT, "a/app@1", "perform"])}`,
      revision: hash(["a/app@1", manifest, "perform"]),
    });
  });
});

describe("level 0", () => {
  const packages = [known("a/first@1", { level: 0 }), known("a/app@1")];
  const intents = [wish("a/app@1"), wish("a/first@1")];

  it("OCS-23 D2 holds everything back until the level 0 package has succeeded, and names it", () => {
    const input = world(packages, intents);
    const before = planAt(input);
    const [first] = before.instructions;

    expect(steps(before)).toEqual(["a/first@1"]);
    expect(waitingFor(before, "a/app")?.reasons[0]).toMatchObject({
      code: "levelZero",
      text: expect.stringContaining("blocked by a/first@1") as string,
    });
    expect(steps(planAt(reported(input, first!, "failed")))).toEqual(["a/first@1"]);
    expect(steps(planAt(reported(input, first!, "succeeded")))).toEqual(["a/first@1", "a/app@1"]);
  });

  it("OCS-23 D2 goes on blocking when its attempts are used up, until it is withdrawn", () => {
    const input = world(packages, intents);
    const [first] = planAt(input).instructions;
    const failed = reported(input, first!, "failed", { attempt: 3 });

    expect(steps(planAt(failed))).toEqual([]);
    expect(codes(planAt(failed), "a/first")).toEqual(["attemptsExhausted"]);
    expect(codes(planAt(failed), "a/app")).toEqual(["levelZero"]);
    expect(steps(planAt({ ...failed, intents: intents.slice(0, 1) }))).toEqual(["a/app@1"]);
  });

  it("OCS-23 lets its own dependents through, and keeps what was done before", () => {
    const chain = [
      ruled(
        "a/first@1",
        { dependencies: [{ name: packageName("a/lib"), actionSet: "install" }] },
        { level: 0 },
      ),
      known("a/lib@1"),
      known("a/app@1"),
    ];
    const done = succeed(world(chain, [wish("a/app@1")]));

    const plan = planAt({ ...done, intents: [...done.intents, wish("a/first@1")] });

    expect(steps(plan)).toEqual(["a/lib@1", "a/first@1", "a/app@1"]);
  });

  it("OCS-23 does not block where it does not concern the endpoint: not yet started, or not its system", () => {
    const later = wish("a/first@1", { schedule: { startMs: MONDAY_MS + MINUTE_MS } });
    const foreign = ruled("a/first@1", { requirements: { os: ["win32"] } }, { level: 0 });

    expect(steps(planAt(world(packages, [intents[0]!, later])))).toEqual(["a/app@1"]);
    expect(steps(planAt(world([foreign, known("a/app@1")], intents)))).toEqual(["a/app@1"]);
  });
});

describe("attempts", () => {
  const input = world([known("a/app@1")], [wish("a/app@1")]);
  const [instruction] = planAt(input).instructions;

  it("SE-21 SE-22 stops after the limit with the reason, and a higher limit goes on", () => {
    const failed = reported(input, instruction!, "failed", { attempt: 3 });

    expect(steps(planAt(reported(input, instruction!, "failed", { attempt: 2 })))).toEqual([
      "a/app@1",
    ]);
    expect(waitingFor(planAt(failed), "a/app")).toMatchObject({
      state: "failed",
      reasons: [{ code: "attemptsExhausted" }],
    });
    const more = [wish("a/app@1", { schedule: { attemptLimit: 5 } })];
    expect(steps(planAt({ ...failed, intents: more }))).toEqual(["a/app@1"]);
  });

  it("SE-23 D7 starts anew for a changed desired state, and not for unrelated edits", () => {
    const failed = reported(input, instruction!, "failed", { attempt: 3 });
    const edited = [wish("a/app@1", { name: "renamed", schedule: { priority: 3, jitterSec: 9 } })];

    expect(steps(planAt({ ...failed, intents: edited }))).toEqual([]);
    expect(steps(planAt({ ...failed, intents: [wish("a/app@1", { resets: 1 })] }))).toEqual([
      "a/app@1",
    ]);
  });
});

describe("sequences", () => {
  const packages = ["a/x@1", "a/y@1", "a/z@1"].map((text) => known(text));

  it("OCO-48 fails the rest of a container after a failed job, with -8888", () => {
    const input = world(packages, jobs(true));
    const plan = planAt(input);

    expect(plan.instructions.map(({ sequenceOf }) => sequenceOf)).toEqual(
      Array.from({ length: 3 }, () => ({ id: "container/c", abort: true })),
    );
    const after = planAt(reported(input, plan.instructions[0]!, "failed", { attempt: 3 }));
    expect(steps(after)).toEqual([]);
    expect(waitingFor(after, "a/y")).toMatchObject({
      state: "failed",
      reasons: [{ code: "sequenceAborted", text: expect.stringContaining("-8888") as string }],
    });
  });

  it("OCO-48 D4 fails the container's jobs on this endpoint too where another one's failed", () => {
    const ended = world(packages, jobs(true), { abortedContainers: new Set(["c"]) });
    const own = jobs(true).map((one) => ({
      ...one,
      schedule: { ...one.schedule, abortScope: "endpoint" as const },
    }));

    expect(steps(planAt(ended))).toEqual([]);
    expect(codes(planAt(ended), "a/x")).toEqual(["sequenceAborted"]);
    expect(steps(planAt({ ...ended, intents: own }))).toHaveLength(3);
  });

  it("OCO-49 goes on with the other jobs by default", () => {
    const input = world(packages, jobs(false));
    const [first] = planAt(input).instructions;

    expect(steps(planAt(reported(input, first!, "failed", { attempt: 3 })))).toEqual([
      "a/y@1",
      "a/z@1",
    ]);
  });
});

describe("content for others", () => {
  it("gives a DP the content of everything its site is assigned, with all that this needs", () => {
    const packages = [
      ruled("a/app@1", { dependencies: [{ name: packageName("a/lib"), actionSet: "install" }] }),
      known("a/lib@1"),
      known("a/bare@1", { hasContent: false }),
      known("a/dark@1", { isActive: false }),
    ];
    const replicate = ["a/app@1", "a/bare@1", "a/dark@1"].map(parsePackageRef);
    const endpoint = { ...world([], []).endpoint, role: "dp" as const };

    const plan = planAt(world(packages, [], { endpoint, replicate }));

    expect(steps(plan)).toEqual(["replicate a/lib@1", "replicate a/app@1"]);
    expect(steps(planAt(world(packages, [], { replicate })))).toEqual([]);
  });

  it("ZEN-17 keeps a pinned package and all that it needs, also what has no content", () => {
    const packages = [
      ruled("a/app@1", { dependencies: [{ name: packageName("a/lib"), actionSet: "launch" }] }),
      known("a/lib@1", { hasContent: false }),
    ];

    expect(steps(planAt(world(packages, [wish("a/app@1", { isPinned: true })])))).toEqual([
      "a/lib@1",
      "a/app@1",
      "cache a/lib@1",
      "cache a/app@1",
    ]);
  });
});

describe("the whole plan", () => {
  it("gives the same bytes for the same input, and no instant of its own", () => {
    const packages = [known("a/app@1"), known("a/app@2"), known("b/x@1", { level: 0 })];
    const intents = [wish("a/app@2"), wish("b/x@1"), wish("c/none@1")];
    const input = world(packages, intents, { installed: [row("a/app@1")] });

    expect(JSON.stringify(planAt(input))).toBe(JSON.stringify(planAt(input)));
    expect(JSON.stringify(planAt(input, MONDAY_MS + 1))).toBe(JSON.stringify(planAt(input)));
  });

  it("hands out at most as many packages as a directive holds, new ones first", () => {
    const all = Array.from({ length: 230 }, (_none, at) => `a/p${at}@1`);
    const input = world(
      all.map((text) => known(text)),
      all.map((text) => wish(text)),
    );
    const plan = planAt(input);

    expect(plan.instructions).toHaveLength(200);
    expect(plan.waiting).toHaveLength(30);
    expect(plan.waiting[0]?.reasons[0]?.code).toBe("directiveFull");
    expect(steps(planAt(succeed(input)))).toEqual(expect.arrayContaining(["a/p229@1"]));
  });
});
