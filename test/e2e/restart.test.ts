/** Kill -9 at bad moments: nothing that was acknowledged is lost, nothing runs twice. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { jobOf, publishTo, sha256Of, writeZip } from "../support/deployments.ts";
import { Fleet, until, writeNoise } from "../support/processes.ts";

const LISTEN = "127.10.1.11:0";
let fleet: Fleet;

beforeAll(async () => {
  fleet = await Fleet.start();
  await fleet.command(["site", "create", "office", "--subnet", "127.10.1.0/24"]);
  await fleet.startNode({ name: "one", site: "office", listen: LISTEN });
  await fleet.joined(["one"]);
});

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
});

it("runs a finished launch no second time after the node was killed", async () => {
  const proof = join(fleet.folder, "runs");
  const source = await writeZip(join(fleet.folder, "count.zip"), {
    "count.sh": `#!/bin/sh\necho ran >> ${proof}\n`,
  });
  const flags = ["--action", "launch", "--command", "count.sh"];
  await publishTo(fleet, { ref: "acme/count@1", source, flags }, "all");
  await jobOf(fleet, "one", "acme/count@1");

  await fleet.nodes.get("one")?.kill();
  await fleet.startNode({ name: "one", listen: LISTEN });
  await publishTo(
    fleet,
    { ref: "acme/after@1", flags: ["--action", "execute", "--command", "true"] },
    "all",
  );
  await jobOf(fleet, "one", "acme/after@1");

  expect(await readFile(proof, "utf8")).toBe("ran\n");
});

it("keeps sites, packages and results when the coordinator is killed", async () => {
  const before = await fleet.status();

  await fleet.coordinator?.kill();
  await fleet.startCoordinator();

  const after = await fleet.status();
  expect(after.packages).toEqual(before.packages);
  expect(after.sites.map(({ name }) => name)).toEqual(before.sites.map(({ name }) => name));
  const states = (status: typeof after) =>
    status.endpoints.map(({ name, jobs }) => [name, jobs.map(({ state }) => state)]);
  expect(states(after)).toEqual(states(before));
});

it("goes on by itself after both sides were killed in the middle of a transfer", async () => {
  const noise = join(fleet.folder, "noise.bin");
  await writeNoise(noise, 40_000_000, 11);
  const flags = ["--action", "store", "--path", "noise"];
  await publishTo(fleet, { ref: "acme/noise@1", source: noise, flags }, "all");
  await until("the transfer has begun", 30_000, async () => {
    return (await isUnderWay()) ? true : undefined;
  });

  await fleet.nodes.get("one")?.kill();
  await fleet.coordinator?.kill();
  await fleet.startCoordinator();
  await fleet.startNode({ name: "one", listen: LISTEN });

  await jobOf(fleet, "one", "acme/noise@1");
  const stored = join(fleet.nodeFolder("one"), "store/noise/noise.bin");
  expect(await sha256Of(stored)).toBe(await sha256Of(noise));
});

async function isUnderWay(): Promise<boolean> {
  const { endpoints } = await fleet.status();
  return endpoints.some(({ jobs }) =>
    jobs.some(({ package: name, state }) => name === "acme/noise" && state !== "waiting"),
  );
}
