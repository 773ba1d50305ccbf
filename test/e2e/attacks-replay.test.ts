/** Old truths told again, and coordinators that are not the fleet's: neither is believed. */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { endpointOf, jobOf, publishTo } from "../support/deployments.ts";
import { HostileCoordinator } from "../support/hostile-coordinator.ts";
import { HostileProxy, type CheckInSeen } from "../support/hostile-proxy.ts";
import { descriptionIn, HostileServer, otherFleet } from "../support/hostile-server.ts";
import { Fleet, until } from "../support/processes.ts";

const SOUTH = "127.20.2.11:0";
const NORTH = "127.20.3.11:0";
let fleet: Fleet;
let proxy: HostileProxy;

beforeAll(async () => {
  fleet = await Fleet.start({ coordinatorFlags: ["--insecure-http"] });
  proxy = await HostileProxy.start(fleet.url);
  await fleet.command(["site", "create", "south", "--subnet", "127.20.2.0/24"]);
  await fleet.command(["site", "create", "north", "--subnet", "127.20.3.0/24"]);
  await startRoamer(SOUTH);
  await fleet.joined(["roamer"]);
});

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await fleet?.[Symbol.asyncDispose]();
});

async function startRoamer(listen: string): Promise<void> {
  const site = { site: "south", coordinator: proxy.url, checkIn: "500ms" };
  await fleet.startNode({ name: "roamer", listen, ...site });
}

function marker(name: string): string {
  return join(fleet.folder, `marker-${name}`);
}

async function deployTouch(name: string, target: string): Promise<void> {
  const flags = ["--action", "execute", "--command", `/usr/bin/touch ${marker(name)}`];
  await publishTo(fleet, { ref: `acme/${name}@1`, flags }, target);
}

/** A directive for the south that was held back until the node had left for the north. */
async function heldBack(): Promise<CheckInSeen> {
  proxy.isCutting = true;
  await deployTouch("southern", "site:south");
  const seen = await until("the directive for the south", 30_000, async () =>
    proxy.seen.find(({ answer }) => answer.directive?.["targets.json"]?.includes("acme/southern")),
  );
  await fleet.nodes.get("roamer")?.stop();
  proxy.relent();
  await startRoamer(NORTH);
  await deployTouch("northern", "site:north");
  await jobOf(fleet, "roamer", "acme/northern@1");
  return seen;
}

async function reported(code: string): Promise<string> {
  return until(`a report of ${code}`, 30_000, async () => {
    const { refusals } = await endpointOf(fleet, "roamer");
    return refusals.find((one) => one.code === code)?.detail;
  });
}

it("BR-2 OCS-17 (M8) refuses an older directive, alone and with fresh freshness", async () => {
  const thief = await HostileCoordinator.of(fleet);
  const old = await heldBack();
  const { directive } = old.answer;
  if (directive === undefined) throw new Error("no directive was held back");

  await proxy.attack(() => old.answer);
  const replayed = await reported("TRUST_STALE_ANSWER");
  const { directiveVersion } = thief.freshnessOf(old.answer);
  const { catalog } = proxy;
  await proxy.attack((seen) => thief.answer(seen, { directive, directiveVersion, catalog }));
  const rolledBack = await reported("TRUST_ROLLBACK");

  expect(replayed).toBe("the answer was not made for this request");
  expect(rolledBack).toMatch(/is older than what this endpoint has already accepted$/u);
  expect(existsSync(marker("southern"))).toBe(false);
  proxy.relent();
  await deployTouch("later", "site:north");
  await jobOf(fleet, "roamer", "acme/later@1");
  expect(existsSync(marker("later"))).toBe(true);
  expect(existsSync(marker("southern"))).toBe(false);
});

it("SE-1 (E1) tells a coordinator of another fleet nothing, and joins the true one later", async () => {
  const disguise = await otherFleet(fleet, "other-fleet");

  await expectNoJoin("careful", "127.20.2.21:0", disguise);
});

it("SE-1 (E1) tells the fleet's own description under another certificate nothing", async () => {
  const disguise = await otherFleet(fleet, "man-in-the-middle");
  const description = await descriptionIn(fleet.dataFolder);

  await expectNoJoin("wary", "127.20.2.22:0", { ...disguise, description });
});

async function expectNoJoin(
  name: string,
  listen: string,
  disguise: Parameters<typeof HostileServer.start>[0],
): Promise<void> {
  await using server = await HostileServer.start(disguise);
  const answer = await fleet.json(["token", "create", "--site", "south"]);
  const { token } = answer as { readonly token: string };
  await mkdir(fleet.nodeFolder(name), { recursive: true });

  const node = await fleet.startNode({ name, listen, token, coordinator: server.url });
  await until("the node gives up", 30_000, async () => (node.isRunning ? undefined : true));
  const exitCode = await node.ended;

  const sentence = `the coordinator at ${server.url} is not the one that issued the join token`;
  expect(exitCode).toBe(1);
  expect(await node.log()).toContain(sentence);
  expect(server.requests.map(({ line, bodyBytes }) => [line, bodyBytes])).toEqual([
    ["GET /v1/fleet", 0],
  ]);
  expect(server.requests[0]?.headerNames).toEqual(["accept-encoding", "connection", "host"]);
  expect(existsSync(join(fleet.nodeFolder(name), "fleet.json"))).toBe(false);
  await fleet.startNode({ name, listen, token });
  await fleet.joined([name]);
  await fleet.nodes.get(name)?.stop();
}
