import { createHash } from "node:crypto";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import AdmZip from "adm-zip";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { buildPackage } from "../../../coordinator/publish/build-package.ts";
import { makeStaging } from "../../../coordinator/publish/staging.ts";
import { packageRefText, parsePackageName, parsePackageVersion } from "../../../protocol/ids.ts";
import type { Action } from "../../../protocol/package-action.ts";
import {
  paxRecord,
  tarOf,
  writeTar,
  writeTree,
  writeZip,
  zipOf,
  type Tree,
} from "../../support/archives.ts";
import { builtFrom } from "../../support/build.ts";
import { noise } from "../../support/noise.ts";
import { rebuilt } from "../../support/rebuilt-content.ts";

const launch: Action = {
  kind: "launch",
  program: "setup.sh",
  args: ["--quiet"],
  timeoutSec: 60,
  successCodes: [0],
};
const store: Action = { kind: "store", path: "app" };
const tree: Tree = {
  "setup.sh": { data: "#!/bin/sh\nexit 0\n", isExecutable: true },
  "data/large.bin": { data: noise(2_500_000, "large") },
  "data/copy of large.bin": { data: noise(2_500_000, "large") },
  "data/text.txt": { data: "hello ".repeat(30_000) },
  "data/empty": { data: "" },
  "data/ä/small.txt": { data: "small" },
  "zzz/same small.txt": { data: "small" },
  "void/": { data: "" },
};

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "build-package-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function dosZip(): string {
  return join(folder, "dos.zip");
}

describe("buildPackage", () => {
  it("OCS-3 makes the same package of a folder, a zip, a tar and a tar.gz", async () => {
    const sources = ["folder", "app.zip", "app.tar", "app.tar.gz"].map((name) =>
      join(folder, name),
    );
    const [plain = "", zip = "", tar = "", gzip = ""] = sources;
    await writeTree(plain, tree);
    await writeZip(zip, Object.fromEntries(Object.entries(tree).toReversed()));
    await writeTar(tar, plain, false);
    await writeTar(gzip, plain, true);

    const built = await Promise.all(
      sources.map((source) => builtFrom(folder, { source, action: launch })),
    );

    const digests = built.map(({ fragments }) => fragments.map(({ digest }) => digest).sort());
    expect(new Set(built.map(({ manifestDigest }) => manifestDigest)).size).toBe(1);
    for (const list of digests) expect(list).toEqual(digests[0]);
    expect(built[0]!.manifest.content?.fileCount).toBe(7);
  });

  it("OCS-18 cuts content into many fragments that reassemble bit by bit", async () => {
    const source = join(folder, "app.zip");
    await writeZip(source, tree);

    const built = await builtFrom(folder, { source, action: launch });

    const { files, fragments, entries } = await rebuilt(built);
    expect(fragments.length).toBeGreaterThan(4);
    for (const [path, file] of Object.entries(tree)) {
      if (!path.endsWith("/")) expect(files.get(path)).toEqual(Buffer.from(file.data));
    }
    expect(entries.map(({ path }) => path)).toEqual([
      "data/copy of large.bin",
      "data/empty",
      "data/large.bin",
      "data/text.txt",
      "data/ä/small.txt",
      "setup.sh",
      "void",
      "zzz/same small.txt",
    ]);
  });

  it("counts identical files and the wire bytes once", async () => {
    const source = join(folder, "app.zip");
    await writeZip(source, tree);

    const built = await builtFrom(folder, { source, action: launch });

    const { fragments } = await rebuilt(built);
    const rawBytes = fragments.reduce((sum, entry) => sum + entry.rawBytes, 0);
    const wireBytes = built.fragments.reduce((sum, fragment) => sum + fragment.sizeBytes, 0);
    expect(rawBytes).toBe(2_500_000 + 180_000 + "small".length + 17);
    expect(built.manifest.content?.wireBytes).toBe(wireBytes);
    expect(built.manifest.content?.fileBytes).toBe(5_000_000 + 180_000 + 10 + 17);
    expect(wireBytes).toBeLessThan(2_520_000);
  });

  it("stores noise as it is and compresses text", async () => {
    const source = join(folder, "app.zip");
    await writeZip(source, tree);

    const { fragments } = await rebuilt(await builtFrom(folder, { source, action: launch }));

    expect(fragments.some((entry) => entry.wireBytes === entry.rawBytes)).toBe(true);
    expect(fragments.some((entry) => entry.wireBytes < entry.rawBytes / 10)).toBe(true);
  });

  it("leaves no spool behind and only the staged fragments", async () => {
    const source = join(folder, "app.tar.gz");
    await writeTree(join(folder, "src"), tree);
    await writeTar(source, join(folder, "src"), true);
    await using staging = await makeStaging(folder);
    const spec = {
      source,
      name: parsePackageName("acme/app"),
      version: parsePackageVersion("1"),
      level: 5,
      epoch: 1,
      action: store,
      compressionLevel: 1,
    };
    const progress: number[] = [];

    const built = await buildPackage(spec, staging.folder, new AbortController().signal, (step) =>
      progress.push(step.doneBytes / step.totalBytes),
    );

    expect(await readdir(staging.folder)).toEqual(["fragments"]);
    expect((await readdir(join(staging.folder, "fragments"))).sort()).toEqual(
      built.fragments.map(({ digest }) => digest).sort(),
    );
    expect(progress.at(-1)).toBe(1);
  });

  it("stops with the signal's reason and leaves nothing staged", async () => {
    const source = join(folder, "app.zip");
    await writeZip(source, tree);
    await using staging = await makeStaging(folder);
    const stop = new AbortController();
    const reason = new Error("the operator pressed a key");
    const spec = {
      source,
      name: parsePackageName("acme/app"),
      version: parsePackageVersion("1"),
      level: 5,
      epoch: 1,
      action: store,
      compressionLevel: 1,
    };

    const built = buildPackage(spec, staging.folder, stop.signal, () => stop.abort(reason));

    await expect(built).rejects.toBe(reason);
    expect(await readdir(staging.folder)).toEqual([]);
  });

  it("takes a single file, a jar and a gzip of no tar as content under their own names", async () => {
    const sources = {
      "tool.exe": Buffer.from("MZ program"),
      "app.jar": zipOf([{ name: "META-INF/MANIFEST.MF", data: "x" }]),
      "log.gz": gzipSync("just a log"),
    };
    for (const [name, bytes] of Object.entries(sources)) {
      await writeFile(join(folder, name), bytes);

      const built = await builtFrom(folder, { source: join(folder, name), action: store });

      expect([...(await rebuilt(built)).files]).toEqual([[name, bytes]]);
    }
  });

  it("recognises archives by their bytes, whatever they are called", async () => {
    await writeFile(join(folder, "download"), zipOf([{ name: "a", data: "a" }]));
    await writeFile(join(folder, "other"), gzipSync(tarOf([{ name: "a", data: "a" }])));

    const first = await builtFrom(folder, { source: join(folder, "download"), action: store });
    const second = await builtFrom(folder, { source: join(folder, "other"), action: store });

    expect(first.manifestDigest).toBe(second.manifestDigest);
  });

  it("reads zip64, and tar names beyond 100 bytes in PAX, GNU and ustar form", async () => {
    const long = `${"deep-folder/".repeat(9)}${"n".repeat(60)}.txt`;
    const packed = { [long]: { data: "long" } };
    const gnu = [
      { name: "././@LongLink", type: "L", data: `${long}\0` },
      { name: "cut", data: "long" },
    ];
    await writeZip(join(folder, "a.zip"), packed, true);
    await writeTree(join(folder, "src"), packed);
    await writeTar(join(folder, "b.tar"), join(folder, "src"), false);
    await writeFile(join(folder, "c.tar"), tarOf(gnu));
    await writeFile(
      join(folder, "d.tar"),
      tarOf([
        { name: "PaxHeader", type: "x", data: paxRecord("path", long) },
        { name: "y", data: "long" },
      ]),
    );

    const digests = ["a.zip", "b.tar", "c.tar", "d.tar", "src"].map(async (name) => {
      const built = await builtFrom(folder, { source: join(folder, name), action: store });
      return built.manifestDigest;
    });

    expect(new Set(await Promise.all(digests)).size).toBe(1);
  });

  it("reads the zips of adm-zip", async () => {
    const zip = new AdmZip();
    zip.addFile("setup.sh", Buffer.from("#!/bin/sh\n"));
    zip.addFile("a/b.txt", Buffer.from("b"));
    zip.writeZip(join(folder, "adm.zip"));

    const built = await builtFrom(folder, { source: join(folder, "adm.zip"), action: launch });

    expect([...(await rebuilt(built)).files.keys()]).toEqual(["a/b.txt", "setup.sh"]);
  });
});

describe("buildPackage and the three actions", () => {
  beforeEach(() =>
    writeFile(
      dosZip(),
      zipOf([
        { name: "setup.sh", data: "x" },
        { name: "readme.txt", data: "y" },
        { name: "bin/tool", data: "z" },
      ]),
    ),
  );

  it("OCS-25 makes the program of a zip without modes executable, and only it", async () => {
    const built = await builtFrom(folder, { source: dosZip(), action: launch });

    const { entries } = await rebuilt(built);
    const executable = entries.filter((entry) => entry.kind === "file" && entry.isExecutable);
    expect(executable.map(({ path }) => path)).toEqual(["setup.sh"]);
  });

  it("OCS-25 refuses a launch without content", async () => {
    await expect(builtFrom(folder, { action: launch })).rejects.toMatchObject({
      code: "PUBLISH_ACTION_INVALID",
    });
  });

  it("OCS-25 refuses a program that is not in the top folder and names the candidates", async () => {
    const missing = builtFrom(folder, { source: dosZip(), action: { ...launch, program: "go" } });
    await expect(missing).rejects.toThrow("has no go; it has readme.txt, setup.sh");

    const deeper = builtFrom(folder, { source: dosZip(), action: { ...launch, program: "tool" } });
    await expect(deeper).rejects.toThrow("not in the top folder of the content but at bin/tool");
  });

  it.each(["bin/tool", "C:\\setup.exe", "./setup.sh"])(
    "OCS-26 refuses the path %s in the launch name",
    async (program) => {
      const built = builtFrom(folder, { source: dosZip(), action: { ...launch, program } });

      await expect(built).rejects.toThrow("name the program's file only (OCS-26)");
    },
  );

  it("OCS-19, OCS-28 builds an execute without content: no fragment, no content in the manifest", async () => {
    const action: Action = {
      kind: "execute",
      command: ["/usr/bin/true"],
      shell: false,
      captureExitCode: false,
      timeoutSec: 60,
      successCodes: [0],
    };

    const without = await builtFrom(folder, { action });
    const withContent = await builtFrom(folder, { source: dosZip(), action });

    expect(without.fragments).toEqual([]);
    expect("content" in without.manifest).toBe(false);
    expect(withContent.manifest.content?.fileCount).toBe(3);
  });

  it("OCS-33 refuses a store without content or with a path that climbs", async () => {
    await expect(builtFrom(folder, { action: store })).rejects.toMatchObject({
      code: "PUBLISH_ACTION_INVALID",
    });
    for (const path of ["../up", "/opt/../etc", "C:\\x\\..\\y", "a//b"]) {
      const built = builtFrom(folder, { source: dosZip(), action: { kind: "store", path } });
      await expect(built).rejects.toMatchObject({ code: "PUBLISH_ACTION_INVALID" });
    }
  });

  it("refuses a level outside 0 to 10 before anything is uploaded", async () => {
    const built = builtFrom(folder, { source: dosZip(), action: store, level: 11 });

    await expect(built).rejects.toMatchObject({ code: "DOCUMENT_INVALID" });
  });

  it("names the package in the manifest's exact bytes", async () => {
    const { manifest, manifestBytes, manifestDigest } = await builtFrom(folder, {
      source: dosZip(),
      action: store,
    });

    expect(packageRefText(manifest)).toBe("acme/app@1.0.0");
    expect(JSON.parse(manifestBytes.toString("utf8"))).toEqual(manifest);
    expect(createHash("sha256").update(manifestBytes).digest("hex")).toBe(manifestDigest);
  });
});
