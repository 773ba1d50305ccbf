/** Fragments that the coordinator's kernel has taken whole, and that a dead endpoint never gets. */
import { once } from "node:events";
import { Agent, request } from "node:https";
import type { IncomingMessage } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { randomBytes } from "node:crypto";
import type { Digest } from "../../../protocol/ids.ts";
import { until } from "../../support/processes.ts";
import { newFleet, type TestEndpoint, type TestFleet } from "./fleet.ts";

const INDEX = 2;

let fleet: TestFleet;
let agent: Agent;
let [a, b]: TestEndpoint[] = [];
let manifest: Digest;

beforeEach(async () => {
  agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
  fleet = await newFleet();
  await fleet.site("berlin", "10.1.0.0/16");
  a = await fleet.join("a", "berlin", "10.1.0.1");
  b = await fleet.join("b", "berlin", "10.1.0.2");
  ({ manifest } = await fleet.publish("acme/app@1.0", [randomBytes(100_000)]));
  await fleet.activate("acme/app@1.0");
  const target = { kind: "all" };
  await fleet.operator("POST", "/v1/deployments", { name: "acme/app", version: "1.0", target });
  await a.checkIn();
  await b.checkIn();
});

afterEach(async () => {
  agent.destroy();
  await fleet[Symbol.asyncDispose]();
});

async function get(path: string, headers: Record<string, string> = {}): Promise<void> {
  const authorization = `Bearer ${a!.bearer}`;
  const going = request(`${fleet.url}${path}`, {
    agent,
    headers: { authorization, ...headers },
  });
  going.end();
  const [response] = (await once(going, "response")) as [IncomingMessage];
  response.resume();
  await once(response, "close");
}

async function fetchOne(): Promise<void> {
  const { digest, token } = (await a!.lease(manifest, [INDEX])).body.grants[0]!;
  await get(`/v1/fragments/${digest}`, { "x-branchline-lease": token });
  await until("the gate knows", 10_000, async () => {
    const { leased } = (await b!.lease(manifest, [INDEX])).body;
    return leased[0]?.isServed === true ? true : undefined;
  });
}

describe("a fragment that went out to its last byte", () => {
  it("is another's to fetch once the connection breaks before it brings another request", async () => {
    await fetchOne();

    agent.destroy();

    const grants = await until("the fragment is free", 10_000, async () => {
      const answer = (await b!.lease(manifest, [INDEX])).body;
      return answer.grants.length > 0 ? answer.grants : undefined;
    });
    expect(grants).toMatchObject([{ index: INDEX }]);
  });

  it.each([
    ["brought another request", async () => get(`/v1/manifests/${manifest}`)],
    ["was idle for long", async () => void (fleet.nowMs += 45_000)],
  ])("is its holder's where the connection %s before it ended", async (_case, before) => {
    await fetchOne();
    await before();

    agent.destroy();
    await get("/livez");

    const { grants, leased } = (await b!.lease(manifest, [INDEX])).body;
    expect(grants).toEqual([]);
    expect(leased).toMatchObject([{ isServed: true }]);
  });
});
