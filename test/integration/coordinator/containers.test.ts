import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ContainerView, Draft } from "../../../protocol/intent-api.ts";
import { UNINSTALL } from "../../support/uninstall.ts";
import type { TestFleet } from "./fleet.ts";
import {
  activePackage,
  apply,
  berlin,
  container,
  listen,
  publishRules,
  refused,
  tryPublish,
  why,
  type Listener,
} from "./intent-fleet.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

let fleet: TestFleet;
let pc: Listener;
beforeEach(async () => {
  ({ fleet, pc } = await berlin());
});
afterEach(async () => fleet[Symbol.asyncDispose]());

async function assist(body: object): Promise<unknown> {
  return fleet.operator("POST", "/v1/containers", body);
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}

describe("the assistant", () => {
  it("OCO-1 OCO-3 makes a container with one job for each endpoint and package, never a bare job", async () => {
    await activePackage(fleet, "acme/a@1");
    await activePackage(fleet, "acme/b@1");
    await listen(fleet, "e2", "berlin", "10.1.0.2");

    await assist({ name: "c1", endpoints: ["e1", "e2"], packages: ["acme/a@1", "acme/b@1"] });
    const bare = await refused(fleet, "POST", "/v1/containers", { name: "c2", endpoints: ["e1"] });

    const { jobs, jobCount } = await container(fleet, "c1");
    expect(jobCount).toBe(4);
    expect(jobs.map(({ endpoint, name }) => `${endpoint} ${name}`)).toEqual([
      "e1 acme/a",
      "e1 acme/b",
      "e2 acme/a",
      "e2 acme/b",
    ]);
    expect(bare).toMatchObject({ status: 400, code: "INPUT_INVALID" });
  });

  it("OCO-4 OCO-40 begins with the endpoint, the package, or everybody who has a version", async () => {
    await activePackage(fleet, "acme/a@1");
    await activePackage(fleet, "acme/a@2");
    await fleet.deploy("acme/a@1", { kind: "all" });
    await pc.obey();
    await listen(fleet, "e2", "berlin", "10.1.0.2");

    const ofPages = await Promise.all(
      ["endpoint=e2", "package=acme/a@2", "having=acme/a@1&package=acme/a@2"].map(async (query) =>
        fleet.operator<Draft>("GET", `/v1/containers/draft?${query}`),
      ),
    );
    await assist({ name: "to-2", having: ["acme/a@1"], packages: ["acme/a@2"] });

    expect(ofPages).toEqual([
      { endpoints: ["e2"], packages: [] },
      { endpoints: [], packages: ["acme/a@2"] },
      { endpoints: ["e1"], packages: ["acme/a@2"] },
    ]);
    expect((await container(fleet, "to-2")).jobs.map(({ endpoint }) => endpoint)).toEqual(["e1"]);
  });

  it("OCO-2 lets every pending job follow when the container is edited", async () => {
    await activePackage(fleet, "acme/a@1");
    await assist({ name: "c1", endpoints: ["e1"], packages: ["acme/a@1"] });
    const before = await pc.texts();

    const schedule = { start: iso(fleet.nowMs + HOUR_MS), description: "later" };
    await fleet.operator("PUT", "/v1/containers/c1", { schedule });

    expect(before).toEqual(["install acme/a@1"]);
    expect(await pc.texts()).toEqual([]);
    expect((await why(fleet, "e1"))[0]?.reasons[0]).toMatchObject({
      code: "beforeStart",
      endsAt: iso(fleet.nowMs + HOUR_MS),
    });
    expect((await container(fleet, "c1")).schedule).toEqual(schedule);
  });

  it("takes the packages of a group, the newest active version where it names none", async () => {
    await activePackage(fleet, "acme/a@1");
    await activePackage(fleet, "acme/a@2");
    await publishRules(fleet, "acme/a@3", {});
    const entries = [{ name: "acme/a", ensure: "latest" }];
    await apply(fleet, {
      packageGroups: [
        { name: "p", entries },
        { name: "gone", entries: [{ name: "acme/a", ensure: "absent" }] },
      ],
    });
    const body = { endpoints: ["e1"], name: "c1" };

    await assist({ ...body, packageGroups: ["p"] });
    const absent = await refused(fleet, "POST", "/v1/containers", {
      ...body,
      name: "c2",
      packageGroups: ["gone"],
    });

    expect((await container(fleet, "c1")).jobs[0]?.version).toBe("2");
    expect(absent.code).toBe("INPUT_INVALID");
  });

  it("refuses a name that is taken, and shows in a dry run what it would make", async () => {
    await activePackage(fleet, "acme/a@1");
    const body = { name: "c1", endpoints: ["e1"], packages: ["acme/a@1"] };

    const dry = await assist({ ...body, isDryRun: true });
    await assist(body);
    const again = await refused(fleet, "POST", "/v1/containers", body);

    expect(dry).toMatchObject({
      isDryRun: true,
      changes: [{ change: "create", endpointCount: 1 }],
    });
    expect(again).toMatchObject({ status: 409, code: "INTENT_IN_USE" });
  });
});

describe("time", () => {
  it("OCO-5 holds jobs back until the start, by the injected clock", async () => {
    await activePackage(fleet, "acme/a@1");
    const schedule = { start: iso(fleet.nowMs + 10 * MINUTE_MS) };
    await assist({ name: "c1", endpoints: ["e1"], packages: ["acme/a@1"], schedule });

    const early = await pc.texts();
    const state = (await container(fleet, "c1")).state;
    fleet.nowMs += 10 * MINUTE_MS;

    expect([early, state]).toEqual([[], "scheduled"]);
    expect(await pc.texts()).toEqual(["install acme/a@1"]);
  });

  it("OCO-6 lets unfinished jobs expire at the end", async () => {
    await activePackage(fleet, "acme/a@1");
    const schedule = { end: iso(fleet.nowMs + HOUR_MS) };
    await assist({ name: "c1", endpoints: ["e1"], packages: ["acme/a@1"], schedule });
    fleet.nowMs += HOUR_MS;

    expect(await pc.texts()).toEqual([]);
    const { jobs, state } = await container(fleet, "c1");
    expect(jobs[0]?.state).toBe("expired");
    expect(state).toBe("failed");
  });

  it("OCO-25 OCO-26 tells total and effective run time, with ~ while a job is open", async () => {
    await activePackage(fleet, "acme/a@1");
    await assist({ name: "c1", endpoints: ["e1"], packages: ["acme/a@1"] });
    fleet.nowMs += 30 * MINUTE_MS;
    const [offered] = await pc.offers();
    const open = await container(fleet, "c1");
    const startedMs = fleet.nowMs;
    fleet.nowMs += 20 * MINUTE_MS;
    const trace = [{ step: "location" as const, atMs: startedMs }];
    await pc.report(offered!, "succeeded", { outcome: "success", trace });
    fleet.nowMs += 20 * MINUTE_MS;

    const done = await container(fleet, "c1");

    expect(open.totalRuntime).toBe("~0:30:00");
    expect(done).toMatchObject({
      totalRuntime: "0:50:00",
      effectiveRuntime: "0:20:00",
      state: "succeeded",
    });
    expect(done.totalRuntimeSec - done.effectiveRuntimeSec).toBe(30 * 60);
  });

  it("OCO-38 removes finished containers after their own times and never an open one", async () => {
    await activePackage(fleet, "acme/good@1");
    await activePackage(fleet, "acme/bad@1");
    await activePackage(fleet, "acme/open@1");
    for (const name of ["good", "bad", "open"]) {
      await assist({ name, endpoints: ["e1"], packages: [`acme/${name}@1`] });
    }
    for (const offered of await pc.offers()) {
      if (offered.ref === "acme/good@1")
        await pc.report(offered, "succeeded", { outcome: "success" });
      if (offered.ref === "acme/bad@1")
        await pc.report(offered, "failed", { outcome: "failed", exitCode: 7 });
    }
    const names = async () =>
      (await fleet.operator<ContainerView[]>("GET", "/v1/containers")).map(({ name }) => name);

    fleet.nowMs += 4 * HOUR_MS - 1;
    const before = await names();
    fleet.nowMs += 1;
    const afterFour = await names();
    fleet.nowMs += 44 * HOUR_MS;
    const afterTwoDays = await names();

    expect(before).toEqual(["good", "bad", "open"]);
    expect(afterFour).toEqual(["bad", "open"]);
    expect(afterTwoDays).toEqual(["open"]);
  });
});

describe("control", () => {
  it("pauses and resumes a container, and takes it back", async () => {
    await activePackage(fleet, "acme/a@1");
    await assist({ name: "c1", endpoints: ["e1"], packages: ["acme/a@1"] });
    const pause = { kind: "container", name: "c1" };

    await fleet.operator("POST", "/v1/intent/pause", { ...pause, isPaused: true });
    const paused = [await pc.texts(), (await why(fleet, "e1"))[0]?.reasons[0]?.code];
    await fleet.operator("POST", "/v1/intent/pause", { ...pause, isPaused: false });
    const resumed = await pc.texts();
    await fleet.operator("POST", "/v1/intent/remove", pause);

    expect(paused).toEqual([[], "paused"]);
    expect(resumed).toEqual(["install acme/a@1"]);
    expect(await pc.texts()).toEqual([]);
  });

  it("takes a deployment back, and pauses one", async () => {
    await activePackage(fleet, "acme/a@1");
    await fleet.deploy("acme/a@1", { kind: "all" });
    const [made] = await fleet.operator<{ id: string; endpointCount: number }[]>(
      "GET",
      "/v1/deployments",
    );
    const of = { kind: "deployment", name: made!.id };

    await fleet.operator("POST", "/v1/intent/pause", { ...of, isPaused: true });
    const paused = await pc.texts();
    await fleet.operator("POST", "/v1/intent/pause", { ...of, isPaused: false });
    const resumed = await pc.texts();
    await fleet.operator("POST", "/v1/deployments/cancel", { id: made!.id });

    expect(made?.endpointCount).toBe(1);
    expect([paused, resumed]).toEqual([[], ["install acme/a@1"]]);
    expect(await pc.texts()).toEqual([]);
  });

  it("OCO-45 starts a failed job anew, with the count to be seen, and bulk the same way", async () => {
    await activePackage(fleet, "acme/a@1");
    await assist({ name: "c1", endpoints: ["e1"], packages: ["acme/a@1"] });
    const [offered] = await pc.offers();
    await pc.report(offered!, "failed", {
      outcome: "failed",
      systemCode: -9999,
      reason: "cut off",
    });
    const failed = (await container(fleet, "c1")).jobs[0];

    const dry = await fleet.operator("POST", "/v1/jobs/retry", { isDryRun: true });
    const real = await fleet.operator("POST", "/v1/jobs/retry", { container: "c1" });
    const [again] = await pc.offers();

    expect(failed).toMatchObject({ state: "failed", systemCode: -9999, attempt: 3 });
    expect(dry).toMatchObject({ jobs: [{ endpoint: "e1", name: "acme/a", resets: 1 }] });
    expect(real).toMatchObject({ isDryRun: false, jobs: [{ resets: 1 }] });
    expect(again?.instruction.revision).not.toBe(offered?.instruction.revision);
    expect((await container(fleet, "c1")).jobs[0]?.state).toBe("waiting");
  });

  it("OCO-33 gives a retried container job the newest procedure, and a new one nothing by itself", async () => {
    await activePackage(fleet, "acme/a@1");
    await assist({ name: "c1", endpoints: ["e1"], packages: ["acme/a@1"] });
    await activePackage(fleet, "acme/a@1+1");
    const [offered] = await pc.offers();
    await pc.report(offered!, "failed", { outcome: "failed" });

    await fleet.operator("POST", "/v1/jobs/retry", {});

    expect(offered?.ref).toBe("acme/a@1");
    expect((await pc.texts())[0]).toBe("install acme/a@1+1");
  });

  it("OCO-48 D4 ends the whole container for everybody when a job of an aborting one has failed", async () => {
    await activePackage(fleet, "acme/a@1");
    await activePackage(fleet, "acme/b@1");
    const other = await listen(fleet, "e2", "berlin", "10.1.0.2");
    const schedule = { sequenceMode: "abortAfterFailed" };
    await assist({
      name: "c1",
      endpoints: ["e1", "e2"],
      packages: ["acme/a@1", "acme/b@1"],
      schedule,
    });
    await other.offers();

    const [offered] = await pc.offers();
    await pc.report(offered!, "failed", { outcome: "failed", exitCode: 1 });

    expect(await container(fleet, "c1")).toMatchObject({ isAborted: true, state: "failed" });
    expect(await other.texts()).toEqual([]);
    const { jobs } = await container(fleet, "c1");
    expect(jobs.map(({ state }) => state)).toEqual(["failed", "failed", "failed", "failed"]);
  });
});

it("ZEN-20 refuses a dependent that restarts, whichever end is published last, unless the edge allows it", async () => {
  await publishRules(fleet, "acme/driver@1", { uninstall: UNINSTALL, postAction: "restart" });
  const edge = { name: "acme/driver", actionSet: "install" };
  const refusedEdge = await refusedPublish("acme/app@1", { dependencies: [edge] });
  await publishRules(fleet, "acme/app@2", { dependencies: [{ ...edge, allowsRestart: true }] });
  await publishRules(fleet, "acme/base@1", {});
  await publishRules(fleet, "acme/app@3", {
    dependencies: [{ name: "acme/base", actionSet: "install" }],
  });
  const refusedDependent = await refusedPublish("acme/base@2", { postAction: "shutdown" });

  expect(refusedEdge).toMatchObject({ code: "DEPENDENCY_RESTARTS" });
  expect(refusedEdge.message).toBe(
    "acme/app@1 depends on acme/driver@1, which ends with a restart",
  );
  expect(refusedDependent).toMatchObject({ code: "DEPENDENCY_RESTARTS" });
  expect((await fleet.status()).packages).toHaveLength(4);
});

async function refusedPublish(
  ref: string,
  rules: object,
): Promise<{ code: string; message: string }> {
  const answer = await tryPublish(fleet, ref, rules);
  expect(answer.status).toBe(409);
  return answer.body;
}

it("pauses an assignment by its name", async () => {
  await activePackage(fleet, "acme/a@1");
  await apply(fleet, {
    endpointGroups: [{ name: "g", endpoints: ["e1"] }],
    packageGroups: [{ name: "p", entries: [{ name: "acme/a", version: "1" }] }],
    assignments: [{ packageGroup: "p", endpointGroup: "g" }],
  });

  await fleet.operator("POST", "/v1/intent/pause", {
    kind: "assignment",
    name: "p x g",
    isPaused: true,
  });

  expect(await pc.texts()).toEqual([]);
});
