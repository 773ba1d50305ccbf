/** Package rules as a publisher types them, signed and read back from a real coordinator. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildProgram, runProgram } from "../../../coordinator/cli/program.ts";
import type { PackageDetail, PackageTree } from "../../../protocol/page-api.ts";
import { memorySession } from "../../unit/cli/memory-session.ts";
import { newFleet, type TestFleet } from "../coordinator/fleet.ts";
import { activePackage } from "../coordinator/intent-fleet.ts";

const noNode = { node: () => Promise.resolve(), launch: () => Promise.resolve() };

let fleet: TestFleet;
beforeAll(async () => {
  // The command line checks the coordinator's certificate by the real clock.
  fleet = await newFleet(Date.now());
  await activePackage(fleet, "acme/lib@1", {});
});
afterAll(async () => fleet[Symbol.asyncDispose]());

/** Publishes acme/tool@1 and reads the answer, good or bad. */
async function publish(
  ...args: readonly string[]
): Promise<{ readonly exitCode: number; readonly code?: string; readonly message?: string }> {
  const head = [
    "package",
    "publish",
    "--name",
    "acme/tool",
    "--version",
    "1",
    "--action",
    "execute",
  ];
  const memory = memorySession({
    variables: { BRANCHLINE_DATA: fleet.dataDir, BRANCHLINE_PASSPHRASE: "correct horse battery" },
  });
  const session = { ...memory, nowMs: () => fleet.nowMs };
  const line = [...head, ...args, "--keys", fleet.init.keysPath, "--json"];
  const exitCode = await runProgram(buildProgram(session, "1", noNode), line, session);
  const text = exitCode === 0 ? session.out() : session.err();
  return { exitCode, ...(JSON.parse(text) as { code?: string; message?: string }) };
}

describe("package rules at the command line", () => {
  it("ZEN-1 publishes the rules that were typed and those of a file, and an edge to what it launches", async () => {
    const path = join(fleet.folder, "rules.yaml");
    await writeFile(path, "postAction: restart\nversionScheme: deb\nconflicts: [acme/old]\n");
    const options = [
      "--uninstall",
      "apt-get remove tool",
      "--uninstall-codes",
      "0,100",
      "--on-launch",
      "tool --start",
      "--depends",
      "acme/lib@>=1,launch,allow-restart",
      "--detect",
      "software=tool@>=2",
      "--require",
      "os=linux",
      "--require",
      "memory=4GB",
      "--require",
      "query=site = berlin",

      "--exit-code",
      "3011=successRebootRequired",
      "--upgrade",
      "keep",
      "--supersedes",
      "acme/toy",
      "--post-action",
      "none",
    ];

    const ended = await publish("--command", "tool", "--rules", path, ...options);
    const { rules } = await fleet.operator<PackageDetail>(
      "GET",
      "/v1/packages/show?package=acme/tool@1",
    );
    const tree = await fleet.operator<PackageTree>("GET", "/v1/packages/tree?package=acme/tool@1");

    expect(ended).toMatchObject({ exitCode: 0 });
    expect(rules).toMatchObject({
      uninstall: {
        kind: "execute",
        command: ["apt-get", "remove", "tool"],
        successCodes: [0, 100],
      },
      onLaunch: { command: ["tool", "--start"] },
      dependencies: [
        { name: "acme/lib", versions: ">=1", actionSet: "launch", allowsRestart: true },
      ],
      requirements: { os: ["linux"], memoryBytes: 4 * 1024 ** 3, query: "site = berlin" },
      detection: [{ kind: "software", name: "tool", versions: ">=2" }],
      exitCodes: [{ code: 3011, outcome: "successRebootRequired" }],
      upgrade: "keep",
      supersedes: [{ name: "acme/toy" }],
      conflicts: ["acme/old"],
      postAction: "none",
      versionScheme: "deb",
    });
    expect(tree).toMatchObject({
      edges: [{ primary: "acme/tool@1", dependent: "acme/lib", actionSet: "launch" }],
    });
  });

  it("OCS-20 refuses a zip for Linux alone and a tar.gz for Windows alone, before it reads them", async () => {
    const zip = await publish("content.zip", "--command", "x", "--require", "os=linux");
    const tar = await publish("content.tar.gz", "--command", "x", "--require", "os=windows");
    const both = await publish(
      "content.zip",
      "--command",
      "x",
      "--require",
      "os=linux",
      "--require",
      "os=windows",
    );

    expect(zip).toMatchObject({ exitCode: 2, code: "PUBLISH_ARCHIVE_TYPE" });
    expect(zip.message).toContain("it must come as .tar.gz");
    expect(tar.message).toContain("it must come as .zip");
    expect(both).toMatchObject({ exitCode: 1, code: "PUBLISH_SOURCE_MISSING" });
  });

  it.each([
    ["--depends", "acme/lib,soon"],
    ["--require", "ram=4GB"],
    ["--require", "memory=much"],
    ["--detect", "registry=x"],
    ["--exit-code", "bad=success"],
    ["--exit-code", "3=fine"],
    ["--depends", "acme/tool"],
  ])("refuses the rule %s %s", async (option, text) => {
    const ended = await publish("--command", "x", option, text);

    expect(ended.exitCode).toBeGreaterThan(0);
    expect(["INPUT_INVALID", "DOCUMENT_INVALID"]).toContain(ended.code);
  });
});
