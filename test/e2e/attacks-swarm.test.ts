/** Wrong bytes inside an office: from a hostile distribution point, from a stranger's hand, from a rotten disk. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { endpointOf, jobOf, publish, writeFolder } from "../support/deployments.ts";
import { forgedFragment, HostilePeer, plainBytes } from "../support/hostile-peer.ts";
import { descriptionIn } from "../support/hostile-server.ts";
import { askAsStranger, type Claim } from "../support/hostile-stranger.ts";
import { Fleet, until, writeNoise } from "../support/processes.ts";
import { parseSiteName } from "../../protocol/ids.ts";

/** The script of every package here writes the first word; a forged one would write the second. */
const LIE = { from: "honest", to: "hostil" };
const NODES = { one: "127.20.4.11:0", two: "127.20.4.12:0", three: "127.20.4.13:0" };
let fleet: Fleet;
let liar: HostilePeer | undefined;

beforeAll(async () => {
  fleet = await Fleet.start();
  await fleet.command(["site", "create", "branch", "--subnet", "127.20.4.0/24"]);
  await startNode("one");
  await startNode("two");
  const place = { name: "liar", site: "branch", host: "127.20.4.66" };
  liar = await HostilePeer.join(fleet, { ...place, behaviour: { kind: "lies", ...LIE } });
  await fleet.joined(["one", "two"]);
});

afterAll(async () => {
  await liar?.[Symbol.asyncDispose]();
  await fleet?.[Symbol.asyncDispose]();
});

async function startNode(name: keyof typeof NODES): Promise<void> {
  await fleet.startNode({ name, site: "branch", listen: NODES[name], checkIn: "500ms" });
}

function proofPath(name: string): string {
  return join(fleet.folder, `proof-${name}`);
}

/** A package of many fragments whose script writes down on which node it ran. */
async function publishApp(name: string, seed: number): Promise<string> {
  const script = `#!/bin/sh\n# ${name}\necho honest >> ${proofPath(name)}\n`;
  const source = await writeFolder(join(fleet.folder, "packages", name), { "run.sh": script });
  await writeNoise(join(source, "noise.bin"), 1_500_000, seed);
  await publish(fleet, `acme/${name}@1`, source, ["--action", "launch", "--command", "run.sh"]);
  await fleet.command(["package", "activate", `acme/${name}@1`]);
  return `acme/${name}@1`;
}

async function refusalsOf(name: string, code: string): Promise<readonly string[]> {
  const { refusals } = await endpointOf(fleet, name);
  return refusals.filter((one) => one.code === code).map(({ detail }) => detail);
}

it("BR-3 (S1, A3) drops wrong bytes of a hostile DP, names it, and completes elsewhere", async () => {
  if (liar === undefined) throw new Error("no liar");
  const { serving, endpoint } = liar;
  await fleet.command(["dp", "enable", "liar"]);
  const ref = await publishApp("app", 1);
  await fleet.command(["deploy", ref, "--to", "endpoint:liar"]);
  await until("the liar serves", 30_000, async () => serving.has("acme/app") || undefined);
  await until("the liar is the DP", 30_000, async () => {
    return (await endpointOf(fleet, "one")).dp === "liar" || undefined;
  });

  await fleet.command(["deploy", ref, "--to", "endpoint:one"]);
  const one = await jobOf(fleet, "one", ref);
  const lieCount = liar.lies.length;
  await fleet.command(["deploy", ref, "--to", "endpoint:two"]);
  const two = await jobOf(fleet, "two", ref);

  const [told = ""] = await refusalsOf("one", "EXCHANGE_FRAGMENT_CORRUPT");
  expect(told).toContain(`peer ${endpoint} sent bytes that do not match fragment`);
  expect(liar.lies.some((digest) => told.endsWith(digest))).toBe(true);
  // trust S1: banned with the second wrong fragment; two requests more may have been under way.
  expect(lieCount).toBeGreaterThanOrEqual(2);
  expect(lieCount).toBeLessThanOrEqual(4);
  expect(one.bytes.origin).toBeGreaterThan(1_400_000);
  expect(two.bytes.peer).toBeGreaterThan(1_400_000);
  expect(await readFile(proofPath("app"), "utf8")).toBe("honest\nhonest\n");
});

it("BR-3 SE-1 (S13) gives a stranger on the LAN nothing, with a made and with a stolen membership", async () => {
  const swarm = liar?.serving.get("acme/app");
  const log = (await fleet.nodes.get("two")?.log()) ?? "";
  const address = /peers reach it at (\S+)/u.exec(log)?.[1];
  if (swarm === undefined || address === undefined) throw new Error("nobody to ask");
  const description = await descriptionIn(fleet.dataFolder);
  const claim: Claim = {
    v: 1,
    fleet: description.fleet,
    site: parseSiteName("branch"),
    role: "dp",
    notAfterMs: Date.now() + 3_600_000,
  };

  const made = await askAsStranger(address, swarm, claim);
  const [hello] = made.messages;
  const own = hello?.type === "hello" ? hello.membership : undefined;
  const stolen = await askAsStranger(address, swarm, claim, own);

  const told = await until("both strangers are reported", 30_000, async () => {
    const details = await refusalsOf("two", "EXCHANGE_PEER_REFUSED");
    return details.length >= 2 ? details : undefined;
  });
  expect([made, stolen].map(({ messages }) => messages.map(({ type }) => type))).toEqual([
    ["hello"],
    ["hello"],
  ]);
  expect([made.bulkBytes, stolen.bulkBytes]).toEqual([0, 0]);
  expect(told[0]).toBe(`${made.stranger}: the signature of the membership statement is not valid`);
  expect(told[1]).toBe(`${stolen.stranger}: the membership was made for another endpoint`);
});

it("BR-3 (S11) neither serves nor executes a fragment that rotted on a DP's disk", async () => {
  await fleet.command(["dp", "disable", "liar"]);
  await fleet.command(["dp", "enable", "one"]);
  const ref = await publishApp("rot", 2);
  const before = new Set((await storedFragments("one")).map(({ digest }) => digest));
  await fleet.command(["deploy", ref, "--to", "endpoint:two"]);
  await jobOf(fleet, "two", ref);
  const held = await until("the DP holds the script", 30_000, async () => {
    const found = await storedFragments("one");
    return found.find(({ bytes }) => plainBytes(bytes).includes("# rot\n"));
  });

  await fleet.nodes.get("one")?.stop();
  await rot(held);
  await startNode("one");
  await fleet.command(["deploy", ref, "--to", "endpoint:one"]);
  await jobOf(fleet, "one", ref);
  const whenStopped = await refusalsOf("one", "FRAGMENT_CORRUPT");
  // This one was read and found good by the process that runs.
  const [large] = (await storedFragments("one"))
    .filter(({ digest }) => !before.has(digest))
    .toSorted((a, b) => b.bytes.length - a.bytes.length);
  if (large === undefined) throw new Error("the DP holds nothing");
  await fleet.nodes.get("two")?.stop();
  await rot(large);
  await startNode("three");
  await fleet.joined(["three"]);
  await fleet.command(["deploy", ref, "--to", "endpoint:three"]);
  const three = await jobOf(fleet, "three", ref);

  expect(whenStopped.join("\n")).toContain(held.digest);
  expect((await refusalsOf("one", "FRAGMENT_CORRUPT")).join("\n")).toContain(large.digest);
  expect(await refusalsOf("three", "EXCHANGE_FRAGMENT_CORRUPT")).toEqual([]);
  expect(three.bytes.dp).toBeGreaterThan(0);
  expect(await readFile(proofPath("rot"), "utf8")).toBe("honest\nhonest\nhonest\n");
});

async function rot({ path, bytes }: StoredFragment): Promise<void> {
  await writeFile(path, forgedFragment(bytes, LIE));
}

interface StoredFragment {
  readonly path: string;
  readonly digest: string;
  readonly bytes: Buffer;
}

async function storedFragments(name: string): Promise<readonly StoredFragment[]> {
  const folder = join(fleet.nodeFolder(name), "fragments");
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return Promise.all(
    entries
      .filter((entry) => entry.isFile() && /^[0-9a-f]{64}$/u.test(entry.name))
      .map(async (entry) => {
        const path = join(entry.parentPath, entry.name);
        return { path, digest: entry.name, bytes: await readFile(path) };
      }),
  );
}
