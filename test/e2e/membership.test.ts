/** Who takes part, from where, and who opens connections to whom: through real processes. */
import { existsSync } from "node:fs";
import { readdir, readFile, readlink } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as nextLook } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { endpointOf, jobOf, publishTo, sha256Of } from "../support/deployments.ts";
import { Fleet, until, writeNoise } from "../support/processes.ts";

const WATCH_PAUSE_MS = 20;
let fleet: Fleet;
let noise: string;

beforeAll(async () => {
  fleet = await Fleet.start();
  noise = join(fleet.folder, "noise.bin");
  await writeNoise(noise, 2_000_000, 7);
  await fleet.command(["site", "create", "north", "--subnet", "127.10.1.0/24"]);
  await fleet.command(["site", "create", "south", "--subnet", "127.10.2.0/24"]);
  await fleet.startNode({ name: "north-dp", site: "north", listen: "127.10.1.10:0" });
  await fleet.startNode({ name: "south-dp", site: "south", listen: "127.10.2.10:0" });
  await fleet.startNode({ name: "laptop", site: "north", listen: "127.10.1.11:0" });
  await fleet.joined(["north-dp", "south-dp", "laptop"]);
  await fleet.command(["dp", "enable", "north-dp"]);
  await fleet.command(["dp", "enable", "south-dp"]);
});

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
});

/** Starts the laptop again with another address of its own. */
async function moveLaptop(host: string): Promise<void> {
  await fleet.nodes.get("laptop")?.stop();
  await fleet.startNode({ name: "laptop", listen: `${host}:0` });
}

it("MYP-8 maps an endpoint that moved to the DP of its new office at the next contact", async () => {
  const before = await until("the DP in the north", 30_000, async () => {
    const endpoint = await endpointOf(fleet, "laptop");
    return endpoint.dp === null ? undefined : endpoint;
  });

  await moveLaptop("127.10.2.11");

  const after = await until("the move to the south", 30_000, async () => {
    const endpoint = await endpointOf(fleet, "laptop");
    return endpoint.site === "south" && endpoint.dp !== null ? endpoint : undefined;
  });
  expect({ site: before.site, dp: before.dp }).toEqual({ site: "north", dp: "north-dp" });
  expect({ site: after.site, dp: after.dp }).toEqual({ site: "south", dp: "south-dp" });
});

it("MYP-26 gives an endpoint no DP where no criteria match, and serves it from the coordinator", async () => {
  await moveLaptop("127.10.9.11");
  const away = await until("the laptop is nowhere", 30_000, async () => {
    const endpoint = await endpointOf(fleet, "laptop");
    return endpoint.isAtSite ? undefined : endpoint;
  });

  const flags = ["--action", "store", "--path", "away"];
  await publishTo(fleet, { ref: "acme/away@1", source: noise, flags }, "endpoint:laptop");

  const { bytes } = await jobOf(fleet, "laptop", "acme/away@1");
  const stored = join(fleet.nodeFolder("laptop"), "store/away/noise.bin");
  expect(away.dp).toBeNull();
  expect({ peer: bytes.peer, dp: bytes.dp }).toEqual({ peer: 0, dp: 0 });
  expect(bytes.origin).toBeGreaterThan(2_000_000);
  expect(await sha256Of(stored)).toBe(await sha256Of(noise));
});

it("SE-9 deploys at once while the endpoint is off; it follows when it is back", async () => {
  await fleet.nodes.get("laptop")?.stop();
  const flags = ["--action", "execute", "--command", "true"];

  await publishTo(fleet, { ref: "acme/later@1", flags }, "endpoint:laptop");
  const { jobs } = await endpointOf(fleet, "laptop");
  await fleet.startNode({ name: "laptop", listen: "127.10.1.11:0" });

  const early = jobs.find((job) => job.package === "acme/later");
  expect(early?.state ?? "waiting").toBe("waiting");
  await jobOf(fleet, "laptop", "acme/later@1");
});

it("SE-1 refuses a node that nobody enrolled, and gives it nothing", async () => {
  const token = await fleet.json(["token", "create", "--site", "north"]);
  const good = (token as { readonly token: string }).token;
  const forged = good.slice(0, -8) + (good.endsWith("00000000") ? "11111111" : "00000000");

  const stranger = await fleet.startNode({
    name: "stranger",
    listen: "127.10.1.66:0",
    token: forged,
  });
  const exitCode = await Promise.race([
    stranger.ended,
    until("a refusal in the log", 30_000, async () =>
      (await stranger.log()).includes("JOIN_REFUSED") ? "refused" : undefined,
    ),
  ]);
  await stranger.stop();
  fleet.nodes.delete("stranger");

  const { endpoints } = await fleet.status();
  expect(exitCode).not.toBe(0);
  expect(await stranger.log()).toMatch(/refuse/iu);
  expect(endpoints.map(({ name }) => name)).not.toContain("stranger");
});

it("OCS-9 answers plain HTTP with nothing, and a node does not join over it", async () => {
  const { hostname, port } = new URL(fleet.url);
  const socket = connect(Number(port), hostname);
  socket.write(`GET /v1/fleet HTTP/1.1\r\nhost: ${hostname}\r\nconnection: close\r\n\r\n`);

  const said = await text(socket).catch(() => "");
  const token = await fleet.json(["token", "create", "--site", "north"]);
  const joinToken = (token as { readonly token: string }).token;
  const plain = await fleet.startNode({
    name: "plain",
    listen: "127.10.1.67:0",
    token: joinToken,
    coordinator: fleet.url.replace("https:", "http:"),
  });
  await until("the node has tried in vain", 30_000, async () =>
    (await plain.log()).includes("UPLINK_UNREACHABLE") ? true : undefined,
  );
  await plain.stop();
  fleet.nodes.delete("plain");
  const { endpoints } = await fleet.status();

  expect(said).not.toMatch(/^HTTP\/1\.1 2/u);
  expect(said).not.toContain("catalogRoot");
  expect(endpoints.map(({ name }) => name)).not.toContain("plain");
  expect(existsSync(join(fleet.nodeFolder("plain"), "fleet.json"))).toBe(false);
});

it("SE-10 sees the coordinator accept connections and never open one", async () => {
  const flags = ["--action", "store", "--path", "watched"];
  const opened: string[] = [];
  const watching = new AbortController();
  const watch = (async () => {
    while (!watching.signal.aborted) {
      opened.push(...(await openedBy(fleet.coordinator?.pid ?? -1, new URL(fleet.url).port)));
      await nextLook(WATCH_PAUSE_MS);
    }
  })();

  await publishTo(fleet, { ref: "acme/watched@1", source: noise, flags }, "all");
  for (const name of ["north-dp", "south-dp", "laptop"]) await jobOf(fleet, name, "acme/watched@1");
  watching.abort();
  await watch;

  const accepted = await socketsOf(fleet.coordinator?.pid ?? -1);
  expect(accepted.length).toBeGreaterThan(0);
  expect(opened).toEqual([]);
});

interface TcpSocket {
  readonly localPort: string;
}

/** Sockets of a process that are not on its listening port: those that it opened itself. */
async function openedBy(pid: number, listenPort: string): Promise<readonly string[]> {
  const sockets = await socketsOf(pid);
  return sockets
    .filter(({ localPort }) => localPort !== listenPort)
    .map(({ localPort }) => localPort);
}

async function socketsOf(pid: number): Promise<readonly TcpSocket[]> {
  const folder = `/proc/${pid}/fd`;
  const links = await Promise.all(
    (await readdir(folder)).map(async (name) => readlink(join(folder, name)).catch(() => "")),
  );
  const inodes = new Set(links.map((link) => /^socket:\[(\d+)\]$/u.exec(link)?.[1]));
  const tables = await Promise.all(
    ["tcp", "tcp6"].map(async (name) => readFile(`/proc/${pid}/net/${name}`, "utf8")),
  );
  return tables
    .flatMap((table) => table.trim().split("\n").slice(1))
    .map((line) => line.trim().split(/\s+/u))
    .filter((fields) => inodes.has(fields[9]))
    .map((fields) => ({
      localPort: String(Number.parseInt(fields[1]?.split(":")[1] ?? "0", 16)),
    }));
}
