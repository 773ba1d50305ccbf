/** Limits of lines and nodes through real processes: what an operator types is what the bytes obey. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parseTraffic } from "../../protocol/traffic.ts";
import { jobOf, publishTo } from "../support/deployments.ts";
import { Fleet, until, writeNoise } from "../support/processes.ts";

let fleet: Fleet;

beforeAll(async () => {
  fleet = await Fleet.start();
  await fleet.command(["site", "create", "office", "--subnet", "127.10.7.0/24"]);
  for (const host of [11, 12]) {
    await fleet.startNode({ name: `n${host}`, site: "office", listen: `127.10.7.${host}:0` });
  }
  await fleet.joined(["n11", "n12"]);
});

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
});

async function deploy(ref: string, sizeBytes: number, seed: number): Promise<void> {
  const source = join(fleet.folder, `noise-${seed}.bin`);
  await writeNoise(source, sizeBytes, seed);
  const flags = ["--action", "store", "--path", `noise-${seed}`];
  await publishTo(fleet, { ref, source, flags }, "all");
}

/** From the first node that knew the order to the last that had everything. */
async function secondsOf(ref: string): Promise<number> {
  const jobs = await Promise.all(["n11", "n12"].map(async (name) => jobOf(fleet, name, ref)));
  const instants = (step: string): readonly number[] =>
    jobs.flatMap(({ trace }) =>
      trace.filter((entry) => entry.step === step).map(({ at }) => Date.parse(at)),
    );
  return (
    (Math.max(...instants("contentFetched")) - Math.min(...instants("manifestVerified"))) / 1000
  );
}

it("sends a package into a site at the rate that the operator set, once, and shows it", async () => {
  const said = await fleet.command(["site", "limit", "office", "--down", "8Mbit"]);

  await deploy("acme/slow@1", 4_000_000, 21);
  const seconds = await secondsOf("acme/slow@1");

  expect(said).toContain("at most 8 Mbit/s over the line");
  // 4 MB at 1 MB a second, headers included.
  expect(seconds).toBeGreaterThan(3.5);
  const traffic = parseTraffic(await fleet.json(["traffic", "--site", "office"]));
  const [line] = traffic.sites;
  expect(line?.ratio).toBeLessThan(1.2);
  expect(line?.sources.origin).toBeGreaterThan(3_900_000);
  expect(line?.sources.peer).toBeGreaterThan(2_000_000);
  expect(await fleet.command(["traffic"])).toContain("acme/slow@1");
  expect(await fleet.command(["status"])).toContain("at most 8 Mbit/s over the line");
});

it("begins no transfer outside the hours, and by itself once they come", async () => {
  await fleet.command(["site", "limit", "office", "--clear", "--hours", "!0:00-23:59"]);
  await deploy("acme/night@1", 500_000, 22);
  const before = parseTraffic(await fleet.json(["traffic", "--package", "acme/night"]));
  const closed = await fleet.command(["status"]);

  await fleet.command(["site", "limit", "office", "--clear"]);
  await until("the package after the hours were lifted", 90_000, async () => {
    const { endpoints } = await fleet.status();
    const jobs = endpoints.flatMap((endpoint) => endpoint.jobs);
    const mine = jobs.filter((job) => job.package === "acme/night");
    return mine.length === 2 && mine.every(({ state }) => state === "succeeded") ? true : undefined;
  });

  expect(before.sites.every(({ ratio }) => ratio === 0)).toBe(true);
  expect(closed).toContain("closed");
});

it("finds the rate of a line by its own measurements where packages give way to other traffic", async () => {
  await fleet.command(["site", "limit", "office", "--clear", "--background"]);

  await deploy("acme/meek@1", 8_000_000, 23);
  const seconds = await secondsOf("acme/meek@1");

  // Unmeasured, the rate would only fall from its first guess of 128 kB/s, and 8 MB would never end.
  expect(seconds).toBeLessThan(60);
});
