/** `--dry-run` of the commands that change one object: everything is checked and told, nothing is done. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildProgram, runProgram } from "../../../coordinator/cli/program.ts";
import type { ChangesAnswer } from "../../../protocol/intent-api.ts";
import { memorySession } from "../../unit/cli/memory-session.ts";
import { newFleet, type TestFleet } from "../coordinator/fleet.ts";
import { activePackage, listen } from "../coordinator/intent-fleet.ts";

const noNode = { node: () => Promise.resolve(), launch: () => Promise.resolve() };
const BERLIN = { name: "berlin", criteria: [{ kind: "subnet", cidr: "10.1.0.0/16" }] };

let fleet: TestFleet;
beforeAll(async () => {
  // The command line checks the coordinator's certificate by the real clock.
  fleet = await newFleet(Date.now());
  await fleet.site("berlin", "10.1.0.0/16");
  await listen(fleet, "e1");
  await activePackage(fleet, "acme/app@1", {});
  await fleet.publish("acme/app@2", []);
});
afterAll(async () => fleet[Symbol.asyncDispose]());

async function cli(...args: readonly string[]) {
  const session = memorySession({ variables: { BRANCHLINE_DATA: fleet.dataDir } });
  const exitCode = await runProgram(buildProgram(session, "1", noNode), args, session);
  return { exitCode, out: session.out(), err: session.err() };
}

/** All that these commands could have changed. */
async function everything(): Promise<unknown> {
  const status = await fleet.status();
  const sites = await fleet.operator("GET", "/v1/sites");
  const policy = await fleet.operator("GET", "/v1/sites/berlin/policy");
  return { status, sites, policy };
}

const one = (kind: string, name: string, change: string, fields: readonly string[] = []) => ({
  isDryRun: true,
  changes: [{ kind, name, change, fields }],
});

describe("--dry-run", () => {
  it.each([
    ["site create paris --subnet 10.2.0.0/16", one("site", "paris", "create")],
    ["site create berlin --subnet 10.1.0.0/16", one("site", "berlin", "none")],
    ["site create berlin --subnet 10.3.0.0/16", one("site", "berlin", "update", ["criteria"])],
    ["site limit berlin --down 8Mbit", one("site", "berlin", "update", ["downBytesPerSec"])],
    ["site limit berlin --clear", one("site", "berlin", "none")],
    ["token create --site berlin --uses 3", one("token", "berlin", "create")],
    ["dp enable e1", one("endpoint", "e1", "update", ["isDp"])],
    ["dp disable e1", one("endpoint", "e1", "none")],
    ["package activate acme/app@2", one("package", "acme/app@2", "update", ["isActive"])],
    ["package activate acme/app@1", one("package", "acme/app@1", "none")],
    ["package deactivate acme/app@1", one("package", "acme/app@1", "update", ["isActive"])],
  ])("of `%s` says what would change and does nothing", async (line, expected) => {
    const before = await everything();
    const told = await cli(...line.split(" "), "--dry-run", "--json");
    const read = await cli(...line.split(" "), "--dry-run");

    expect(told).toMatchObject({ exitCode: 0, err: "" });
    const answer = JSON.parse(told.out) as ChangesAnswer;
    expect(answer).toMatchObject(expected);
    expect(read.out).toContain(
      answer.changes[0]?.change === "none"
        ? "nothing to change"
        : "dry run: 1 object would change, nothing was done",
    );
    expect(await everything()).toEqual(before);
  });

  it("shows no token", async () => {
    const told = await cli("token", "create", "--site", "berlin", "--dry-run");

    expect(told.out).not.toContain("bl1_");
    expect(told.err).toBe("");
  });

  it.each([
    ["token create --site rome", "NOT_FOUND"],
    ["dp enable nobody", "NOT_FOUND"],
    ["package activate acme/none@1", "NOT_FOUND"],
    ["site limit rome --down 8Mbit", "NOT_FOUND"],
    ["site create at-e1 --subnet 10.1.0.0/99", "INPUT_INVALID"],
  ])("of `%s` refuses what the real call would refuse", async (line, code) => {
    const real = await cli(...line.split(" "), "--json");
    const dry = await cli(...line.split(" "), "--dry-run", "--json");

    expect(dry.exitCode).toBe(real.exitCode);
    expect(JSON.parse(dry.err)).toMatchObject({ code });
  });

  it("is followed by the same change when it is left out", async () => {
    await cli("package", "activate", "acme/app@2");
    await cli("dp", "enable", "e1");
    const { packages, endpoints } = await fleet.status();

    expect(packages.find(({ version }) => version === "2")?.isActive).toBe(true);
    expect(endpoints).toMatchObject([{ role: "dp" }]);
    expect(await fleet.operator("GET", "/v1/sites")).toEqual([BERLIN]);
  });
});
