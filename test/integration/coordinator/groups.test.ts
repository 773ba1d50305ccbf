import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Assignments, EndpointGroupDetail } from "../../../protocol/intent-api.ts";
import { newFleet, type TestFleet } from "./fleet.ts";
import { activePackage, apply, exported, listen, refused, why } from "./intent-fleet.ts";

let fleet: TestFleet;
beforeEach(async () => {
  fleet = await newFleet();
  await fleet.site("berlin", "10.1.0.0/16");
});
afterEach(async () => fleet[Symbol.asyncDispose]());

const three = [
  { name: "acme/a", version: "1" },
  { name: "acme/b", version: "1" },
  { name: "acme/c", version: "1" },
];

describe("groups and assignments", () => {
  it("SE-8 gives every package of the collection to every endpoint of the group", async () => {
    for (const { name } of three) await activePackage(fleet, `${name}@1`);
    const names = ["e1", "e2", "e3", "e4"];
    const listeners = [];
    for (const [at, name] of names.entries()) {
      listeners.push(await listen(fleet, name, "berlin", `10.1.0.${at + 1}`));
    }
    await apply(fleet, {
      endpointGroups: [{ name: "counters", endpoints: names }],
      packageGroups: [{ name: "office", entries: three }],
      assignments: [{ packageGroup: "office", endpointGroup: "counters" }],
    });

    const wishes = await Promise.all(listeners.map(async (one) => one.texts()));

    expect(wishes.flat()).toHaveLength(12);
    expect(wishes[3]).toEqual(["install acme/a@1", "install acme/b@1", "install acme/c@1"]);
  });

  it("SE-3 SE-9 SE-14 answers at once while endpoints are away, and each one gets its own wishes", async () => {
    await activePackage(fleet, "acme/a@1");
    await activePackage(fleet, "acme/b@1");
    const one = await listen(fleet, "e1", "berlin", "10.1.0.1");
    const other = await listen(fleet, "e2", "berlin", "10.1.0.2");

    const answer = await apply(fleet, {
      endpointGroups: [
        { name: "g1", endpoints: ["e1"] },
        { name: "g2", endpoints: ["e2"] },
      ],
      packageGroups: [
        { name: "p1", entries: [three[0]] },
        { name: "p2", entries: [three[1]] },
      ],
      assignments: [
        { packageGroup: "p1", endpointGroup: "g1" },
        { packageGroup: "p2", endpointGroup: "g2" },
      ],
    });

    expect(answer.changes.map(({ change }) => change)).toEqual(
      Array.from({ length: 6 }, () => "create"),
    );
    expect((await why(fleet, "e1"))[0]?.reasons[0]?.code).toBe("notPickedUp");
    expect(await one.texts()).toEqual(["install acme/a@1"]);
    expect(await other.texts()).toEqual(["install acme/b@1"]);
  });

  it("SE-4 applies each package with its own settings", async () => {
    for (const { name } of three) await activePackage(fleet, `${name}@1`);
    const pc = await listen(fleet, "e1");
    await apply(fleet, {
      endpointGroups: [{ name: "g", endpoints: ["e1"] }],
      packageGroups: [
        {
          name: "p",
          entries: [
            { name: "acme/a", version: "1", attemptLimit: 5 },
            { name: "acme/b", ensure: "latest" },
            { name: "acme/c", version: "1" },
          ],
        },
      ],
      assignments: [{ packageGroup: "p", endpointGroup: "g", schedule: { attemptLimit: 2 } }],
    });

    const offers = await pc.offers();

    expect(offers.map(({ ref, instruction }) => [ref, instruction.attemptLimit])).toEqual([
      ["acme/a@1", 5],
      ["acme/b@1", 2],
      ["acme/c@1", 2],
    ]);
    expect(offers[1]?.instruction.ensure).toBe("latest");
  });

  it("SE-5 refuses an endpoint of another tenant, in a list and by a query", async () => {
    const body = {
      name: "rome",
      criteria: [{ kind: "subnet", cidr: "10.9.0.0/16" }],
      tenant: "acme",
    };
    await fleet.operator("POST", "/v1/sites", body);
    await listen(fleet, "ours", "berlin", "10.1.0.1");
    await listen(fleet, "theirs", "rome", "10.9.0.1");
    const endpointGroups = [{ name: "mixed", endpoints: ["ours", "theirs"] }];

    const answer = await refused(fleet, "POST", "/v1/intent", { intent: { v: 1, endpointGroups } });
    await apply(fleet, {
      endpointGroups: [
        { name: "all", query: 'name = "*"' },
        { name: "acme-all", tenant: "acme", query: 'name = "*"' },
      ],
    });

    expect(answer).toMatchObject({ status: 409, code: "TENANT_MISMATCH" });
    expect(answer.message).toMatch(/theirs belongs to tenant acme, the group mixed to default/u);
    expect(await members("all")).toEqual(["ours"]);
    expect(await members("acme-all")).toEqual(["theirs"]);
  });

  it("SE-6 links collections and groups freely, and one link less is one effect less", async () => {
    for (const name of ["a", "b"]) await activePackage(fleet, `acme/${name}@1`);
    const groups = ["g1", "g2", "g3"];
    const listeners = [];
    for (const [at, name] of groups.entries()) {
      listeners.push(await listen(fleet, name, "berlin", `10.1.0.${at + 1}`));
    }
    const packageGroups = ["a", "b"].map((name) => ({
      name,
      entries: [{ name: `acme/${name}`, version: "1" }],
    }));
    const assignments = ["a", "b"].flatMap((packageGroup) =>
      groups.map((endpointGroup) => ({ packageGroup, endpointGroup })),
    );
    const endpointGroups = groups.map((name) => ({ name, endpoints: [name] }));
    await apply(fleet, { endpointGroups, packageGroups, assignments });

    const name = "b x g2";
    await fleet.operator("POST", "/v1/intent/remove", { kind: "assignment", name });

    const texts = await Promise.all(listeners.map(async (one) => one.texts()));
    expect(texts.map((list) => list.length)).toEqual([2, 1, 2]);
    expect(texts[1]).toEqual(["install acme/a@1"]);
  });

  it("SE-7 shows one truth as a list and as a matrix, whichever was edited", async () => {
    await activePackage(fleet, "acme/a@1");
    const packageGroups = [{ name: "p", entries: [three[0]] }];
    const endpointGroups = [
      { name: "g", endpoints: [] },
      { name: "h", endpoints: [] },
    ];
    await apply(fleet, { packageGroups, endpointGroups });

    const cell = { packageGroup: "p", endpointGroup: "h" };
    await fleet.operator("PUT", "/v1/assignments", { ...cell, isAssigned: true });
    const afterMatrix = await fleet.operator<Assignments>("GET", "/v1/assignments");
    await apply(fleet, { assignments: [{ packageGroup: "p", endpointGroup: "g" }] });
    const afterList = await fleet.operator<Assignments>("GET", "/v1/assignments");
    await fleet.operator("PUT", "/v1/assignments", { ...cell, isAssigned: false });
    const afterToggle = await fleet.operator<Assignments>("GET", "/v1/assignments");

    expect(afterMatrix.list).toEqual([cell]);
    expect(afterMatrix.matrix.cells).toEqual([[false, true]]);
    expect(afterList.matrix.cells).toEqual([[true, true]]);
    expect(afterToggle.list).toEqual([{ packageGroup: "p", endpointGroup: "g" }]);
  });

  it("moves an endpoint in and out of a queried group with its facts", async () => {
    await activePackage(fleet, "acme/a@1");
    const pc = await listen(fleet, "e1");
    await apply(fleet, {
      endpointGroups: [{ name: "with-a", query: "not installed acme/a" }],
      packageGroups: [{ name: "p", entries: [three[0]] }],
      assignments: [{ packageGroup: "p", endpointGroup: "with-a" }],
    });

    expect(await members("with-a")).toEqual(["e1"]);
    await pc.obey();
    expect(await members("with-a")).toEqual([]);
  });
});

describe("intent as a file", () => {
  const file = {
    endpointGroups: [
      { name: "counters", endpoints: ["e1"] },
      { name: "linux", query: "os = linux" },
    ],
    packageGroups: [
      { name: "office", entries: [{ name: "acme/a", version: "1", isPinned: true }] },
    ],
    assignments: [{ packageGroup: "office", endpointGroup: "counters", schedule: { priority: 3 } }],
    rules: [{ name: "nightly", endpointGroup: "linux", packageGroup: "office", isEnabled: true }],
    containers: [{ name: "c1", jobs: [{ endpoint: "e1", name: "acme/a", version: "1" }] }],
    rollouts: [
      {
        name: "r1",
        endpointGroup: "linux",
        packageGroup: "office",
        rings: [{ name: "all", sharePercent: 100 }],
      },
    ],
    windows: [{ name: "nights", endpointGroup: "linux", timeFrames: "20:00-6:00" }],
  };

  it("comes out as it went in, and applying it again changes nothing", async () => {
    await activePackage(fleet, "acme/a@1");
    await listen(fleet, "e1");

    const first = await apply(fleet, file);
    const out = await exported(fleet);
    const again = await fleet.operator<typeof first>("POST", "/v1/intent", {
      intent: out,
      isPruning: true,
    });

    expect(out).toEqual({ v: 1, ...file });
    expect(first.changes.every(({ change }) => change === "create")).toBe(true);
    expect(again.changes.every(({ change }) => change === "none")).toBe(true);
  });

  it("says what it would change and for how many endpoints, and does nothing in a dry run", async () => {
    await activePackage(fleet, "acme/a@1");
    await listen(fleet, "e1");
    await apply(fleet, file);
    const before = await exported(fleet);

    const answer = await apply(
      fleet,
      {
        rules: [{ ...file.rules[0], schedule: { priority: 7 } }],
        packageGroups: [{ name: "office", entries: [] }],
        windows: [],
      },
      { isDryRun: true, isPruning: true },
    );

    expect(answer.isDryRun).toBe(true);
    expect(answer.changes).toEqual([
      {
        kind: "packageGroup",
        name: "office",
        change: "update",
        fields: ["entries"],
        endpointCount: 1,
      },
      {
        kind: "rule",
        name: "nightly",
        change: "update",
        fields: ["schedule.priority"],
        endpointCount: 1,
      },
      { kind: "window", name: "nights", change: "delete", fields: [], endpointCount: 1 },
    ]);
    expect(await exported(fleet)).toEqual(before);
  });

  it("is published as OpenAPI from the schemas that check it", async () => {
    const answer = await fleet.call<{ paths: Record<string, object> }>("GET", "/openapi.json");

    const { paths } = answer.body;
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining([
        "/v1/intent",
        "/v1/assignments",
        "/v1/containers/{name}",
        "/v1/rules/{name}",
        "/v1/rollouts/{name}",
        "/v1/jobs/retry",
        "/v1/endpoints/{endpoint}/why",
        "/v1/packages/tree",
      ]),
    );
    expect(JSON.stringify(paths["/v1/intent"])).toContain("timeFrames");
  });

  it("is all or nothing, and names what is missing", async () => {
    const answer = await refused(fleet, "POST", "/v1/intent", {
      intent: {
        v: 1,
        endpointGroups: [{ name: "g", endpoints: [] }],
        rules: [{ name: "r", endpointGroup: "g", packageGroup: "nowhere" }],
      },
    });

    expect(answer).toMatchObject({ status: 404, message: "there is no package group nowhere" });
    expect(await exported(fleet)).toEqual({ v: 1 });
  });

  it("refuses frames, ranges, queries and instants that nobody could evaluate", async () => {
    await activePackage(fleet, "acme/a@1");
    await apply(fleet, {
      endpointGroups: [{ name: "g", endpoints: [] }],
      packageGroups: [{ name: "p", entries: [] }],
    });
    const link = { packageGroup: "p", endpointGroup: "g" };
    const bad = [
      { endpointGroups: [{ name: "x", query: "os linux" }] },
      { endpointGroups: [{ name: "x" }] },
      { assignments: [{ ...link, schedule: { timeFrames: "25:00-26:00" } }] },
      { assignments: [{ ...link, schedule: { addressRanges: "10.0.0.0/99" } }] },
      { assignments: [{ ...link, schedule: { start: "tomorrow noon" } }] },
      {
        assignments: [
          { ...link, schedule: { start: "2027-02-01T00:00:00Z", end: "2027-01-01T00:00:00Z" } },
        ],
      },
      { assignments: [{ ...link, schedule: { shutdown: true } }] },
      { packageGroups: [{ name: "p", entries: [{ name: "acme/a" }] }] },
    ];

    for (const one of bad) {
      const answer = await refused(fleet, "POST", "/v1/intent", { intent: { v: 1, ...one } });
      expect([one, answer.code]).toEqual([one, "INPUT_INVALID"]);
    }
  });

  it("keeps groups that are in use", async () => {
    await activePackage(fleet, "acme/a@1");
    await listen(fleet, "e1");
    await apply(fleet, file);

    const answer = await refused(fleet, "POST", "/v1/intent/remove", {
      kind: "endpointGroup",
      name: "counters",
    });

    expect(answer).toMatchObject({ status: 409, code: "INTENT_IN_USE" });
    expect(answer.message).toContain("assignment office x counters");
  });

  it("keeps all of it over a restart", async () => {
    await activePackage(fleet, "acme/a@1");
    const pc = await listen(fleet, "e1");
    await apply(fleet, file);
    const before = await exported(fleet);
    await fleet.stop();
    await fleet.start();

    expect(await exported(fleet)).toEqual(before);
    await pc.offers();
    // By day, because the group's window opens at 20:00.
    expect((await why(fleet, "e1"))[0]?.reasons[0]?.code).toBe("outsideWindow");
  });
});

async function members(name: string): Promise<readonly string[]> {
  return (await fleet.operator<EndpointGroupDetail>("GET", `/v1/endpoint-groups/${name}`))
    .endpoints;
}
