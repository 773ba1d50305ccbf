/** A fleet behind a TLS proxy whose certificate an authority of the test's own has signed. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createServer, type Server } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { outputOf, PROJECT_FOLDER, until, type CommandResult } from "../../support/processes.ts";
import { makeAuthority } from "../../support/authority.ts";

const PROGRAM = join(PROJECT_FOLDER, "scripts/branchline.ts");
const children: ChildProcess[] = [];
let home = "";
let data = "";
let caPath = "";
let proxy: Server;
let publicUrl = "";
let localUrl = "";
let made: Record<string, string> = {};

function environment(variables: Readonly<Record<string, string>>): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "",
    HOME: home,
    NO_COLOR: "1",
    BRANCHLINE_PASSPHRASE: "for tests and demonstrations only",
    NODE_COMPILE_CACHE: join(PROJECT_FOLDER, "node_modules/.cache/node-compile"),
    ...variables,
  };
}

async function run(
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  return outputOf(process.execPath, [PROGRAM, ...args], environment(variables));
}

function start(args: readonly string[], variables: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: environment(variables),
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  return child;
}

async function firstLine(stream: NodeJS.ReadableStream): Promise<string> {
  const [line] = (await once(createInterface(stream), "line")) as [string];
  return line;
}

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "branchline-proxy-"));
  data = join(home, "data");
  caPath = join(home, "ca.pem");
  const { authorityPem, ...identity } = await makeAuthority("127.0.0.1");
  await writeFile(caPath, authorityPem);
  proxy = createServer(identity, (socket) => {
    const { hostname, port } = new URL(localUrl);
    const inner = connect(Number(port), hostname);
    socket.on("error", () => inner.destroy()).pipe(inner);
    inner.on("error", () => socket.destroy()).pipe(socket);
  });
  proxy.on("tlsClientError", () => undefined);
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  publicUrl = `https://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const init = await run(["init", "--data", data, "--behind-proxy", "--json"]);
  made = JSON.parse(init.stdout) as Record<string, string>;
});

afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  proxy.close();
  await rm(home, { recursive: true, force: true });
});

describe("a fleet made with --behind-proxy", () => {
  it("has no certificate, and its coordinator does not start without --insecure-http", async () => {
    const fleet = JSON.parse(await readFile(join(data, "fleet.json"), "utf8")) as object;
    const ended = await run(["coordinator", "--data", data, "--listen", "127.0.0.1:0"]);

    expect(fleet).not.toHaveProperty("tlsCertificate");
    expect(ended.exitCode).toBe(1);
    expect(ended.stderr).toContain("error: this fleet has no certificate of its own");
    expect(ended.stderr).toContain("hint: Start the coordinator with --insecure-http");
  });

  it("works on the coordinator's machine by the local address, and shows the public one", async () => {
    const args = ["coordinator", "--data", data, "--listen", "127.0.0.1:0", "--insecure-http"];
    const child = start([...args, "--public-url", publicUrl, "--json"]);
    const ready = JSON.parse(await firstLine(child.stdout)) as Record<string, string>;
    localUrl = ready["url"]!;
    const site = await run(["site", "create", "berlin", "--subnet", "127.0.0.0/8", "--data", data]);
    const token = await run(["token", "create", "--site", "berlin", "--data", data]);

    expect(ready).toMatchObject({ publicUrl });
    expect(localUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/u);
    expect(site.exitCode).toBe(0);
    expect(token.stderr).toContain(`--coordinator ${publicUrl} --join`);
    made = { ...made, joinToken: token.stdout.trim() };
  });

  it("SE-1 lets a node join through the proxy that its authorities vouch for", async () => {
    const args = ["node", "--coordinator", publicUrl, "--join", made["joinToken"]!];
    const listen = ["--listen", "127.0.0.1:0", "--check-in", "1s", "--json"];
    start([...args, ...listen, "--data", join(home, "node"), "--name", "pc"], {
      NODE_EXTRA_CA_CERTS: caPath,
    });
    const status = await until("the node's check-in", 60_000, async () => {
      const ended = await run(["status", "--json", "--data", data]);
      const { endpoints } = JSON.parse(ended.stdout) as {
        endpoints: { name: string; lastSeen: string | null }[];
      };
      return endpoints.some(({ lastSeen }) => lastSeen !== null) ? endpoints : undefined;
    });

    expect(status).toMatchObject([{ name: "pc" }]);
  });

  it("tells a node that trusts no such authority in one line, and keeps trying", async () => {
    const args = ["node", "--coordinator", publicUrl, "--join", made["joinToken"]!];
    const child = start([...args, "--listen", "127.0.0.1:0", "--data", join(home, "other")]);
    const lines: string[] = [];
    for await (const line of createInterface(child.stderr)) {
      lines.push(line);
      if (lines.filter((each) => each.includes("join.failed")).length === 2) break;
    }

    expect(child.exitCode).toBeNull();
    const plain = lines.filter((line) => !line.startsWith("{"));
    expect(plain).toHaveLength(1);
    expect(plain[0]).toMatch(/^cannot reach https:.* to join \(.+\); trying again$/u);
  });

  it("takes operators elsewhere who trust the authority, and no others", async () => {
    const tokenPath = join(home, "token");
    await writeFile(tokenPath, made["operatorToken"]!);
    const pin = ["--url", publicUrl, "--pin", made["pin"]!, "--token-file", tokenPath];
    const trusting = { NODE_EXTRA_CA_CERTS: caPath };

    expect(await run(["context", "add", "work", ...pin], trusting)).toMatchObject({ exitCode: 0 });
    expect(await run(["status", "--context", "work"], trusting)).toMatchObject({ exitCode: 0 });
    const refused = await run(["status", "--context", "work"]);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain("NODE_EXTRA_CA_CERTS");
  });
});
