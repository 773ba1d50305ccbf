/** The program as a person misuses it: each bad call ends with 2, one sentence, one hint and no stack. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { outputOf, PROJECT_FOLDER, type CommandResult } from "../../support/processes.ts";

const PROGRAM = join(PROJECT_FOLDER, "scripts/branchline.ts");
const PIN = "0123456789abcdef0123456789abcdef";
// Forty starts of the same program: compiled once.
const CACHE = { NODE_COMPILE_CACHE: join(PROJECT_FOLDER, "node_modules/.cache/node-compile") };
let home = "";

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "branchline-cli-"));
  await writeFile(join(home, "token"), "blop_x\n");
});

afterAll(async () => {
  await rm(home, { recursive: true });
});

async function run(line: string, variables: Record<string, string> = {}): Promise<CommandResult> {
  const args = line.split(" ").filter((word) => word !== "");
  const env = {
    PATH: process.env["PATH"] ?? "",
    HOME: home,
    NO_COLOR: "1",
    ...CACHE,
    ...variables,
  };
  return outputOf(process.execPath, [PROGRAM, ...args], env);
}

const PUBLISH = "package publish x.zip --name acme/app --version 1";

describe("bad calls", () => {
  it.each([
    ["", "needs a command"],
    ["statu", "unknown command"],
    ["status --wach", "unknown option"],
    ["status extra", "too many arguments"],
    ["init", "--data"],
    ["init --data ./new", "passphrase"],
    ["coordinator --data ./d", "--listen"],
    ["coordinator --data ./d --listen 8443", "HOST:PORT"],
    ["coordinator --data ./d --listen ::1:8443", "HOST:PORT"],
    ["coordinator --data ./d --listen 127.0.0.1:0 --public-url deploy", "--public-url"],
    ["node --data ./n --coordinator deploy.example", "--coordinator"],
    ["node --data ./n --coordinator https://x --check-in 1", "duration"],
    ["site create berlin", "no criterion"],
    ["site create ber/lin --subnet 10.0.0.0/8", "site name"],
    ["site create berlin --subnet 10.0.0.0/64", "--subnet"],
    ["token create --site berlin --ttl tomorrow", "duration"],
    ["token create --site berlin --ttl 60d", "from 1m to 30d"],
    ["token create --site berlin --uses 0", "--uses"],
    ["dp enable", "endpoint"],
    ["dp enable a/b", "endpoint name"],
    ["deploy acme/app --to all", "NAME@VERSION"],
    ["deploy acme/app@1 --to berlin", "endpoint:NAME, site:NAME or all"],
    ["package activate Acme/App@1", "package name"],
    [`${PUBLISH} --action run`, "launch, execute, store"],
    [`${PUBLISH} --action store --path p --level 11`, "from 0 to 10"],
    [`${PUBLISH} --action store --path p --compression 20`, "from 1 to 19"],
    [`${PUBLISH} --action store --path p --command x`, "OCS-33"],
    [`${PUBLISH} --action launch --command bin/x`, "OCS-26"],
    [`${PUBLISH} --action execute --command x --success-codes ok`, "exit codes"],
    ["context add work --url https://x --pin 12 --token-file token", "--pin"],
    [`context add work --url https://x --pin ${PIN}`, "exactly one place"],
    ["context use rome", 'no saved context "rome"'],
    ["status --data ./d --context work", "two coordinators"],
  ])("branchline %s", async (line, words) => {
    const ended = await run(line);

    expect(ended.stdout).toBe("");
    expect(ended.stderr).toContain(words);
    expect(ended.stderr).toMatch(/^error: [^\n]+\nhint: [^\n]+\n$/u);
    expect(ended.exitCode).toBe(2);
  });

  it("a bad call with --json gives one JSON object on stderr", async () => {
    const ended = await run("token create --site berlin --ttl tomorrow --json");

    expect(ended.exitCode).toBe(2);
    expect(Object.keys(JSON.parse(ended.stderr) as object)).toEqual(["code", "message", "hint"]);
  });
});

describe("calls that cannot work here", () => {
  const nobody = { BRANCHLINE_URL: "https://127.0.0.1:1", BRANCHLINE_TOKEN: "x" };

  it.each([
    ["status", {}, "no coordinator is chosen", "branchline context add"],
    [
      "status --data ./d",
      {},
      "no coordinator runs on the data folder ./d",
      "branchline coordinator",
    ],
    ["status", nobody, "the connection is refused", "Check that it runs"],
    [
      `context add a --url https://127.0.0.1:1 --pin ${PIN} --token-env T`,
      { T: "x" },
      "refused",
      "runs",
    ],
    ["coordinator --data ./d --listen 127.0.0.1:0", {}, "./d", "branchline init"],
  ])("branchline %s %j ends with 1", async (line, variables, sentence, hint) => {
    const ended = await run(line, variables);

    expect(ended.stderr).toContain(sentence);
    expect(ended.stderr.split("hint: ")[1]).toContain(hint);
    expect(ended.stderr).not.toMatch(/^\s+at /mu);
    expect(ended.exitCode).toBe(1);
  });

  it("shows the stack with BRANCHLINE_DEBUG=1 only", async () => {
    const ended = await run("status", { ...nobody, BRANCHLINE_DEBUG: "1" });

    expect(ended.stderr).toMatch(/^\s+at /mu);
  });

  it("prints help and version on stdout and ends with 0", async () => {
    const help = await run("deploy --help");
    const version = await run("--version");

    expect(help).toMatchObject({ exitCode: 0, stderr: "" });
    expect(help.stdout).toContain("branchline deploy acme/app@1.2.3 --to all");
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/u);
  });
});
