import { randomBytes } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import pino from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runCoordinator } from "../../../coordinator/main.ts";
import { fleetPin, parseJoinToken } from "../../../protocol/join-token.ts";
import { parseFleet } from "../../../protocol/check-in.ts";
import {
  digestOf,
  directed,
  newFleet,
  packageOf,
  membershipIn,
  rosterIn,
  TestEndpoint,
  type TestFleet,
} from "./fleet.ts";

let fleet: TestFleet;
beforeEach(async () => {
  fleet = await newFleet();
  await fleet.site("berlin", "10.1.0.0/16");
  await fleet.site("hamburg", "10.2.0.0/16");
});
afterEach(async () => fleet[Symbol.asyncDispose]());

const fragments = [randomBytes(200_000), randomBytes(70_000)];
const all = { kind: "all" };

async function deployed(ref = "acme/app@1.0"): Promise<void> {
  await fleet.publish(ref, fragments);
  await fleet.activate(ref);
  await fleet.deploy(ref, all);
}

describe("joining", () => {
  it("shows a fleet whose pin is in the token", async () => {
    const answer = await fleet.call("GET", "/v1/fleet");
    const { pin } = parseJoinToken(await fleet.token("berlin"));

    expect(fleetPin(parseFleet(answer.body))).toBe(pin);
    expect(pin).toBe(fleet.init.pin);
  });

  it("refuses a wrong secret, throttles after 5 failures, and lets the right one in a minute later", async () => {
    const token = await fleet.token("berlin");
    const endpoint = new TestEndpoint(fleet, "pc", "10.1.0.1");
    const wrong = token.slice(0, -1) + (token.endsWith("0") ? "1" : "0");

    for (let at = 0; at < 5; at++) expect((await endpoint.join(wrong)).status).toBe(403);
    expect((await endpoint.join(token)).status).toBe(429);
    fleet.nowMs += 61_000;
    expect((await endpoint.join(token)).status).toBe(200);
  });

  it("counts uses, does not eat one for the same key, and renames a taken name", async () => {
    const token = await fleet.token("berlin", 2);
    const [one, two, three] = [1, 2, 3].map(() => new TestEndpoint(fleet, "pc", "10.1.0.1"));

    const answers = [await one!.join(token), await one!.join(token), await two!.join(token)];
    const late = await three!.join(token);

    expect(answers.map(({ body }) => body.name)).toEqual(["pc", "pc", "pc-2"]);
    expect(late).toMatchObject({ status: 403, body: { code: "JOIN_REFUSED" } });
  });

  it("refuses an expired token", async () => {
    const token = await fleet.token("berlin");
    fleet.nowMs += 3_600_000;

    expect((await new TestEndpoint(fleet, "pc", "10.1.0.1").join(token)).status).toBe(403);
  });
});

describe("check-in", () => {
  it("SE-1 refuses an endpoint that has not joined", async () => {
    const stranger = new TestEndpoint(fleet, "stranger", "10.1.0.9");
    const answer = await fleet.call("POST", "/v1/check-in", { body: stranger.checkInBody() });

    expect(answer).toMatchObject({ status: 401, body: { code: "AUTH_REFUSED" } });
  });

  it("OCS-7 OCS-15 answers an unchanged endpoint with the freshness statement alone", async () => {
    const pc = await fleet.join("pc", "berlin", "10.1.0.1");
    const first = await pc.checkIn();
    const second = await pc.checkIn();

    expect(directed(first)).toEqual({});
    expect(Object.keys(first).sort()).toContain("session");
    expect(Object.keys(second).filter((key) => key !== "sizeBytes")).toEqual(["freshness"]);
    expect(second.sizeBytes).toBeLessThan(1024);
  });

  it("refuses a replayed check-in and one signed by another key", async () => {
    const pc = await fleet.join("pc", "berlin", "10.1.0.1");
    const body = pc.checkInBody();

    expect((await fleet.call("POST", "/v1/check-in", { body })).status).toBe(200);
    expect(await fleet.call("POST", "/v1/check-in", { body })).toMatchObject({
      status: 409,
      body: { code: "CHECK_IN_REPLAYED" },
    });
    const forged = {
      ...(pc.checkInBody() as object),
      signature: Buffer.alloc(64).toString("base64"),
    };
    expect((await fleet.call("POST", "/v1/check-in", { body: forged })).status).toBe(401);
  });

  it("MYP-8 gives an endpoint that moves the DP and the peers of its new site", async () => {
    const pc = await fleet.join("pc", "berlin", "10.1.0.1");
    const dps = [
      await fleet.join("dp-b", "berlin", "10.1.0.2"),
      await fleet.join("dp-h", "hamburg", "10.2.0.2"),
    ];
    for (const dp of dps) {
      await fleet.operator("PUT", `/v1/endpoints/${dp.name}/dp`, { isEnabled: true });
      await dp.checkIn();
    }

    const before = rosterIn(await pc.checkIn());
    pc.address = "10.2.0.77";
    const moved = await pc.checkIn();
    const after = rosterIn(moved);

    expect(before).toMatchObject({ site: "berlin", dps: [{ endpoint: dps[0]!.id, rank: 0 }] });
    expect(after).toMatchObject({ site: "hamburg", dps: [{ endpoint: dps[1]!.id }] });
    expect(after.version).toBeGreaterThan(before.version);
    expect(membershipIn(moved)).toMatchObject({ site: "hamburg", role: "agent" });
    const row = (await fleet.status()).endpoints.find(({ name }) => name === "pc");
    expect(row).toMatchObject({ site: "hamburg", isAtSite: true, dp: "dp-h" });
  });

  it("MYP-26 BR-6 gives an endpoint at no site neither DP nor peers", async () => {
    await (await fleet.join("peer", "berlin", "10.1.0.2")).checkIn();
    const pc = await fleet.join("pc", "berlin", "172.16.0.1");

    const answer = await pc.checkIn();

    const roster = rosterIn(answer);
    expect(roster).toMatchObject({ dps: [], peers: [], criteria: [] });
    expect(roster.site).toBeUndefined();
    expect(membershipIn(answer).site).not.toBe("berlin");
  });

  it("OCS-8 OCS-14 SE-9 brings two orders in one answer at the next check-in", async () => {
    const pc = await fleet.join("pc", "berlin", "10.1.0.1");
    await pc.checkIn();
    await deployed("acme/app@1.0");
    await deployed("acme/tool@2.0");
    const waiting = (await fleet.status()).endpoints[0]!.jobs;

    const answer = await pc.checkIn();

    expect(waiting.map(({ state }) => state)).toEqual(["waiting", "waiting"]);
    expect(waiting[0]?.reason).toMatch(/not yet picked up; last contact 2027/u);
    expect(Object.keys(directed(answer))).toEqual(["acme/app/1.0", "acme/tool/2.0"]);
    expect(
      Object.keys(answer.catalog!).filter((name) => name.startsWith("bin-")).length,
    ).toBeGreaterThan(0);
    expect(directed(answer)["acme/app/1.0"]!.instructions).toHaveLength(1);
  });

  it("keeps directives and check-in counters over a restart", async () => {
    const pc = await fleet.join("pc", "berlin", "10.1.0.1");
    await deployed();
    await pc.checkIn();
    await fleet.stop();
    await fleet.start();

    const quiet = await pc.checkIn();

    expect(quiet.directive).toBeUndefined();
    pc.counter--;
    await expect(pc.checkIn()).rejects.toThrow(/CHECK_IN_REPLAYED/u);
  });
});

describe("packages", () => {
  it("OCS-5 serves nothing of a package before its activation", async () => {
    const pc = await fleet.join("pc", "berlin", "10.1.0.1");
    const { manifest, isActive } = await fleet.publish("acme/app@1.0", fragments);
    const order = { name: "acme/app", version: "1.0", target: { kind: "site", name: "berlin" } };
    const answer = await fleet.operator("POST", "/v1/deployments", order);
    expect(answer).toMatchObject({ endpoints: ["pc"], isActive: false });
    const before = await pc.checkIn();

    expect(isActive).toBe(false);
    expect(directed(before)).toEqual({});
    expect((await pc.get(`/v1/manifests/${manifest}`)).status).toBe(403);
    expect((await pc.lease(manifest, [0])).status).toBe(403);
    expect((await fleet.status()).endpoints[0]?.jobs).toMatchObject([
      { state: "waiting", reason: "acme/app@1.0 is not activated." },
    ]);

    await fleet.activate("acme/app@1.0");
    expect(await fleet.operator("POST", "/v1/deployments", order)).toMatchObject({
      isActive: true,
    });
    expect(Object.keys(directed(await pc.checkIn()))).toEqual(["acme/app/1.0"]);
    const served = await pc.get(`/v1/manifests/${manifest}`);
    expect(digestOf(served.bytes)).toBe(manifest);
  });

  it("OCS-6 orders and serves a package to assigned machines only", async () => {
    const mine = await fleet.join("mine", "berlin", "10.1.0.1");
    const other = await fleet.join("other", "berlin", "10.1.0.2");
    const { manifest } = await fleet.publish("acme/app@1.0", fragments);
    await fleet.activate("acme/app@1.0");
    await fleet.deploy("acme/app@1.0", { kind: "endpoint", name: "mine" });

    expect(Object.keys(directed(await mine.checkIn()))).toEqual(["acme/app/1.0"]);
    expect(directed(await other.checkIn())).toEqual({});
    expect((await other.get(`/v1/manifests/${manifest}`)).status).toBe(403);
    expect((await mine.get(`/v1/manifests/${manifest}`)).status).toBe(200);
  });

  it("OCS-24 shows the level of a package once, and OCS-4 refuses a package whose fragments are missing", async () => {
    const { manifest } = packageOf("acme/app@1.0", fragments);
    const input = await fleet.signed(manifest);
    const early = await fleet.call("POST", "/v1/packages", {
      body: input,
      bearer: fleet.init.operatorToken,
    });

    expect(early).toMatchObject({ status: 409, body: { code: "FRAGMENTS_MISSING" } });
    expect((early.body as { message: string }).message).toMatch(/^2 fragments/u);
    expect((await fleet.publish("acme/app@1.0", fragments)).level).toBe(5);
    expect((await fleet.publish("acme/app@1.0", fragments)).level).toBe(5);
  });

  it("takes in no fragment under a wrong digest", async () => {
    const answer = await fleet.call("PUT", `/v1/fragments/${"a".repeat(64)}`, {
      body: randomBytes(100),
      bearer: fleet.init.operatorToken,
    });

    expect(answer).toMatchObject({ status: 400, body: { code: "FRAGMENT_MISMATCH" } });
  });
});

describe("fragments", () => {
  it("BR-1 lets each fragment into a site once, under a lease, and counts its bytes", async () => {
    const [a, b] = [
      await fleet.join("a", "berlin", "10.1.0.1"),
      await fleet.join("b", "berlin", "10.1.0.2"),
    ];
    await deployed();
    await a.checkIn();
    await b.checkIn();
    const { packages } = await fleet.status();
    const { manifest, wireBytes } = packages[0]!;

    const lease = await a.lease(manifest, [0, 1, 2, 3]);
    expect(lease.body.grants).toHaveLength(4);
    const grant = lease.body.grants[0]!;
    expect((await a.get(`/v1/fragments/${grant.digest}`)).status).toBe(400);
    const stolen = await b.get(`/v1/fragments/${grant.digest}`, {
      "x-branchline-lease": grant.token,
    });
    expect(stolen.status).toBe(403);
    for (const { digest, token } of lease.body.grants) {
      const answer = await a.get(`/v1/fragments/${digest}`, { "x-branchline-lease": token });
      expect(digestOf(answer.bytes)).toBe(digest);
      expect(answer.headers["content-encoding"]).toBeUndefined();
    }
    const second = await b.lease(manifest, [0, 1, 2, 3]);

    expect(second.body.grants).toEqual([]);
    expect(second.body.leased).toHaveLength(4);
    expect(second.body.leased[0]).toMatchObject({ holder: a.id, isServed: true });
    expect((await fleet.status()).sites[0]).toMatchObject({ wanRatio: 1, originBytes: wireBytes });

    await fleet.stop();
    await fleet.start();
    expect((await b.lease(manifest, [0])).body.grants).toEqual([]);
    expect((await fleet.status()).sites[0]).toMatchObject({ wanRatio: 1, originBytes: wireBytes });
  });

  it("resumes a fragment from the byte asked for", async () => {
    const a = await fleet.join("a", "berlin", "10.1.0.1");
    await deployed();
    await a.checkIn();
    const { manifest } = (await fleet.status()).packages[0]!;
    const { digest, token } = (await a.lease(manifest, [2])).body.grants[0]!;

    const answer = await a.get(`/v1/fragments/${digest}`, {
      "x-branchline-lease": token,
      range: "bytes=150000-",
    });

    expect(answer.status).toBe(206);
    expect(answer.bytes.equals(fragments[0]!.subarray(150_000))).toBe(true);
    expect(answer.headers["content-range"]).toBe("bytes 150000-199999/200000");
  });
});

describe("reports and callers", () => {
  it("stores a report once, and an older one changes nothing", async () => {
    const a = await fleet.join("a", "berlin", "10.1.0.1");
    await deployed();
    const answer = await a.checkIn();
    const { job, revision } = directed(answer)["acme/app/1.0"]!.instructions[0]!;
    const report = (id: string, order: number, state: string) =>
      ({
        kind: "job",
        id,
        endpoint: a.id,
        job,
        revision,
        order,
        name: "acme/app",
        version: "1.0",
        purpose: "perform",
        state,
        attempt: 1,
        exitCode: 3,
        atMs: fleet.nowMs,
        trace: [],
        bytes: { local: 0, peer: 0, dp: 0, origin: 0 },
      }) as unknown as Parameters<typeof a.report>[0];

    const stored = await a.report(report("r2", 2, "succeeded"), report("r1", 1, "executing"));
    await a.report(report("r2", 9, "failed"));

    expect(stored.body).toEqual({ stored: ["r2", "r1"] });
    expect((await fleet.status()).endpoints[0]?.jobs).toMatchObject([
      { state: "succeeded", exitCode: 3 },
    ]);
  });

  it("refuses operators without the right token and unknown fields at the door", async () => {
    const none = await fleet.call("GET", "/v1/status");
    const wrong = await fleet.call("GET", "/v1/status", { bearer: "blop_x" });
    const bearer = fleet.init.operatorToken;
    const extra = await fleet.call("POST", "/v1/deployments", {
      bearer,
      body: { name: "acme/app", version: "1", target: all, extra: 1 },
    });
    const absent = await fleet.call("POST", "/v1/deployments", {
      bearer,
      body: { name: "acme/app", version: "1", target: all },
    });

    expect([none.status, wrong.status, extra.status, absent.status]).toEqual([401, 401, 400, 404]);
    expect(absent.body).toMatchObject({
      code: "NOT_FOUND",
      hint: expect.any(String) as string,
      requestId: expect.any(String) as string,
    });
  });

  it("OCS-9 keeps its keys private, its data folder its own, and answers no plain HTTP", async () => {
    const mode = async (file: string) => (await stat(path.join(fleet.dataDir, file))).mode & 0o777;
    expect(await mode("keys/online.json")).toBe(0o600);
    expect(await mode("operator.json")).toBe(0o600);
    expect(await mode(".")).toBe(0o700);
    const operator: unknown = JSON.parse(
      await readFile(path.join(fleet.dataDir, "operator.json"), "utf8"),
    );
    expect(operator).toMatchObject({ url: fleet.url, token: fleet.init.operatorToken });
    await expect(fetch(fleet.url.replace("https", "http"))).rejects.toThrow();

    const second = runCoordinator({
      dataDir: fleet.dataDir,
      listen: { host: "127.0.0.1", port: 0 },
      isInsecureHttp: false,
      signal: AbortSignal.timeout(60_000),
      log: pino({ level: "silent" }),
    });
    await expect(second).rejects.toMatchObject({ code: "STORE_LOCKED" });
  });
});
