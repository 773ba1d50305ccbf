/** Plain HTTPS origins: an ordinary web server carries the bytes for a real coordinator and two real nodes. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseOrigins, type OriginView } from "../../../protocol/plain-origin.ts";
import { parseTraffic, type SiteTraffic } from "../../../protocol/traffic.ts";
import { isSucceeded, sha256Of } from "../../support/deployments.ts";
import { OwnProcessFleet } from "../../support/own-process-fleet.ts";
import { until, writeNoise } from "../../support/processes.ts";
import { StaticOrigin, type Manner } from "../../support/static-origin.ts";

const NAMES = ["n21", "n22"];
/** Fragments that one node has under way at most; it rests an origin for minutes after the first bad one. */
const CONNECTIONS_MAX = 28;
let fleet: OwnProcessFleet;
let server: StaticOrigin;
let caPath = "";
let seed = 40;

beforeAll(async () => {
  fleet = await OwnProcessFleet.start();
  await fleet.command(["site", "create", "office", "--subnet", "127.10.8.0/24"]);
  for (const host of [21, 22]) {
    await fleet.startNode(`n${host}`, "office", `127.10.8.${host}`);
  }
  server = await StaticOrigin.start(join(fleet.folder, "www"));
  caPath = join(fleet.folder, "authority.pem");
  await writeFile(caPath, server.certificate);
  server.tokenKey = parseOrigins(await fleet.json(["origin", "list"])).tokenKey;
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await fleet?.[Symbol.asyncDispose]();
});

interface Delivery {
  readonly traffic: SiteTraffic;
  readonly origin: OriginView;
  readonly areRight: boolean;
}

/** One package to both nodes, with one origin of this manner and no other. */
async function delivered(name: string, manner: Manner, sizeBytes: number): Promise<Delivery> {
  const url = server.url(name, manner);
  await fleet.command(["origin", "add", url, "--ca", caPath, "--site", "office"]);
  const source = join(fleet.folder, `${name}.bin`);
  await writeNoise(source, sizeBytes, seed++);
  await deploy(name, source);
  const wanted = await sha256Of(source);
  const made = NAMES.map((node) => join(fleet.nodeFolder(node), "store", name, `${name}.bin`));
  const areRight = (await Promise.all(made.map(sha256Of))).every((found) => found === wanted);
  const { traffic, origin } = await settled(name, url);
  await fleet.command(["origin", "remove", url]);
  return { traffic, origin, areRight };
}

/** Published, exported, and on both nodes. */
async function deploy(name: string, source: string): Promise<void> {
  const ref = `acme/${name}@1`;
  const identity = ["--name", `acme/${name}`, "--version", "1", "--action", "store"];
  await fleet.command(["package", "publish", source, ...identity, "--path", name]);
  await fleet.command(["origin", "export", ref, "--to", server.folder]);
  await fleet.command(["package", "activate", ref]);
  await fleet.command(["deploy", ref, "--to", "all"]);
  await until(`${ref} on both nodes`, 90_000, async () => {
    const jobs = (await fleet.status()).endpoints.flatMap((endpoint) => endpoint.jobs);
    const done = jobs.filter((job) => job.package === `acme/${name}`).filter(isSucceeded);
    return done.length === NAMES.length ? done : undefined;
  });
}

/** The account once it has heard of all that the server was asked for: the last words may follow a report. */
async function settled(name: string, url: string): Promise<Omit<Delivery, "areRight">> {
  return until(`the account of ${name}`, 60_000, async () => {
    const { sites } = parseTraffic(await fleet.json(["traffic", "--package", `acme/${name}`]));
    const { origins } = parseOrigins(await fleet.json(["origin", "list"]));
    const [traffic] = sites;
    const origin = origins.find((view) => view.url === url);
    if (traffic === undefined || origin === undefined) return undefined;
    const { absent, refused, broken, corrupt } = origin.problems;
    const toldCount = origin.doneCount + absent + refused + broken + corrupt;
    const isWhole = traffic.wan.lease >= traffic.expectedBytes && traffic.endpointCount === 2;
    return isWhole && toldCount >= server.of(name).length ? { traffic, origin } : undefined;
  });
}

describe("a plain HTTPS origin", () => {
  it("carries every byte into the office once, for the bearer of a lease that an edge can check", async () => {
    const { traffic, origin, areRight } = await delivered("once", "good", 6_000_000);
    const asked = server.of("once");
    const ids = (await fleet.status()).endpoints.map(({ id }) => id as string);

    expect(areRight).toBe(true);
    expect(asked.every(({ status }) => status === 200)).toBe(true);
    // The account is that of the server itself. A machine that stands still for seconds loses leases: such
    // fragments come from the coordinator, or once more.
    expect(traffic.plainBytes).toBe(asked.reduce((sum, { sentBytes }) => sum + sentBytes, 0));
    expect(origin.doneBytes).toBe(traffic.plainBytes);
    expect(traffic.plainBytes).toBeGreaterThan(traffic.expectedBytes / 2);
    expect(traffic.ratio).toBeGreaterThanOrEqual(1);
    expect(traffic.ratio).toBeLessThan(1.2);
    // The lease token is all of ours that a foreign server sees.
    expect(asked.every(({ holder = "" }) => ids.includes(holder))).toBe(true);
    expect(asked.every(({ headers }) => headers["authorization"] === undefined)).toBe(true);
    expect(await fleet.command(["traffic"])).toContain("HTTPS ORIGINS");
  });

  it("that dies in the middle is replaced by the coordinator, and what broke off is counted", async () => {
    server.leftBytes = 3_000_000;
    const { traffic, origin, areRight } = await delivered("dies", "dying", 8_000_000);
    const asked = server.of("dies");
    const sentBytes = asked.reduce((sum, served) => sum + served.sentBytes, 0);

    expect(areRight).toBe(true);
    expect(origin.doneBytes).toBeGreaterThan(0);
    expect(origin.doneBytes).toBeLessThanOrEqual(3_000_000);
    expect(origin.problems.broken).toBeGreaterThan(0);
    // What the server pushed out and the node never saw is the only difference.
    expect(traffic.plainBytes).toBeLessThanOrEqual(sentBytes);
    expect(traffic.plainBytes).toBe(origin.doneBytes + traffic.wan.broken);
    expect(traffic.wan.lease).toBeGreaterThanOrEqual(traffic.expectedBytes);
  });

  it("that serves rotten bytes gets none of them assembled, and is not asked again", async () => {
    const { traffic, origin, areRight } = await delivered("rots", "rotten", 6_000_000);
    const asked = server.of("rots");

    expect(areRight).toBe(true);
    expect(origin.doneCount).toBe(0);
    // One window of each node was under way when the first of them showed what it is.
    expect(origin.problems.corrupt).toBe(asked.length);
    expect(asked.length).toBeLessThanOrEqual(2 * CONNECTIONS_MAX);
    expect(traffic.wan.lease).toBeGreaterThanOrEqual(traffic.expectedBytes);
    expect(traffic.wan.broken).toBe(asked.reduce((sum, { sentBytes }) => sum + sentBytes, 0));
  });

  it("that lacks the package costs a question, and the coordinator sends it", async () => {
    const { traffic, origin, areRight } = await delivered("lacks", "gone", 2_000_000);

    expect(areRight).toBe(true);
    expect(traffic.ratio).toBeLessThan(1.2);
    expect(traffic.plainBytes ?? 0).toBe(0);
    expect(origin.problems.absent).toBeGreaterThan(0);
  });

  it("fills the line no faster than the operator allows, though the coordinator sends nothing", async () => {
    await fleet.command(["site", "limit", "office", "--down", "8Mbit"]);
    const { traffic } = await delivered("slows", "good", 4_000_000);
    await fleet.command(["site", "limit", "office", "--clear"]);
    const moments = server.of("slows").map(({ atMs }) => atMs);

    expect(traffic.plainBytes).toBeGreaterThan(0);
    // 4 MB at 1 MB a second, without the last fragments; unlimited it takes a tenth of a second.
    expect(Math.max(...moments) - Math.min(...moments)).toBeGreaterThan(2000);
  });

  it("whose certificate no trusted authority signed is never spoken to", async () => {
    const url = server.url("strange", "good");
    await fleet.command(["origin", "add", url]);
    const source = join(fleet.folder, "strange.bin");
    await writeNoise(source, 1_000_000, seed++);
    await deploy("strange", source);

    expect(server.of("strange")).toEqual([]);
    await until("the word of it", 20_000, async () => {
      const { origins } = parseOrigins(await fleet.json(["origin", "list"]));
      const seen = origins.find((view) => view.url === url);
      return (seen?.problems.unreachable ?? 0) > 0 ? seen : undefined;
    });
  });
});
