/** Plain origins at a real coordinator: who hears of them, what their tokens prove, what counts as done. */
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Digest } from "../../../protocol/ids.ts";
import type { Origins } from "../../../protocol/plain-origin.ts";
import type { Traffic } from "../../../protocol/traffic.ts";
import { leaseHolder } from "../../support/static-origin.ts";
import { newFleet, rosterIn, type TestEndpoint, type TestFleet } from "./fleet.ts";

const CDN = "https://cdn.example/fleet";
const fragments = [1, 2, 3].map((size) => randomBytes(size * 1000));
let fleet: TestFleet;
let a: TestEndpoint;
let b: TestEndpoint;
let manifest: Digest;

beforeEach(async () => {
  fleet = await newFleet();
  await fleet.site("berlin", "10.1.0.0/16");
  a = await fleet.join("a", "berlin", "10.1.0.1");
  b = await fleet.join("b", "berlin", "10.1.0.2");
  ({ manifest } = await fleet.publish("acme/app@1", fragments));
  await fleet.activate("acme/app@1");
  await fleet.deploy("acme/app@1", { kind: "all" });
  await a.checkIn();
  await b.checkIn();
});

afterEach(async () => {
  await fleet[Symbol.asyncDispose]();
});

const origins = async (): Promise<Origins> => fleet.operator("GET", "/v1/origins");
const word = (index: number, outcome: string, wastedBytes = 0): object => {
  return { index, origin: CDN, outcome, wastedBytes };
};

async function lineOf(): Promise<Traffic["sites"][number] | undefined> {
  const { sites } = await fleet.operator<Traffic>("GET", "/v1/traffic");
  return sites.find(({ site }) => site === "berlin");
}

describe("plain origins", () => {
  it("are named in the signed roster of their sites only, and no more once they are removed", async () => {
    await fleet.site("paris", "10.2.0.0/16");
    const c = await fleet.join("c", "paris", "10.2.0.1");
    await c.checkIn();
    await fleet.operator("PUT", "/v1/origins", { url: CDN, sites: ["berlin"] });
    const told = rosterIn(await a.checkIn()).origins;
    const elsewhere = await c.checkIn();
    const unchanged = await a.checkIn();
    await fleet.operator("POST", "/v1/origins/remove", { url: CDN });
    const after = rosterIn(await a.checkIn()).origins;

    expect(told).toEqual([{ url: CDN }]);
    expect(elsewhere.roster === undefined || !("origins" in rosterIn(elsewhere))).toBe(true);
    expect(unchanged.roster).toBeUndefined();
    expect(after).toBeUndefined();
  });

  it("are not named where packages give way to other traffic, which only the coordinator can do", async () => {
    await fleet.operator("PUT", "/v1/origins", { url: CDN });
    const before = rosterIn(await a.checkIn()).origins;
    await fleet.operator("PUT", "/v1/sites/berlin/policy", { class: "background" });
    const after = rosterIn(await a.checkIn()).origins;

    expect(before).toEqual([{ url: CDN }]);
    expect(after).toBeUndefined();
  });

  it.each([
    ["plain HTTP", { url: "http://cdn.example" }, "https"],
    ["a slash at the end", { url: "https://cdn.example/" }, "without a slash"],
    ["a user", { url: "https://user@cdn.example" }, ""],
    ["a path that leads back", { url: "https://cdn.example/a/../b" }, "without a slash"],
    ["no certificate", { url: CDN, ca: "x".repeat(200) }, "certificate"],
    ["no such site", { url: CDN, sites: ["nowhere"] }, "nowhere"],
  ])("are refused for %s", async (_wrong, body, said) => {
    const bearer = fleet.init.operatorToken;
    const answer = await fleet.call("PUT", "/v1/origins", { body, bearer });

    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.status).toBeLessThan(500);
    expect(answer.bytes.toString()).toContain(said);
  });

  it("get tokens that their edge checks by itself, and the coordinator takes the same ones", async () => {
    const [plain] = (await a.lease(manifest, [0])).body.grants;
    await fleet.operator("PUT", "/v1/origins", { url: CDN });
    const { tokenKey } = await origins();
    const [grant] = (await a.lease(manifest, [2])).body.grants;
    const { digest, token } = grant!;
    const headers = { "x-branchline-lease": token };

    expect(plain!.token.split(".")).toHaveLength(3);
    expect(await leaseHolder(tokenKey, digest, token, fleet.nowMs)).toBe(a.id);
    expect((await a.get(`/v1/fragments/${digest}`, headers)).status).toBe(200);
  });

  it("count as a first copy by what was done there, once however often it is said", async () => {
    await fleet.operator("PUT", "/v1/origins", { url: CDN });
    await a.lease(manifest, [2]);
    const first = await a.lease(manifest, [], { plain: [word(2, "done")] });
    const again = await a.lease(manifest, [], { plain: [word(2, "done")] });
    const refused = await b.lease(manifest, [2]);
    const line = await lineOf();
    const [view] = (await origins()).origins;

    expect(first.body.lapsed).toBeUndefined();
    expect(again.body.lapsed).toEqual([2]);
    expect(refused.body.leased).toEqual([{ index: 2, holder: a.id, isServed: true }]);
    expect(line?.wan.lease).toBe(1000);
    expect(line?.plainBytes).toBe(1000);
    expect(view).toMatchObject({ doneCount: 1, doneBytes: 1000 });
  });

  it("count what was of no use as broken, never more than the fragment, and leave the lease", async () => {
    await fleet.operator("PUT", "/v1/origins", { url: CDN });
    const [grant] = (await a.lease(manifest, [3])).body.grants;
    const plain = [word(3, "corrupt", 4_000_000), word(3, "broken", 500)];
    await a.lease(manifest, [], { plain });
    const { digest, token } = grant!;
    const fetched = await a.get(`/v1/fragments/${digest}`, { "x-branchline-lease": token });
    const line = await lineOf();
    const [view] = (await origins()).origins;
    const { notices } = await fleet.status();

    expect(fetched.status).toBe(200);
    expect(line?.wan).toMatchObject({ lease: 2000, broken: 2500 });
    expect(line?.plainBytes).toBe(2500);
    expect(view?.problems).toMatchObject({ corrupt: 1, broken: 1 });
    expect(notices.map(({ code }) => code)).not.toContain("WAN_TRAFFIC_HIGH");
  });

  it("keep the leases of a holder while bytes flow to it, and lose them when nothing does", async () => {
    await fleet.operator("PUT", "/v1/origins", { url: CDN });
    await a.lease(manifest, [2, 3]);
    for (let times = 0; times < 4; times++) {
      fleet.nowMs += 4000;
      await a.lease(manifest, [], { plain: [word(2, "flowing")] });
    }
    const during = await b.lease(manifest, [3]);
    fleet.nowMs += 61_000;
    const after = await b.lease(manifest, [3]);

    expect(during.body.leased).toEqual([{ index: 3, holder: a.id, isServed: false }]);
    expect(after.body.grants).toHaveLength(1);
  });

  it("are nobody's word without a grant: nothing is marked, nothing is counted", async () => {
    await fleet.operator("PUT", "/v1/origins", { url: CDN });
    const answer = await b.lease(manifest, [], { plain: [word(2, "done")] });
    const line = await lineOf();
    const granted = await a.lease(manifest, [2]);

    expect(answer.body.lapsed).toEqual([2]);
    expect(line?.wan.lease ?? 0).toBe(0);
    expect(granted.body.grants).toHaveLength(1);
  });

  it("survive a start of the coordinator, with what was done and the key of the tokens", async () => {
    await fleet.operator("PUT", "/v1/origins", { url: CDN });
    await a.lease(manifest, [2]);
    await a.lease(manifest, [], { plain: [word(2, "done")] });
    const before = await origins();
    await fleet.stop();
    await fleet.start();
    const after = await origins();
    const refused = await b.lease(manifest, [2]);

    expect(after.tokenKey).toBe(before.tokenKey);
    expect(after.origins.map(({ url }) => url)).toEqual([CDN]);
    expect(refused.body.leased).toEqual([{ index: 2, holder: a.id, isServed: true }]);
    expect((await lineOf())?.plainBytes).toBe(1000);
  });
});
