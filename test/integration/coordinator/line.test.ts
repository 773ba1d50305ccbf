import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { LeaseAnswer } from "../../../protocol/lease.ts";
import type { Traffic } from "../../../protocol/traffic.ts";
import { digestOf, newFleet, rosterIn, type TestEndpoint, type TestFleet } from "./fleet.ts";

const REF = "acme/app@1.0";
const fragments = [randomBytes(250_000), randomBytes(250_000)];
/** A Monday, 12:00 UTC. */
const NOON_MS = Date.UTC(2026, 10, 16, 12);
const HOUR_MS = 3_600_000;

let fleet: TestFleet;
let manifest: Awaited<ReturnType<TestFleet["publish"]>>["manifest"];

beforeEach(async () => {
  fleet = await newFleet();
  fleet.nowMs = Math.max(NOON_MS, fleet.nowMs);
  fleet.nowMs += (NOON_MS - fleet.nowMs) % (7 * 24 * HOUR_MS);
  await fleet.site("berlin", "10.1.0.0/16");
  manifest = (await fleet.publish(REF, fragments)).manifest;
  await fleet.activate(REF);
  await fleet.deploy(REF, { kind: "all" });
});
afterEach(async () => fleet[Symbol.asyncDispose]());

async function member(name: string, address: string): Promise<TestEndpoint> {
  const endpoint = await fleet.join(name, "berlin", address);
  await endpoint.checkIn();
  return endpoint;
}

async function limit(policy: object): Promise<void> {
  await fleet.operator("PUT", "/v1/sites/berlin/policy", policy);
}

async function fetched(endpoint: TestEndpoint, answer: LeaseAnswer): Promise<number> {
  let sizeBytes = 0;
  for (const { digest, token } of answer.grants) {
    const { bytes, status } = await endpoint.get(`/v1/fragments/${digest}`, {
      "x-branchline-lease": token,
    });
    expect(status).toBe(200);
    expect(digestOf(bytes)).toBe(digest);
    sizeBytes += bytes.length;
  }
  return sizeBytes;
}

/** The coordinator hears of the last byte a moment after the endpoint has it. */
async function marked(asker: TestEndpoint, index: number, holder: TestEndpoint): Promise<void> {
  for (;;) {
    const { leased } = (await asker.lease(manifest, [index])).body;
    if (leased[0]?.isServed === true && leased[0].holder === holder.id) return;
  }
}

describe("site policy", () => {
  it("is kept with the site, goes to its nodes in the roster, and outlives new criteria", async () => {
    const pc = await member("pc", "10.1.0.1");
    const policy = { downBytesPerSec: 1_000_000, peerUploadBytesPerSec: 500_000 };

    await limit(policy);
    const first = rosterIn(await pc.checkIn());
    await fleet.site("berlin", "10.1.0.0/17");

    // Endpoints need not know in which zone their coordinator is.
    const zone = Temporal.Now.timeZoneId();
    expect(first.policy).toEqual({ ...policy, zone });
    expect(rosterIn(await pc.checkIn()).policy).toEqual({ ...policy, zone });
  });

  it("refuses hours and zones that mean nothing", async () => {
    const answers = await Promise.all(
      [{ hours: "MON 25:00-26:00" }, { zone: "Berlin" }, { downBytesPerSec: 1 }].map((body) =>
        fleet.call("PUT", "/v1/sites/berlin/policy", { body, bearer: fleet.init.operatorToken }),
      ),
    );

    expect(answers.map(({ status }) => status)).toEqual([400, 400, 400]);
  });

  it("grants nothing outside the hours, and lets end what has begun", async () => {
    const pc = await member("pc", "10.1.0.1");
    await limit({ hours: "MON 12:00-13:00", zone: "UTC" });
    const inside = await pc.lease(manifest, [0, 1]);

    fleet.nowMs += 59 * 60_000 + 58_000;
    await pc.checkIn();
    const last = await pc.lease(manifest, [2]);
    fleet.nowMs += 2500;
    const outside = await pc.lease(manifest, [3]);

    expect(inside.body.grants).toHaveLength(2);
    expect(await fetched(pc, last.body)).toBe(250_000);
    expect(outside.body).toMatchObject({ grants: [], leased: [], retryAfterMs: 60_000 });
    const [site] = (await fleet.status()).sites;
    expect(site?.line).toMatchObject({ isOpen: false });
  });

  it("sends into a site no faster than its limit, whoever receives", async () => {
    const one = await member("one", "10.1.0.1");
    const two = await member("two", "10.1.0.2");
    await limit({ downBytesPerSec: 500_000 });
    const begin = performance.now();

    const sizes = await Promise.all([
      fetched(one, (await one.lease(manifest, [2])).body),
      fetched(two, (await two.lease(manifest, [3])).body),
    ]);

    const seconds = (performance.now() - begin) / 1000;
    expect(sizes).toEqual([250_000, 250_000]);
    expect(seconds).toBeGreaterThan(0.9);
  });

  it("tells those that fetch to measure a background line, and holds their probes", async () => {
    const pc = await member("pc", "10.1.0.1");
    await limit({ class: "background" });
    const lease = await pc.lease(manifest, [2]);
    const transfer = fetched(pc, lease.body);

    const probe = await fleet.call<{ heldMs: number }>("POST", "/v1/line", {
      body: { rttMs: 3 },
      bearer: pc.bearer,
    });

    expect(lease.body.isBackground).toBe(true);
    expect(probe.body.heldMs).toBeGreaterThan(50);
    await transfer;
  });
});

describe("traffic", () => {
  it("accounts first copies, second copies and what is sent to the same endpoint again", async () => {
    const one = await member("one", "10.1.0.1");
    const two = await member("two", "10.1.0.2");
    await fetched(one, (await one.lease(manifest, [0, 1, 2])).body);
    await marked(two, 2, one);
    fleet.nowMs += 5000;

    const forced = await two.lease(manifest, [2], { force: "holderUnreachable" });
    await fetched(two, forced.body);
    await marked(one, 2, two);
    fleet.nowMs += 5000;
    await fetched(two, (await two.lease(manifest, [2])).body);

    const { sites } = await fleet.operator<Traffic>("GET", "/v1/traffic?site=berlin");
    expect(sites).toHaveLength(1);
    expect(sites[0]).toMatchObject({ site: "berlin", package: "acme/app", endpointCount: 0 });
    expect(sites[0]?.wan).toMatchObject({
      holderUnreachable: 250_000,
      refetched: 250_000,
      noProgress: 0,
      broken: 0,
    });
    expect(sites[0]?.wan.lease).toBeGreaterThan(250_000);
    const { sites: elsewhere } = await fleet.operator<Traffic>("GET", "/v1/traffic?site=paris");
    expect(elsewhere).toEqual([]);
  });

  it("warns of a site whose line carried more than it should, and stops the endpoint", async () => {
    // A package of 500 kB: the budget is 2 copies and 8 MB, the alarm 1.2 copies and 1 MB.
    const one = await member("one", "10.1.0.1");
    const two = await member("two", "10.1.0.2");
    let roundCount = 0;
    for (let isStopped = false; !isStopped && roundCount < 60; roundCount++) {
      const { body } = await one.lease(manifest, [2]);
      isStopped = body.grants.length === 0;
      if (isStopped) break;
      await fetched(one, body);
      await marked(two, 2, one);
      fleet.nowMs += 10_000;
    }

    const { notices } = await fleet.status();
    expect(roundCount).toBeGreaterThan(30);
    expect(roundCount).toBeLessThan(45);
    expect(notices.map(({ code }) => code)).toContain("WAN_TRAFFIC_HIGH");
  });
});
