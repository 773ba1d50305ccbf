import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { refusalOf } from "../../support/build.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bad-source-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("bad sources", () => {
  it.each(["x.zip", "x.tar", "x.tar.gz", "x.tgz"])("refuses a text named %s", async (name) => {
    const error = await refusalOf(folder, name, Buffer.from("just a text"));

    expect(error.code).toBe("PUBLISH_ARCHIVE_DAMAGED");
  });

  it("says that a source is not there", async () => {
    const error = await refusalOf(folder, "nowhere", undefined);

    expect(error.code).toBe("PUBLISH_SOURCE_MISSING");
    expect(error.message).toContain("no such file or folder");
  });

  it("refuses a symbolic link inside a folder, naming it", async () => {
    await mkdir(join(folder, "src/deep"), { recursive: true });
    await writeFile(join(folder, "src/a"), "a");
    await symlink("../a", join(folder, "src/deep/link"));

    const error = await refusalOf(folder, "src", undefined);

    expect(error.code).toBe("PUBLISH_ENTRY_REFUSED");
    expect(error.details).toEqual({ entry: "deep/link", reason: "it is a symbolic link" });
  });

  it.skipIf(!existsSync("/usr/bin/mkfifo"))("refuses a pipe inside a folder", async () => {
    await mkdir(join(folder, "src"));
    execFileSync("mkfifo", [join(folder, "src/pipe")]);

    expect((await refusalOf(folder, "src", undefined)).details["entry"]).toBe("pipe");
  });

  it("refuses a folder without files and a folder with a name of Windows devices", async () => {
    await mkdir(join(folder, "src/only"), { recursive: true });
    expect((await refusalOf(folder, "src", undefined)).code).toBe("PUBLISH_SOURCE_EMPTY");

    await writeFile(join(folder, "src/only/aux.h"), "x");
    expect((await refusalOf(folder, "src", undefined)).details["entry"]).toBe("only/aux.h");
  });
});
