import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { RolloutView } from "../../../protocol/intent-api.ts";
import type { PackageDetail, PackageTree } from "../../../protocol/page-api.ts";
import type { Report, RunReport, ScanReport } from "../../../protocol/report.ts";
import { UNINSTALL } from "../../support/uninstall.ts";
import type { TestFleet } from "./fleet.ts";
import {
  activePackage,
  apply,
  berlin,
  endpointPage,
  listen,
  publishRules,
  refused,
  rule,
  why,
  type Listener,
} from "./intent-fleet.ts";

const HOUR_MS = 3_600_000;

let fleet: TestFleet;
let pc: Listener;
beforeEach(async () => {
  ({ fleet, pc } = await berlin());
});
afterEach(async () => fleet[Symbol.asyncDispose]());

function entry(name: string, version = "1") {
  return { name: `acme/${name}`, version };
}

async function ruleOf(entries: object[], isEnabled = true, endpoints = ["e1"]): Promise<void> {
  await apply(fleet, {
    endpointGroups: [{ name: "g", endpoints }],
    packageGroups: [{ name: "p", entries }],
    rules: [
      { name: "r", endpointGroup: "g", packageGroup: "p", ...(isEnabled ? { isEnabled } : {}) },
    ],
  });
}

async function entriesAre(entries: object[]): Promise<void> {
  await apply(fleet, { packageGroups: [{ name: "p", entries }] });
}

async function act(action: string): Promise<unknown> {
  return fleet.operator("POST", "/v1/rules/r", { action });
}

describe("deployment rules", () => {
  it("OCO-27 makes a job for every pair of endpoint and package", async () => {
    await activePackage(fleet, "acme/a@1");
    await activePackage(fleet, "acme/b@1");
    await listen(fleet, "e2", "berlin", "10.1.0.2");
    await ruleOf([entry("a"), entry("b")], true, ["e1", "e2"]);

    const { jobs } = await rule(fleet, "r");

    expect(jobs.map(({ endpoint, name }) => `${endpoint} ${name}`).toSorted()).toEqual([
      "e1 acme/a",
      "e1 acme/b",
      "e2 acme/a",
      "e2 acme/b",
    ]);
    expect(await pc.texts()).toEqual(["install acme/a@1", "install acme/b@1"]);
  });

  it("OCO-28 needs an endpoint group and a package group", async () => {
    const answers = await Promise.all(
      [
        { name: "r", endpointGroup: "g" },
        { name: "r", packageGroup: "p" },
      ].map(async (one) =>
        refused(fleet, "POST", "/v1/intent", { intent: { v: 1, rules: [one] } }),
      ),
    );

    expect(answers.map(({ status }) => status)).toEqual([400, 400]);
  });

  it("OCO-29 OCO-30 lists the jobs of a rule that is off, hands out none, and all once it is on", async () => {
    await activePackage(fleet, "acme/a@1");
    await ruleOf([entry("a")], false);
    const preview = await rule(fleet, "r");
    const off = await pc.texts();

    await act("enable");
    const on = await pc.texts();
    await act("disable");

    expect(preview).toMatchObject({ isEnabled: false, jobs: [{ endpoint: "e1", name: "acme/a" }] });
    expect([off, on]).toEqual([[], ["install acme/a@1"]]);
    expect(await pc.texts()).toEqual([]);
    expect((await why(fleet, "e1"))[0]).toMatchObject({ isPreview: true, from: ["rule/r"] });
  });

  it("OCO-31 OCO-32 follows members, packages and installed records without further action", async () => {
    await activePackage(fleet, "acme/a@1");
    await activePackage(fleet, "acme/b@1");
    await ruleOf([entry("a")], true, []);
    const none = await pc.texts();

    await fleet.operator("POST", "/v1/endpoint-groups/members", { group: "g", add: ["e1"] });
    const joined = await pc.texts();
    await entriesAre([entry("a"), entry("b")]);
    const added = (await rule(fleet, "r")).jobs.length;
    await pc.obey();
    const done = (await rule(fleet, "r")).jobs.map(({ state }) => state);
    await fleet.operator("POST", "/v1/installed/remove", { endpoint: "e1", ...entry("b") });
    const forgotten = (await rule(fleet, "r")).jobs.map(({ name, state }) => `${name} ${state}`);
    await fleet.operator("POST", "/v1/endpoint-groups/members", { group: "g", remove: ["e1"] });

    expect([none, joined, added]).toEqual([[], ["install acme/a@1"], 2]);
    expect(done).toEqual(["succeeded", "succeeded"]);
    expect(forgotten.toSorted()).toEqual(["acme/a succeeded", "acme/b waiting"]);
    expect(await pc.texts()).toEqual([]);
  });

  it("OCO-33 keeps the old procedure until the rule is evaluated again by hand", async () => {
    await activePackage(fleet, "acme/a@1");
    await ruleOf([entry("a")]);
    await activePackage(fleet, "acme/a@1+1", { uninstall: { ...UNINSTALL, command: ["better"] } });
    const before = await pc.texts();

    const dry = await fleet.operator("POST", "/v1/rules/r", {
      action: "reevaluate",
      isDryRun: true,
    });
    const still = await pc.texts();
    await act("reevaluate");

    expect(dry).toMatchObject({ changes: [{ change: "update", fields: ["snapshot"] }] });
    expect([before, still]).toEqual([["install acme/a@1"], ["install acme/a@1"]]);
    expect(await pc.texts()).toEqual(["install acme/a@1+1"]);
  });

  it("OCO-34 refuses a group that would install and uninstall two versions for ever, with the reason", async () => {
    await activePackage(fleet, "acme/a@1");
    await activePackage(fleet, "acme/a@2");
    await ruleOf([entry("a")]);

    const packageGroups = [{ name: "p", entries: [entry("a"), entry("a", "2")] }];
    const answer = await refused(fleet, "POST", "/v1/intent", { intent: { v: 1, packageGroups } });
    const rules = [
      { name: "r", endpointGroup: "g", packageGroup: "p", schedule: { autoUninstall: false } },
    ];
    const kept = await refused(fleet, "POST", "/v1/intent", {
      intent: { v: 1, packageGroups, rules },
    });

    expect(answer).toMatchObject({ status: 409, code: "INTENT_LOOP" });
    expect(answer.message).toMatch(/^rule r would never come to rest: .*acme\/a/u);
    expect(kept.status).toBe(200);
  });

  it("OCO-42 replaces a version in one step, and comes to rest within ten runs", async () => {
    await activePackage(fleet, "acme/a@1");
    await activePackage(fleet, "acme/a@2");
    await ruleOf([entry("a")]);
    await pc.obey();

    const body = { name: "acme/a", from: "1", to: "2" };
    const answer = await fleet.operator("POST", "/v1/packages/replace", body);
    const done = await pc.obey();

    expect(answer).toMatchObject({
      changes: [{ kind: "packageGroup", name: "p", fields: ["entries"] }],
    });
    expect(done).toEqual(["uninstall acme/a@1", "install acme/a@2"]);
    expect((await endpointPage(fleet, "e1")).installed).toMatchObject([{ version: "2" }]);
  });

  it("SE-23 starts the attempts anew for a package that was taken out and added again", async () => {
    await activePackage(fleet, "acme/a@1");
    await ruleOf([entry("a")]);
    const [offered] = await pc.offers();
    await pc.report(offered!, "failed", { outcome: "failed" });
    const stopped = (await why(fleet, "e1"))[0];

    const schedule = { description: "renamed", priority: 4 };
    await apply(fleet, {
      rules: [{ name: "r", endpointGroup: "g", packageGroup: "p", isEnabled: true, schedule }],
    });
    const unrelated = (await why(fleet, "e1"))[0];
    await entriesAre([]);
    await entriesAre([entry("a")]);

    expect(stopped?.state).toBe("failed");
    expect(unrelated?.state).toBe("failed");
    expect(await pc.texts()).toEqual(["install acme/a@1"]);
    expect((await why(fleet, "e1"))[0]?.state).toBe("waiting");
  });

  it("OCS-4 OCS-5 OCS-6 waits with the reason until the package is active, and again when it is not", async () => {
    await publishRules(fleet, "acme/a@1", {});
    await ruleOf([entry("a")]);
    const before = [(await why(fleet, "e1"))[0]?.reasons[0]?.code, await pc.texts()];

    await fleet.activate("acme/a@1");
    const active = await pc.texts();
    await fleet.operator("POST", "/v1/packages/deactivate", entry("a"));

    expect(before).toEqual(["notActive", []]);
    expect(active).toEqual(["install acme/a@1"]);
    expect(await pc.texts()).toEqual([]);
  });
});

describe("rollouts", () => {
  const rings = [
    { name: "pilot", endpointGroup: "pilots", successPercent: 100, errorPercent: 50 },
    { name: "rest", sharePercent: 100 },
  ];

  it("opens ring by ring when enough succeeded", async () => {
    const [two, three] = await started(rings);
    const first = [await pc.texts(), await two!.texts(), await three!.texts()];
    await pc.obey();
    const half = await rollout();
    await two!.obey();

    const open = await three!.texts();

    expect(first.map((texts) => texts.length)).toEqual([1, 1, 0]);
    expect(half.standing[0]).toMatchObject({ targets: 2, succeeded: 1, failed: 0 });
    expect(half.standing[1]?.openedAt).toBeNull();
    expect(open).toEqual(["install acme/a@1"]);
  });

  it("takes a late joiner into the last ring that is open", async () => {
    const [, three] = await started(rings);
    fleet.nowMs += HOUR_MS;

    const late = await listen(fleet, "e9", "berlin", "10.1.0.9");

    expect(await three!.texts()).toEqual([]);
    expect(await late.texts()).toEqual(["install acme/a@1"]);
    expect((await rollout()).standing[0]?.targets).toBe(3);
  });

  it("stops at its error threshold, says so, and goes on when an operator resumes it", async () => {
    const [two, three] = await started(rings);
    const [offered] = await pc.offers();
    await pc.report(offered!, "failed", { outcome: "failed", exitCode: 1 });

    const stopped = await rollout();
    const reason = (await why(fleet, "e2"))[0]?.reasons[0]?.code;
    const held = await two!.texts();
    fleet.nowMs += 1000;
    await fleet.operator("POST", "/v1/rollouts/x", { action: "resume" });
    await two!.obey();

    expect(stopped).toMatchObject({
      state: "stopped",
      standing: [{ failed: 1 }, { openedAt: null }],
    });
    expect(stopped.stopReason).toMatch(/1 of 2 endpoints of ring pilot failed, the limit is 50 %/u);
    expect([held, reason]).toEqual([[], "rolloutStopped"]);
    expect((await rollout()).state).toBe("running");
    expect(await three!.texts()).toEqual(["install acme/a@1"]);
  });

  it("stops on an operator's word", async () => {
    const [two] = await started(rings);
    await fleet.operator("POST", "/v1/rollouts/x", { action: "stop" });

    expect(await two!.texts()).toEqual([]);
    expect((await rollout()).stopReason).toBe("an operator stopped it");
  });
});

describe("pages", () => {
  it("SE-17 shows the run log and the detected software of each endpoint, once", async () => {
    const run = {
      kind: "run",
      id: "run-1",
      endpoint: pc.endpoint.id,
      startedMs: fleet.nowMs,
      endedMs: fleet.nowMs + 5,
      entries: [
        {
          atMs: fleet.nowMs,
          step: "action",
          package: "acme/a@1",
          text: "install",
          outcome: "success",
        },
      ],
    } as RunReport;
    const scan = {
      kind: "scan",
      id: "scan-1",
      endpoint: pc.endpoint.id,
      atMs: fleet.nowMs,
      software: [{ name: "bash", version: "5.2", source: "dpkg" }],
      isCut: false,
    } as ScanReport;
    const reports: Report[] = [run, scan, run];

    await pc.endpoint.report(...reports);

    const page = await endpointPage(fleet, "e1");
    expect(page.runs).toEqual([run]);
    expect(page.detected).toEqual(scan.software);
    expect(page.scannedAt).toBe(new Date(fleet.nowMs).toISOString());
  });

  it("ZEN-2 ZEN-5 ZEN-8 shows every edge with its action set, primary and dependent, and the depth", async () => {
    await activePackage(fleet, "acme/b2@1", {});
    await activePackage(fleet, "acme/b@1", {
      dependencies: [{ name: "acme/b2", actionSet: "launch" }],
    });
    await activePackage(fleet, "acme/c@1", {});
    const dependencies = [
      { name: "acme/b", actionSet: "install", versions: ">=1" },
      { name: "acme/c", actionSet: "distribute" },
    ];
    await activePackage(fleet, "acme/a@1", { dependencies });
    const tree = async (ref: string) =>
      fleet.operator<PackageTree>("GET", `/v1/packages/tree?package=${ref}`);

    expect(await tree("acme/a@1")).toEqual({
      package: "acme/a@1",
      depth: 3,
      edges: [
        edge("acme/a@1", "acme/b", "install", ">=1"),
        edge("acme/b@1", "acme/b2", "launch", null),
        edge("acme/a@1", "acme/c", "distribute", null),
      ],
    });
    expect((await tree("acme/b@1")).depth).toBe(2);
    expect(await tree("acme/c@1")).toEqual({ package: "acme/c@1", depth: 1, edges: [] });
  });

  it("OCS-16 OCS-21 ZEN-3 shows id, level, action, digest, fragments, command, and both ends of its edges", async () => {
    await activePackage(fleet, "acme/lib@1", {});
    const dependencies = [{ name: "acme/lib", actionSet: "install" as const }];
    await activePackage(fleet, "acme/app@1", { dependencies }, 2);

    const app = await fleet.operator<PackageDetail>("GET", "/v1/packages/show?package=acme/app@1");
    const lib = await fleet.operator<PackageDetail>("GET", "/v1/packages/show?package=acme/lib@1");

    expect(app).toMatchObject({
      level: 2,
      action: { kind: "execute", command: ["install"] },
      fragmentCount: 0,
      rules: { dependencies },
      dependents: ["acme/lib"],
      isActive: true,
    });
    expect(app.manifest).toMatch(/^[0-9a-f]{64}$/u);
    expect(lib).toMatchObject({ dependents: [], primaries: ["acme/app@1"], rules: {} });
  });

  it("refuses rules that nobody could evaluate before it stores them", async () => {
    await expect(
      publishRules(fleet, "acme/a@1", { requirements: { query: "os is linux" } }),
    ).rejects.toThrow(/INPUT_INVALID/u);
    await expect(publishRules(fleet, "acme/a@1", { conflicts: ["acme/a"] })).rejects.toThrow(
      /INPUT_INVALID/u,
    );
  });
});

async function started(rings: object[]): Promise<readonly Listener[]> {
  await activePackage(fleet, "acme/a@1");
  const others = [];
  for (const at of [2, 3, 4]) others.push(await listen(fleet, `e${at}`, "berlin", `10.1.0.${at}`));
  await apply(fleet, {
    endpointGroups: [
      { name: "all", query: 'name = "*"' },
      { name: "pilots", endpoints: ["e1", "e2"] },
    ],
    packageGroups: [{ name: "p", entries: [entry("a")] }],
    rollouts: [{ name: "x", packageGroup: "p", endpointGroup: "all", rings }],
  });
  return others;
}

function edge(primary: string, dependent: string, actionSet: string, versions: string | null) {
  return { primary, dependent, resolved: `${dependent}@1`, versions, actionSet };
}

async function rollout(): Promise<RolloutView> {
  return fleet.operator("GET", "/v1/rollouts/x");
}
