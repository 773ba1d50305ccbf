/** What the others of a site learn of a member that sends wrong bytes: convicted by its own signature, or by three. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parseBars, type BarView } from "../../protocol/standing.ts";
import { endpointOf, jobOf, publish, writeFolder } from "../support/deployments.ts";
import { HostilePeer, type Behaviour } from "../support/hostile-peer.ts";
import { Fleet, until, writeNoise } from "../support/processes.ts";

const LIE = { from: "honest", to: "hostil" };
const NODES = {
  one: "127.20.34.11:0",
  two: "127.20.34.12:0",
  three: "127.20.34.13:0",
  four: "127.20.34.14:0",
};
type NodeName = keyof typeof NODES;
const names: readonly NodeName[] = ["one", "two", "three", "four"];
let fleet: Fleet;
const liars: HostilePeer[] = [];

beforeAll(async () => {
  fleet = await Fleet.start();
  await fleet.command(["site", "create", "branch", "--subnet", "127.20.34.0/24"]);
  for (const name of names) {
    await fleet.startNode({ name, site: "branch", listen: NODES[name], checkIn: "500ms" });
  }
  await fleet.joined(names);
});

afterAll(async () => {
  await Promise.all(liars.map(async (liar) => liar[Symbol.asyncDispose]()));
  await fleet?.[Symbol.asyncDispose]();
});

/** A hostile DP that everybody is sent to. */
async function hostileDp(name: string, host: string, behaviour: Behaviour): Promise<HostilePeer> {
  const liar = await HostilePeer.join(fleet, { name, site: "branch", host, behaviour });
  liars.push(liar);
  await fleet.command(["dp", "enable", name]);
  await until("everybody is sent to the liar", 60_000, async () => {
    const found = await Promise.all(names.map(async (one) => (await endpointOf(fleet, one)).dp));
    return found.every((dp) => dp === name) || undefined;
  });
  return liar;
}

/** A package that the liar has, and nobody else. */
async function offered(liar: HostilePeer, liarName: string, name: string): Promise<string> {
  const script = `#!/bin/sh\n# ${name}\necho honest\n`;
  const source = await writeFolder(join(fleet.folder, "packages", name), { "run.sh": script });
  await writeNoise(join(source, "noise.bin"), 1_500_000, name.length);
  const ref = `acme/${name}@1`;
  await publish(fleet, ref, source, ["--action", "launch", "--command", "run.sh"]);
  await fleet.command(["package", "activate", ref]);
  await fleet.command(["deploy", ref, "--to", `endpoint:${liarName}`]);
  await until("the liar serves", 60_000, async () => liar.serving.has(`acme/${name}`) || undefined);
  return ref;
}

async function install(name: NodeName, ref: string): Promise<void> {
  await fleet.command(["deploy", ref, "--to", `endpoint:${name}`]);
  await jobOf(fleet, name, ref);
}

async function bars(): Promise<readonly BarView[]> {
  return parseBars(await fleet.json(["ban", "list"])).bars;
}

it("BR-3 bars by its own signature who signed a wrong digest, until an operator lifts it", async () => {
  const liar = await hostileDp("signer", "127.20.34.66", { kind: "signs", ...LIE });
  const ref = await offered(liar, "signer", "sealed");

  await install("one", ref);
  const barred = await until("the signer is barred", 60_000, async () => {
    const found = await bars();
    return found.length > 0 ? found : undefined;
  });
  await until("nobody is sent to the signer", 60_000, async () => {
    const found = await Promise.all(names.map(async (name) => (await endpointOf(fleet, name)).dp));
    return found.every((dp) => dp === null) || undefined;
  });
  const lieCount = liar.lies.length;
  await install("two", ref);
  const lieCountAfter = liar.lies.length;
  const { notices } = (await fleet.json(["status"])) as {
    readonly notices: readonly { readonly code: string; readonly message: string }[];
  };
  await fleet.command(["ban", "lift", "signer"]);
  await until("the signer is back", 60_000, async () => {
    return (await endpointOf(fleet, "two")).dp === "signer" || undefined;
  });

  expect(barred).toMatchObject([{ name: "signer", reason: "proof", reporters: ["one"] }]);
  expect(barred[0]?.untilMs).toBeUndefined();
  expect(lieCountAfter).toBe(lieCount);
  expect(notices.map(({ code }) => code)).toContain("ENDPOINT_BARRED");
  expect(await bars()).toEqual([]);
  await fleet.command(["dp", "disable", "signer"]);
});

it("BR-3 bars by the word of three, not of two, who signed the right digest and sent others", async () => {
  const liar = await hostileDp("garbler", "127.20.34.67", { kind: "lies", ...LIE });
  // Each installs a package of its own: who has one before would serve it to the next.
  const first = await offered(liar, "garbler", "garbled-1");
  const second = await offered(liar, "garbler", "garbled-22");
  const third = await offered(liar, "garbler", "garbled-333");

  await install("one", first);
  await install("two", second);
  await until("both have told", 60_000, async () => {
    const told = await Promise.all(["one", "two"].map(async (name) => accusations(name)));
    return told.every((count) => count > 0) || undefined;
  });
  const afterTwo = await bars();
  await install("three", third);
  const afterThree = await until("the garbler is barred", 60_000, async () => {
    const found = await bars();
    return found.length > 0 ? found : undefined;
  });

  expect(afterTwo).toEqual([]);
  expect(afterThree).toMatchObject([{ name: "garbler", reason: "reports" }]);
  expect(afterThree[0]?.reporters.toSorted()).toEqual(["one", "three", "two"]);
  expect(afterThree[0]?.untilMs).toBeGreaterThan(Date.now() + 23 * 3_600_000);
});

/** Times that a node told of the second liar. */
async function accusations(name: string): Promise<number> {
  const { endpoint } = liars.at(-1) ?? { endpoint: "nobody" };
  const { refusals } = await endpointOf(fleet, name);
  return refusals.filter(({ detail }) => detail.includes(endpoint)).length;
}
