import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ContainerView } from "../../../protocol/intent-api.ts";
import { rosterIn, type TestFleet } from "./fleet.ts";
import {
  activePackage,
  berlin,
  endpointPage,
  listen,
  refused,
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

describe("what is installed", () => {
  it("OCO-35 uninstalls from the list of the endpoint, and from the page of the package", async () => {
    await activePackage(fleet, "acme/a@1");
    await activePackage(fleet, "acme/b@1");
    await assist({ name: "in", endpoints: ["e1"], packages: ["acme/a@1", "acme/b@1"] });
    await pc.obey();
    const before = (await endpointPage(fleet, "e1")).installed.map(({ name }) => name);

    await assist({
      name: "out-a",
      operation: "uninstall",
      endpoints: ["e1"],
      packages: ["acme/a@1"],
    });
    await assist({
      name: "out-b",
      operation: "uninstall",
      having: ["acme/b@1"],
      packages: ["acme/b@1"],
    });
    const done = await pc.obey();

    expect(before).toEqual(["acme/a", "acme/b"]);
    expect(done.filter((text) => text.startsWith("uninstall"))).toEqual([
      "uninstall acme/a@1",
      "uninstall acme/b@1",
    ]);
    expect((await endpointPage(fleet, "e1")).installed).toEqual([]);
  });

  it("OCO-36 OCO-37 keeps the record when an uninstall fails, until somebody removes it by hand", async () => {
    await activePackage(fleet, "acme/a@1");
    await assist({ name: "in", endpoints: ["e1"], packages: ["acme/a@1"] });
    await pc.obey();
    await assist({
      name: "out",
      operation: "uninstall",
      endpoints: ["e1"],
      packages: ["acme/a@1"],
    });
    const offered = (await pc.offers()).find(
      ({ instruction }) => instruction.operation === "uninstall",
    );
    await pc.report(offered!, "failed", { outcome: "failed", exitCode: 1605 });
    const kept = (await endpointPage(fleet, "e1")).installed;
    const containersBefore = await fleet.operator<ContainerView[]>("GET", "/v1/containers");

    await fleet.operator("POST", "/v1/installed/remove", {
      endpoint: "e1",
      name: "acme/a",
      version: "1",
    });

    expect(kept).toHaveLength(1);
    expect((await endpointPage(fleet, "e1")).installed).toEqual([]);
    const containersAfter = await fleet.operator<ContainerView[]>("GET", "/v1/containers");
    expect(containersAfter).toHaveLength(containersBefore.length);
  });

  it("OCO-41 puts the uninstall of the old version before the install of the new one", async () => {
    await activePackage(fleet, "acme/a@1");
    await activePackage(fleet, "acme/a@2");
    await assist({ name: "one", endpoints: ["e1"], packages: ["acme/a@1"] });
    await pc.obey();

    await assist({ name: "two", having: ["acme/a@1"], packages: ["acme/a@2"] });
    const done = await pc.obey();

    expect(done).toEqual(["uninstall acme/a@1", "install acme/a@2"]);
    expect((await endpointPage(fleet, "e1")).installed).toMatchObject([{ version: "2" }]);
  });

  it("OCO-39 deletes a version only when nothing uses it, and frees what it alone needed", async () => {
    await activePackage(fleet, "acme/a@1");
    const big = [Buffer.alloc(200_000, 1), Buffer.alloc(100_000, 2)];
    await fleet.publish("acme/files@1", big);
    await fleet.publish("acme/files@2", big.slice(0, 1));
    await assist({ name: "one", endpoints: ["e1"], packages: ["acme/a@1"] });
    await pc.obey();
    const a = { name: "acme/a", version: "1" };

    const used = await refused(fleet, "POST", "/v1/packages/delete", a);
    const dry = await fleet.operator("POST", "/v1/packages/delete", {
      name: "acme/files",
      version: "1",
      isDryRun: true,
    });
    const freed = await fleet.operator("POST", "/v1/packages/delete", {
      name: "acme/files",
      version: "1",
    });
    const gone = await refused(fleet, "GET", "/v1/packages/show?package=acme/files@1");
    const forced = await fleet.operator("POST", "/v1/packages/delete", { ...a, isForced: true });

    expect(used).toMatchObject({ status: 409, code: "PACKAGE_IN_USE" });
    expect(used.message).toMatch(/installed on 1 endpoints, job container one/u);
    // The fragment that version 2 shares stays: its own one and its two pages go.
    expect(freed).toMatchObject({ isDryRun: false, fragmentCount: 2 });
    expect((freed as { freedBytes: number }).freedBytes).toBeGreaterThan(100_000);
    expect(dry).toMatchObject({ isDryRun: true, fragmentCount: 2 });
    expect(gone.status).toBe(404);
    expect(forced).toMatchObject({ fragmentCount: 0 });
    expect(
      (await fleet.status()).packages.map(({ name, version }) => `${name}@${version}`),
    ).toEqual(["acme/files@2"]);
  });
});

describe("waking", () => {
  it("OCO-7 OCO-12 hands the wake-up to a node of the target's own site, and only to it", async () => {
    await fleet.site("rome", "10.9.0.0/16");
    await activePackage(fleet, "acme/a@1");
    const far = await listen(fleet, "rome-1", "rome", "10.9.0.1");
    const relay = await wakeByNeighbour();

    const farAnswer = await far.endpoint.checkIn();
    const answer = await relay.endpoint.checkIn();

    const { wakes } = rosterIn(answer);
    expect(wakes?.map(({ macs }) => macs)).toEqual([["02:00:00:00:00:01"]]);
    expect(farAnswer.roster === undefined || rosterIn(farAnswer).wakes === undefined).toBe(true);
  });

  it.each([
    ["OCO-8 OCO-10 shuts down what came up in time", 2, true],
    ["OCO-11 never shuts down what came up too late", 6, undefined],
  ])("%s", async (_name, minutes, isShutDown) => {
    await activePackage(fleet, "acme/a@1");
    const relay = await wakeByNeighbour();
    await relay.offers();

    fleet.nowMs += minutes * MINUTE_MS;
    pc.endpoint.system = system(["02:00:00:00:00:01"]);
    const [offered] = await pc.offers();

    expect(offered?.ref).toBe("acme/a@1");
    expect(offered?.instruction.shutdownAfter).toBe(isShutDown);
  });

  it("OCO-9 never shuts down an endpoint that was on", async () => {
    await activePackage(fleet, "acme/a@1");
    pc.endpoint.system = system(["02:00:00:00:00:01"]);
    const relay = await listen(fleet, "e2", "berlin", "10.1.0.2");
    relay.endpoint.system = system(["02:00:00:00:00:02"]);
    await pc.offers();
    const schedule = { wake: true, shutdown: true };
    await assist({ name: "c1", endpoints: ["e1"], packages: ["acme/a@1"], schedule });
    fleet.nowMs += 2000;
    await relay.offers();

    const [offered] = await pc.offers();

    expect(offered?.instruction.shutdownAfter).toBeUndefined();
  });
});

describe("who is silent between two check-ins", () => {
  it.each([
    ["OCO-9 D11 is not woken, since it said how seldom it speaks", 300_000, undefined],
    ["OCO-7 is woken where it would have spoken long ago", 60_000, [["02:00:00:00:00:01"]]],
  ])("%s", async (_name, checkInMs, macs) => {
    await activePackage(fleet, "acme/a@1");
    pc.endpoint.system = { ...system(["02:00:00:00:00:01"]), checkInMs };
    await pc.offers();
    const relay = await listen(fleet, "e2", "berlin", "10.1.0.2");
    relay.endpoint.system = system(["02:00:00:00:00:02"]);
    fleet.nowMs += 5 * MINUTE_MS;
    await relay.offers();
    const schedule = { wake: true, shutdown: true };
    await assist({ name: "c1", endpoints: ["e1"], packages: ["acme/a@1"], schedule });
    fleet.nowMs += 2000;
    await relay.offers();

    relay.endpoint.held = { ...relay.endpoint.held, roster: 0 };
    const { wakes } = rosterIn(await relay.endpoint.checkIn());

    expect(wakes?.map((one) => one.macs)).toEqual(macs);
  });
});

/** `e1` was last seen an hour ago when a container wants it woken; `e2` is at the same site and up. */
async function wakeByNeighbour(): Promise<Listener> {
  pc.endpoint.system = system(["02:00:00:00:00:01"]);
  await pc.offers();
  fleet.nowMs += HOUR_MS;
  const relay = await listen(fleet, "e2", "berlin", "10.1.0.2");
  relay.endpoint.system = system(["02:00:00:00:00:02"]);
  await relay.offers();
  const schedule = { wake: true, shutdown: true };
  await assist({ name: "c1", endpoints: ["e1"], packages: ["acme/a@1"], schedule });
  fleet.nowMs += 2000;
  return relay;
}

function system(macs: string[]) {
  return {
    osName: "Debian",
    osVersion: "12",
    isServer: false,
    memoryBytes: 8 * 1024 ** 3,
    freeDiskGb: 50,
    bootMs: fleet.nowMs,
    hasUser: false,
    macs,
  };
}
