import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { buildProgram, runProgram } from "../../../coordinator/cli/program.ts";
import { memorySession, type MemorySession } from "./memory-session.ts";

const noNode = { node: () => Promise.resolve(), launch: () => Promise.resolve() };

async function run(...args: readonly string[]): Promise<MemorySession & { readonly code: number }> {
  const session = memorySession();
  const program = buildProgram(session, "1.2.3", noNode);
  return { ...session, code: await runProgram(program, args, session) };
}

function leaves(command: Command): readonly Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
}

describe("the command tree", () => {
  it("prints version and help on stdout and ends with 0", async () => {
    expect((await run("--version")).out()).toBe("1.2.3\n");
    const help = await run("site", "create", "--help");

    expect(help.code).toBe(0);
    expect(help.out()).toContain("--subnet <cidr>");
    expect(help.err()).toBe("");
  });

  it("every command has --json, three examples of itself and its exit codes in the help", async () => {
    const program = buildProgram(memorySession(), "1", noNode);
    const verbs = leaves(program).filter((command) => command.name() !== "help");
    expect(verbs.length).toBeGreaterThanOrEqual(14);

    for (const command of verbs) {
      const names = [command.name()];
      for (let at = command.parent; at?.parent; at = at.parent) names.unshift(at.name());
      const help = (await run(...names, "--help")).out();
      const examples = help.split("Examples:\n")[1]!.split("\n\n")[0]!.split("\n");

      expect(help).toContain("--json");
      expect(examples).toHaveLength(3);
      for (const line of examples) expect(line).toMatch(/branchline /u);
      expect(help).toContain("Exit codes: 0 done, 1 failed, 2 wrong usage");
    }
  });

  it.each([
    [["statu"], "unknown command 'statu'", "Did you mean status?"],
    [["site", "creat"], "unknown command 'creat'", "Did you mean create?"],
    [["help", "depoy"], "unknown command 'depoy'", "branchline --help"],
    [["status", "--jsn"], "unknown option '--jsn'", "Did you mean --json?"],
    [["token"], "`branchline token` needs a command", "One of create"],
    [[], "`branchline` needs a command", "One of init, coordinator"],
    [["status", "berlin"], "too many arguments", "branchline status --help"],
    [["dp", "enable"], "missing required argument 'endpoint'", "branchline dp enable --help"],
    [["init"], "required option '--data <dir>' not specified", "branchline init --help"],
    [["status", "--data"], "option '--data <dir>' argument missing", "branchline status --help"],
  ])("explains %j", async (args, sentence, hint) => {
    const ended = await run(...args);

    expect(ended.code).toBe(2);
    expect(ended.err()).toContain(`error: ${sentence}`);
    expect(ended.err().split("hint: ")[1]).toContain(hint);
    expect(ended.err().trimEnd().split("\n")).toHaveLength(2);
    expect(ended.out()).toBe("");
  });

  it("prints a usage error as JSON where the line has --json", async () => {
    const ended = await run("token", "create", "--json");

    expect(JSON.parse(ended.err())).toMatchObject({ code: "CLI_USAGE" });
  });

  it("OCS-22, OCS-24 takes levels 0 to 10 and 5 by default", async () => {
    const program = buildProgram(memorySession(), "1", noNode);
    const publish = leaves(program).find((command) => command.name() === "publish")!;

    expect(publish.opts()["level"]).toBe(5);
    const args = [
      "package",
      "publish",
      "x",
      "--name",
      "a/b",
      "--version",
      "1",
      "--action",
      "store",
    ];
    const ended = await run(...args, "--level", "11");
    expect(ended.code).toBe(2);
    expect(ended.err()).toContain("expected a whole number from 0 to 10");
  });

  it.each([
    [["--action", "launch", "--command", "bin/x"], "OCS-26"],
    [["--action", "launch"], "OCS-26"],
    [["--action", "store", "--path", "p", "--command", "x"], "OCS-33"],
    [["--action", "store"], "OCS-33"],
    [["--action", "execute"], "OCS-28"],
  ])("refuses the combination %j before it asks anybody (%s)", async (options, acceptanceId) => {
    const args = ["package", "publish", "x.zip", "--name", "a/b", "--version", "1"];
    const ended = await run(...args, ...options);

    expect(ended.code).toBe(2);
    expect(ended.err()).toContain(acceptanceId);
  });

  it("MYP-8 keeps the criteria in the order they were typed, across kinds", async () => {
    const session = memorySession();
    const program = buildProgram(session, "1", noNode);
    const create = leaves(program).find((command) => command.name() === "create")!;
    let criteria: unknown;
    create.action((_name: string, options: Record<string, unknown>) => {
      criteria = options["subnet"];
    });
    const kinds = ["--gateway", "10.0.0.1", "--subnet", "10.0.0.0/8", "--host-name", "a*"];
    await runProgram(program, ["site", "create", "x", ...kinds, "--subnet", "::/0"], session);

    expect((criteria as { kind: string }[]).map(({ kind }) => kind)).toEqual([
      "gateway",
      "subnet",
      "hostName",
      "subnet",
    ]);
  });

  it("an error after Ctrl-C counts as interrupted", async () => {
    const session = memorySession();
    const node = () => {
      session.stop();
      return Promise.reject(new Error("cut"));
    };
    const program = buildProgram(session, "1", { ...noNode, node });
    const args = ["node", "--data", "x", "--coordinator", "https://x"];

    expect(await runProgram(program, args, session)).toBe(130);
    expect(session.err()).toBe("error: interrupted\n");
  });
});
