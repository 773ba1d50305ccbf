/** A new version over an old one at an office with a DP: what the line carries, by the operator's own tools. */
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { jobOf, publishTo, writeFolder } from "../support/deployments.ts";
import { Fleet, until } from "../support/processes.ts";

const NODES = ["dp", "one", "two"];
const ACTION = ["--action", "store", "--path", "app"];
let fleet: Fleet;

beforeAll(async () => {
  fleet = await Fleet.start();
  await fleet.command(["site", "create", "office", "--subnet", "127.10.6.0/24"]);
  for (const [at, name] of NODES.entries()) {
    await fleet.startNode({ name, site: "office", listen: `127.10.6.${11 + at}:0` });
  }
  await fleet.joined(NODES);
  await fleet.command(["dp", "enable", "dp"]);
  await until("the agents use their DP", 60_000, async () => {
    const { endpoints } = await fleet.status();
    return endpoints.filter(({ dp }) => dp === "dp").length >= 2 ? true : undefined;
  });
});

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
});

/** 3 MB without order; every version changes a byte in every 20,000. */
function program(version: number): Buffer {
  const blocks = Array.from({ length: 93_750 }, (_none, at) =>
    createHash("sha256").update(`block ${at}`).digest(),
  );
  const bytes = Buffer.concat(blocks);
  for (let at = 0; at < bytes.length; at += 20_000) bytes[at] = version;
  return bytes;
}

async function deployed(version: number, flags: readonly string[] = []): Promise<void> {
  const source = await writeFolder(join(fleet.folder, `v${version}`), { "a.txt": `v${version}` });
  await writeFile(join(source, "app.bin"), program(version));
  const ref = `acme/app@${version}`;
  await publishTo(fleet, { ref, source, flags: [...ACTION, ...flags] }, "site:office");
  for (const name of NODES) await jobOf(fleet, name, ref);
}

async function originBytes(): Promise<number> {
  const { sites } = await fleet.status();
  return sites.find(({ name }) => name === "office")?.originBytes ?? 0;
}

async function expectStored(version: number): Promise<void> {
  for (const name of NODES) {
    const bytes = await readFile(join(fleet.nodeFolder(name), "store/app/app.bin"));
    expect(bytes.equals(program(version)), name).toBe(true);
  }
}

it("carries a patch over the line once, for a DP and its agents", async () => {
  await deployed(1);
  const whole = await originBytes();
  expect(whole).toBeGreaterThan(3_000_000);

  await deployed(2);

  await expectStored(2);
  expect((await originBytes()) - whole).toBeLessThan(0.02 * whole);
});

it("carries the whole content once where one endpoint has lost the old version", async () => {
  const before = await originBytes();
  await writeFile(join(fleet.nodeFolder("two"), "store/app/app.bin"), "somebody wrote here");
  await fleet.nodes.get("two")?.stop();
  await fleet.startNode({ name: "two", listen: "127.10.6.13:0" });

  await deployed(3);

  await expectStored(3);
  const carried = (await originBytes()) - before;
  expect(carried).toBeGreaterThan(2_900_000);
  expect(carried).toBeLessThan(3_200_000);
});

it("makes no patches where the publisher wants none", async () => {
  const before = await originBytes();

  await deployed(4, ["--no-delta"]);

  await expectStored(4);
  expect((await originBytes()) - before).toBeGreaterThan(2_900_000);
});
