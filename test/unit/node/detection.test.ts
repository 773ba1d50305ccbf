import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parsePackageRef } from "../../../protocol/ids.ts";
import type { Manifest } from "../../../protocol/manifest.ts";
import type { DetectionRule } from "../../../protocol/package-rules.ts";
import type { DetectedSoftware } from "../../../protocol/report.ts";
import { contradictionOf, hasDrifted, needOf, type Found } from "../../../node/core/detection.ts";
import { missingRequirement, type EndpointFacts } from "../../../node/core/requirements.ts";
import { detect } from "../../../node/scan/detect.ts";
import { digestOf } from "../../support/memory-content.ts";

const asked = (found: Found, instruction = {}, isKnownInstalled = false) =>
  needOf({ instruction, found, isKnownInstalled }).kind;

describe("what detection means", () => {
  it("SE-15 has nothing to do where the package is there, unless it is forced", () => {
    expect(asked("same")).toBe("nothingToDo");
    expect(asked("same", { force: true })).toBe("act");
    expect([asked("none"), asked("other"), asked("unknown")]).toEqual(["act", "act", "act"]);
  });

  it("updates only what exists where the wish says so", () => {
    const ensure = "updateOnly";
    expect(asked("none", { ensure })).toBe("notHere");
    expect(asked("unknown", { ensure })).toBe("notHere");
    expect(asked("unknown", { ensure }, true)).toBe("act");
    expect(asked("other", { ensure })).toBe("act");
    expect(asked("same", { ensure })).toBe("nothingToDo");
    expect(asked("none", { ensure: "latest" })).toBe("act");
  });

  it("takes off only what is there", () => {
    const operation = "uninstall";
    expect(asked("none", { operation })).toBe("nothingToDo");
    expect(asked("other", { operation })).toBe("nothingToDo");
    expect(asked("same", { operation })).toBe("act");
    expect(asked("unknown", { operation })).toBe("act");
    expect(asked("none", { operation, force: true })).toBe("act");
  });

  it("ZEN-19 launches whatever is found", () => {
    expect(asked("same", { operation: "launch" })).toBe("act");
  });

  it("does not believe a command that says success and changes nothing", () => {
    expect(contradictionOf("install", "same")).toBeUndefined();
    expect(contradictionOf("install", "unknown")).toBeUndefined();
    expect(contradictionOf("install", "none")).toContain("not found");
    expect(contradictionOf("uninstall", "same")).toContain("still there");
    expect(contradictionOf("uninstall", "none")).toBeUndefined();
  });

  it("SE-19 sees what drifted", () => {
    expect(hasDrifted("install", "none")).toBe(true);
    expect(hasDrifted("install", "same")).toBe(false);
    expect(hasDrifted("uninstall", "same")).toBe(true);
    expect(hasDrifted("install", "unknown")).toBe(false);
  });
});

const command = (words: string[], change = {}) =>
  ({ kind: "command", command: words, shell: false, timeoutSec: 5, ...change }) as const;

describe("detection rules on real files, software and commands", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "branchline-detect-"));
    await writeFile(join(folder, "app.conf"), "colour = green\n");
  });
  afterAll(async () => rm(folder, { recursive: true, force: true }));

  const software: DetectedSoftware[] = [{ name: "vim", version: "2:9.0.1378-2", source: "dpkg" }];
  const found = async (...detection: DetectionRule[]) => {
    const manifest: Manifest = {
      v: 1,
      ...parsePackageRef("acme/app@1"),
      epoch: 1,
      level: 5,
      action: { kind: "store", path: "app" },
      ...(detection.length === 0 ? {} : { rules: { detection, versionScheme: "deb" } }),
    };
    return detect(manifest, {
      storeFolder: folder,
      env: { PATH: "/usr/bin:/bin" },
      software: async () => software,
      signal: new AbortController().signal,
    });
  };

  it("says nothing without rules", async () => {
    expect(await found()).toBe("unknown");
  });

  it("compares files by path, size and digest", async () => {
    const sha256 = digestOf(Buffer.from("colour = green\n"));
    const file = { kind: "file", path: "app.conf" } as const;

    expect(await found(file)).toBe("same");
    expect(await found({ ...file, path: join(folder, "app.conf"), sha256 })).toBe("same");
    expect(await found({ ...file, sizeBytes: 3 })).toBe("other");
    expect(await found({ ...file, sha256: digestOf(Buffer.from("x")) })).toBe("other");
    expect(await found({ ...file, path: "absent" })).toBe("none");
    expect(await found({ ...file, path: "app.conf/below" })).toBe("none");
  });

  it("compares software by version range in the package's own order", async () => {
    const vim = { kind: "software", name: "vim" } as const;

    expect(await found(vim)).toBe("same");
    expect(await found({ ...vim, versions: ">=2:9.0" })).toBe("same");
    expect(await found({ ...vim, versions: ">=2:10.0" })).toBe("other");
    expect(await found({ ...vim, name: "emacs" })).toBe("none");
  });

  it("runs commands with a time limit and without a shell unless the package says so", async () => {
    expect(await found(command(["test", "-e", "app.conf"]))).toBe("same");
    expect(await found(command(["test -e app.conf"], { shell: true }))).toBe("same");
    expect(await found(command(["false"]))).toBe("none");
    expect(await found(command(["no-such-command-here"]))).toBe("none");
  });

  it("needs all rules to hold", async () => {
    const file = { kind: "file", path: "app.conf" } as const;

    expect(await found(file, { kind: "software", name: "emacs" })).toBe("other");
    expect(await found({ kind: "software", name: "emacs" }, file)).toBe("other");
    expect(await found(file, { kind: "software", name: "vim" })).toBe("same");
  });
});

describe("requirements on the endpoint", () => {
  const facts: EndpointFacts = {
    inventory: {
      name: "pc",
      site: "berlin",
      role: "agent",
      os: "linux",
      osName: "Debian GNU/Linux",
      osVersion: "12.5",
      arch: "x64",
      address: "10.0.0.1",
      memoryMb: 8192,
      freeDiskGb: 20,
      isServer: false,
      hasUser: false,
      software: [],
      installed: [{ ...parsePackageRef("acme/lib@1.5") }],
    },
    memoryBytes: 8 * 2 ** 30,
    freeDiskBytes: 20e9,
  };

  it.each([
    [{ os: ["win32"] }, "it needs win32, this is linux"],
    [{ osVersion: ">=13" }, "it needs system version >=13, this is 12.5"],
    [{ arch: ["arm64"] }, "it needs arm64, this is x64"],
    [{ memoryBytes: 64 * 2 ** 30 }, "it needs 68719476736 bytes of memory"],
    [{ freeDiskBytes: 30e9 }, "it needs 30000000000 free bytes"],
    [{ query: "installed acme/lib >= 2" }, "it needs: installed acme/lib >= 2"],
  ] as const)("ZEN-15 names what is missing for %j", (requirements, text) => {
    const missing = missingRequirement(requirements as never, facts);
    expect(missing).toContain(text);
  });

  it("finds nothing missing where everything holds", () => {
    const requirements = {
      os: ["linux", "win32"],
      osVersion: ">=12 <13",
      arch: ["x64"],
      memoryBytes: 2 ** 30,
      query: "site = berlin and installed acme/lib >= 1",
    } as const;
    expect(missingRequirement(requirements as never, facts)).toBeUndefined();
    expect(missingRequirement(undefined, facts)).toBeUndefined();
  });
});
