/** A real coordinator, operated as a person does it: with the program alone, in a private home. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseJoinToken } from "../../../protocol/join-token.ts";
import { parseStatus } from "../../../protocol/operator-api.ts";
import { outputOf, PROJECT_FOLDER, type CommandResult } from "../../support/processes.ts";

const PROGRAM = join(PROJECT_FOLDER, "scripts/branchline.ts");
const PASSPHRASE = "for tests and demonstrations only";

let home = "";
let data = "";
let coordinator: ChildProcess | undefined;
let url = "";
let made: Record<string, string> = {};

function environment(variables: Readonly<Record<string, string>>): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "",
    HOME: home,
    NO_COLOR: "1",
    NODE_COMPILE_CACHE: join(PROJECT_FOLDER, "node_modules/.cache/node-compile"),
    ...variables,
  };
}

async function run(
  args: readonly string[],
  variables: Readonly<Record<string, string>> = { BRANCHLINE_DATA: data },
): Promise<CommandResult> {
  return outputOf(process.execPath, [PROGRAM, ...args], environment(variables));
}

async function json(...args: readonly string[]): Promise<Record<string, unknown>> {
  const ended = await run([...args, "--json"]);
  expect(ended).toMatchObject({ exitCode: 0, stderr: "" });
  return JSON.parse(ended.stdout) as Record<string, unknown>;
}

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "branchline-cli-"));
  data = join(home, "data");
  const init = await run(["init", "--data", data, "--json"], { BRANCHLINE_PASSPHRASE: PASSPHRASE });
  expect(init.exitCode).toBe(0);
  made = JSON.parse(init.stdout) as Record<string, string>;
  const args = ["coordinator", "--data", data, "--listen", "127.0.0.1:0", "--json"];
  coordinator = spawn(process.execPath, [PROGRAM, ...args], {
    env: environment({}),
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [line] = (await once(createInterface(coordinator.stdout!), "line")) as [string];
  url = (JSON.parse(line) as { url: string }).url;
});

afterAll(async () => {
  coordinator?.kill("SIGKILL");
  await rm(home, { recursive: true, force: true });
});

describe("an operator on the coordinator's machine", () => {
  it("init puts the sealed keys outside the data folder and never overwrites a fleet", async () => {
    expect(made["keysPath"]).toBe(join(home, `.config/branchline/keys/${made["fleetId"]}.json`));
    expect((await stat(made["keysPath"]!)).mode & 0o777).toBe(0o600);
    const again = await run(["init", "--data", data], { BRANCHLINE_PASSPHRASE: PASSPHRASE });

    expect(again.exitCode).toBe(1);
    expect(again.stderr).toMatch(/^error: [^\n]+\nhint: [^\n]+\n$/u);
  });

  it("makes sites and lists their criteria in the order typed", async () => {
    const criteria = ["--gateway", "10.1.0.1", "--subnet", "10.1.0.0/24", "--host-name", "b-*"];
    expect((await run(["site", "create", "berlin", ...criteria])).exitCode).toBe(0);
    const { sites } = await json("site", "list");

    expect(sites).toEqual([
      {
        name: "berlin",
        criteria: [
          { kind: "gateway", address: "10.1.0.1" },
          { kind: "subnet", cidr: "10.1.0.0/24" },
          { kind: "hostName", pattern: "b-*" },
        ],
      },
    ]);
  });

  it("makes a join token that carries the fleet's pin; without --json, stdout is the token", async () => {
    const answer = await json("token", "create", "--site", "berlin", "--uses", "3", "--ttl", "7d");
    const plain = await run(["token", "create", "--site", "berlin"]);

    expect(answer).toMatchObject({ site: "berlin", uses: 3 });
    expect(parseJoinToken(String(answer["token"])).pin).toBe(made["pin"]);
    expect(parseJoinToken(plain.stdout).pin).toBe(made["pin"]);
  });

  it("OCS-20 publishes, activates and deploys a package, and status tells it", async () => {
    const folder = join(home, "app");
    await mkdir(folder);
    await writeFile(join(folder, "readme.txt"), "hello\n".repeat(1000));
    const options = ["--name", "acme/app", "--version", "1.2.3", "--action", "store"];
    const publish = ["package", "publish", folder, ...options, "--path", "app", "--json"];
    const variables = { BRANCHLINE_DATA: data, BRANCHLINE_PASSPHRASE: PASSPHRASE };

    const first = await run(publish, variables);
    const second = await run(publish, variables);
    const early = await run(["deploy", "acme/app@1.2.3", "--to", "site:berlin"]);
    const waiting = await run(["deploy", "acme/app@1.2.3", "--to", "site:berlin", "--wait"]);
    await json("package", "activate", "acme/app@1.2.3");
    const deployed = await run(["deploy", "acme/app@1.2.3", "--to", "site:berlin", "--wait"]);
    const status = parseStatus(await json("status"));

    expect(JSON.parse(first.stdout)).toMatchObject({ isActive: false, reusedBytes: 0 });
    expect(early).toMatchObject({ exitCode: 0 });
    expect(early.stderr).toContain("acme/app@1.2.3 is not activated yet: nothing happens until");
    expect(waiting.exitCode).toBe(1);
    expect(waiting.stderr).toMatch(/hint: .*`branchline package activate acme\/app@1\.2\.3`/u);
    expect(JSON.parse(second.stdout)).toMatchObject({ sentBytes: 0 });
    expect(deployed).toMatchObject({ exitCode: 0, stdout: "no endpoint matches right now\n" });
    expect(status.packages).toMatchObject([{ name: "acme/app", isActive: true, level: 5 }]);
    expect(status.sites.map(({ name }) => name)).toEqual(["berlin"]);
  });

  it("renews the catalog with the key file, and tells the new expiry", async () => {
    const variables = { BRANCHLINE_DATA: data, BRANCHLINE_PASSPHRASE: PASSPHRASE };
    const ended = await run(["catalog", "renew", "--key", made["keysPath"]!, "--json"], variables);
    const { expiresAt } = JSON.parse(ended.stdout) as { expiresAt: string };

    expect(ended).toMatchObject({ exitCode: 0, stderr: "" });
    expect(Date.parse(expiresAt)).toBeGreaterThan(Date.now() + 179 * 86_400_000);
  });

  it("says that a passphrase is wrong before it builds anything", async () => {
    const options = [
      "--name",
      "acme/app",
      "--version",
      "2",
      "--action",
      "execute",
      "--command",
      "x",
    ];
    const variables = { BRANCHLINE_DATA: data, BRANCHLINE_PASSPHRASE: "another passphrase" };
    const ended = await run(["package", "publish", ...options, "--json"], variables);

    expect(ended.exitCode).toBe(1);
    expect(JSON.parse(ended.stderr)).toMatchObject({ code: "KEYFILE_PASSPHRASE" });
  });

  it("passes a refusal on with the coordinator's own code, and ends with 1", async () => {
    const ended = await run(["token", "create", "--site", "rome", "--json"]);

    expect(ended.exitCode).toBe(1);
    expect(JSON.parse(ended.stderr)).toMatchObject({ code: "NOT_FOUND" });
  });
});

describe("an operator elsewhere", () => {
  it("pins the coordinator once and then needs neither flags nor variables", async () => {
    await writeFile(join(home, "token"), `${made["operatorToken"]}\n`);
    const options = ["--url", url, "--token-file", join(home, "token"), "--pin", made["pin"]!];
    const added = await run(["context", "add", "work", ...options], {});
    const status = await run(["status", "--json"], {});

    expect(added.exitCode).toBe(0);
    expect(status.exitCode).toBe(0);
    expect(await readFile(join(home, ".config/branchline/contexts.json"), "utf8")).not.toContain(
      made["operatorToken"],
    );
  });

  it("refuses a coordinator of another pin and saves nothing", async () => {
    const options = ["--url", url, "--token-env", "T", "--pin", "0".repeat(32)];
    const added = await run(["context", "add", "false", ...options], { T: "x" });
    const used = await run(["context", "use", "false"], {});

    expect(added.stderr).toContain("is not the coordinator of this pin");
    expect(added.exitCode).toBe(1);
    expect(used.exitCode).toBe(2);
  });

  it("does not send the token to a certificate that nothing vouches for, and says how to pin", async () => {
    const variables = { BRANCHLINE_URL: url, BRANCHLINE_TOKEN: made["operatorToken"]! };
    const ended = await run(["status"], variables);

    expect(ended.exitCode).toBe(1);
    expect(ended.stderr).toContain("is not trusted");
    expect(ended.stderr).toContain("branchline context add");
  });

  it("takes the certificate from BRANCHLINE_CA", async () => {
    const fleet = JSON.parse(await readFile(join(data, "fleet.json"), "utf8")) as {
      tlsCertificate: string;
    };
    await writeFile(join(home, "ca.pem"), fleet.tlsCertificate);
    const variables = {
      BRANCHLINE_URL: url,
      BRANCHLINE_TOKEN: made["operatorToken"]!,
      BRANCHLINE_CA: join(home, "ca.pem"),
    };

    expect((await run(["status"], variables)).exitCode).toBe(0);
    const wrong = await run(["status", "--json"], { ...variables, BRANCHLINE_TOKEN: "wrong" });
    expect(wrong.exitCode).toBe(1);
    expect(JSON.parse(wrong.stderr)).toHaveProperty("requestId");
  });
});

describe("the end", () => {
  it("SIGTERM ends the coordinator in order with 0; after that status says what to start", async () => {
    coordinator!.kill("SIGTERM");
    const [exitCode] = (await once(coordinator!, "exit")) as [number | null];
    const ended = await run(["status"]);

    expect(exitCode).toBe(0);
    expect(ended.exitCode).toBe(1);
    expect(ended.stderr).toContain(`hint: Start it with \`branchline coordinator --data ${data}`);
  });
});
