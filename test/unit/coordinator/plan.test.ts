import { describe, expect, it } from "vitest";
import { planEndpoint, type PlanInput, type PlanPackage } from "../../../coordinator/core/plan.ts";
import {
  endpointIdOf,
  parseDigest,
  parsePackageRef,
  parseSiteName,
} from "../../../protocol/ids.ts";

const endpoint = endpointIdOf(new Uint8Array(32).fill(1));
const other = endpointIdOf(new Uint8Array(32).fill(2));
const berlin = parseSiteName("berlin");
const known = (level: number, more: Partial<PlanPackage> = {}): PlanPackage => ({
  manifest: parseDigest("a".repeat(64)),
  isActive: true,
  level,
  hasContent: true,
  ...more,
});
const deployment = (
  ref: string,
  order: number,
  target: PlanInput["deployments"][number]["target"],
) => ({
  id: `d${order}`,
  ref: parsePackageRef(ref),
  target,
  order,
});
const all = { kind: "all" } as const;
const input = (more: Partial<PlanInput>): PlanInput => ({
  endpoint,
  site: berlin,
  role: "agent",
  deployments: [],
  packages: new Map(),
  records: new Map(),
  neighbours: new Set(),
  ...more,
});
const names = (of: PlanInput) => planEndpoint(of).instructions.map(({ ref }) => ref.name);

describe("planner", () => {
  it("OCS-22 OCS-24 orders by package level, then by creation", () => {
    const packages = new Map([
      ["a/seven@1", known(7)],
      ["a/two@1", known(2)],
      ["a/five@1", known(5)],
      ["a/default@1", known(5)],
    ]);
    const deployments = ["a/default@1", "a/seven@1", "a/two@1", "a/five@1"].map((ref, order) =>
      deployment(ref, order, all),
    );

    const plan = planEndpoint(input({ packages, deployments }));

    expect(plan.instructions.map(({ ref }) => ref.name)).toEqual([
      "a/two",
      "a/default",
      "a/five",
      "a/seven",
    ]);
    expect(plan.instructions.map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3]);
  });

  it("OCS-5 lets a deployment of an inactive package wait with the reason", () => {
    const packages = new Map([["a/app@1", known(5, { isActive: false })]]);
    const plan = planEndpoint(input({ packages, deployments: [deployment("a/app@1", 0, all)] }));

    expect(plan.instructions).toEqual([]);
    expect(plan.waiting).toMatchObject([{ reason: "not activated" }]);
  });

  it("OCS-6 plans only what is deployed to the endpoint, its site or all", () => {
    const packages = new Map(
      ["a/mine@1", "a/site@1", "a/other@1", "a/away@1"].map((ref) => [ref, known(5)]),
    );
    const deployments = [
      deployment("a/mine@1", 0, { kind: "endpoint", endpoint }),
      deployment("a/site@1", 1, { kind: "site", site: berlin }),
      deployment("a/other@1", 2, { kind: "endpoint", endpoint: other }),
      deployment("a/away@1", 3, { kind: "site", site: parseSiteName("hamburg") }),
    ];

    expect(names(input({ packages, deployments }))).toEqual(["a/mine", "a/site"]);
  });

  it("gives a DP the content of everything its site is assigned, and nothing of other sites", () => {
    const packages = new Map([
      ["a/other@1", known(5)],
      ["a/away@1", known(5)],
      ["a/bare@1", known(5, { hasContent: false })],
    ]);
    const deployments = [
      deployment("a/other@1", 0, { kind: "endpoint", endpoint: other }),
      deployment("a/away@1", 1, { kind: "site", site: parseSiteName("hamburg") }),
      deployment("a/bare@1", 2, { kind: "endpoint", endpoint: other }),
    ];
    const plan = planEndpoint(
      input({ role: "dp", packages, deployments, neighbours: new Set([endpoint, other]) }),
    );

    expect(plan.instructions.map(({ ref, purpose }) => [ref.name, purpose])).toEqual([
      ["a/other", "replicate"],
    ]);
  });

  it("OCS-23 holds everything back until the level 0 package has succeeded", () => {
    const packages = new Map([
      ["a/first@1", known(0)],
      ["a/app@1", known(5)],
    ]);
    const deployments = [deployment("a/app@1", 0, all), deployment("a/first@1", 1, all)];
    const before = planEndpoint(input({ packages, deployments }));
    const { job, revision } = before.instructions[0]!;
    const failed = new Map([[job, { revision, state: "failed" as const }]]);
    const done = new Map([[job, { revision, state: "succeeded" as const }]]);

    expect(before.instructions.map(({ ref }) => ref.name)).toEqual(["a/first"]);
    expect(before.waiting).toMatchObject([
      { reason: expect.stringContaining("blocked by a/first@1") as string },
    ]);
    expect(names(input({ packages, deployments, records: failed }))).toEqual(["a/first"]);
    expect(names(input({ packages, deployments, records: done }))).toEqual(["a/first", "a/app"]);
  });

  it("gives the same plan for the same input, and a new revision for other content", () => {
    const deployments = [
      deployment("a/app@1", 0, all),
      deployment("a/app@1", 1, { kind: "endpoint", endpoint }),
    ];
    const first = planEndpoint(input({ deployments, packages: new Map([["a/app@1", known(5)]]) }));
    const again = planEndpoint(input({ deployments, packages: new Map([["a/app@1", known(5)]]) }));
    const manifest = parseDigest("b".repeat(64));
    const changed = planEndpoint(
      input({ deployments, packages: new Map([["a/app@1", known(5, { manifest })]]) }),
    );

    expect(again).toEqual(first);
    expect(first.instructions).toHaveLength(1);
    expect(changed.instructions[0]?.job).toBe(first.instructions[0]?.job);
    expect(changed.instructions[0]?.revision).not.toBe(first.instructions[0]?.revision);
  });
});
