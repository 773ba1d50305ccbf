/** The walking skeleton through real processes: publish, activate, deploy, run, report. */
import { existsSync } from "node:fs";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  endpointOf,
  jobOf,
  publish,
  publishTo,
  sha256Of,
  writeFolder,
  writeTarGz,
  writeZip,
} from "../support/deployments.ts";
import { Fleet, writeNoise } from "../support/processes.ts";

let fleet: Fleet;
let packages: string;

beforeAll(async () => {
  fleet = await Fleet.start();
  packages = join(fleet.folder, "packages");
  await mkdir(packages);
  await fleet.command(["site", "create", "office", "--subnet", "127.10.1.0/24"]);
  await fleet.startNode({ name: "one", site: "office", listen: "127.10.1.11:0" });
  await fleet.startNode({ name: "two", site: "office", listen: "127.10.1.12:0" });
  await fleet.joined(["one", "two"]);
});

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
});

it("OCS-1 OCS-2 OCS-3 brings a published zip to an endpoint, which runs its program", async () => {
  const proof = join(fleet.folder, "launched");
  const source = await writeZip(join(packages, "setup.zip"), {
    "setup.sh": `#!/bin/sh\npwd > ${proof}\ncat data/word.txt >> ${proof}\necho "$1" >> ${proof}\n`,
    "data/word.txt": "unpacked\n",
  });
  const flags = ["--action", "launch", "--command", "setup.sh quietly"];

  await publishTo(fleet, { ref: "acme/setup@1", source, flags }, "endpoint:one");

  const job = await jobOf(fleet, "one", "acme/setup@1");
  const [folder = "", word, argument] = (await readFile(proof, "utf8")).trim().split("\n");
  expect({ outcome: job.outcome, exitCode: job.exitCode }).toEqual({
    outcome: "success",
    exitCode: 0,
  });
  expect([word, argument]).toEqual(["unpacked", "quietly"]);
  await expect(stat(folder)).rejects.toThrow("ENOENT");
});

it("OCS-11 OCS-27 shows the exit code of each machine", async () => {
  const source = await writeZip(join(packages, "failing.zip"), {
    "setup.sh": "#!/bin/sh\nexit 3\n",
  });
  const flags = ["--action", "launch", "--command", "setup.sh", "--success-codes", "0,3010"];

  await publishTo(fleet, { ref: "acme/failing@1", source, flags }, "endpoint:two");

  const job = await jobOf(fleet, "two", "acme/failing@1", ({ exitCode }) => exitCode !== undefined);
  expect({ exitCode: job.exitCode, systemCode: job.systemCode }).toEqual({
    exitCode: 3,
    systemCode: undefined,
  });
  expect(job.outcome).not.toBe("success");
});

it("OCS-32 stores a tar.gz, a folder and a single file with their exact content", async () => {
  const tree = { "readme.txt": "read me\n", "deep/er/tool.sh": "#!/bin/sh\nexit 0\n" };
  const noise = join(packages, "image.bin");
  await writeNoise(noise, 3_000_000, 1);
  const sources = {
    "acme/tar@1": await writeTarGz(join(packages, "tree.tar.gz"), tree),
    "acme/folder@1": await writeFolder(join(packages, "tree"), tree),
    "acme/file@1": noise,
  };
  const store = join(fleet.nodeFolder("one"), "store");

  for (const [ref, source] of Object.entries(sources)) {
    const path = ref.split(/[/@]/u)[1] ?? "";
    const flags = ["--action", "store", "--path", path];
    await publishTo(fleet, { ref, source, flags }, "endpoint:one");
  }

  for (const ref of Object.keys(sources)) await jobOf(fleet, "one", ref);
  for (const name of ["tar", "folder"]) {
    expect(await readFile(join(store, name, "readme.txt"), "utf8")).toBe("read me\n");
    expect((await stat(join(store, name, "deep/er/tool.sh"))).mode & 0o100).toBe(0o100);
  }
  expect(await sha256Of(join(store, "file/image.bin"))).toBe(await sha256Of(noise));
});

it("OCS-18 rebuilds a package of many fragments exactly", async () => {
  const listed = (await fleet.status()).packages.find(({ name }) => name === "acme/file");
  const stored = join(fleet.nodeFolder("one"), "store/file/image.bin");

  expect(listed?.fragmentCount).toBeGreaterThan(3);
  expect((await stat(stored)).size).toBe(3_000_000);
});

it("OCS-10 takes fragments from a neighbour instead of the coordinator", async () => {
  await fleet.command(["deploy", "acme/file@1", "--to", "endpoint:two"]);

  const job = await jobOf(fleet, "two", "acme/file@1");

  const stored = join(fleet.nodeFolder("two"), "store/file/image.bin");
  expect(job.bytes.origin).toBe(0);
  expect(job.bytes.peer).toBeGreaterThan(3_000_000);
  expect(await sha256Of(stored)).toBe(await sha256Of(join(packages, "image.bin")));
});

it("OCS-19 OCS-28 OCS-31 executes a command without content and reports no exit code", async () => {
  const proof = join(fleet.folder, "executed");
  const flags = ["--action", "execute", "--shell", "--command", `pwd > ${proof}`];

  await publishTo(fleet, { ref: "acme/policy@1", flags }, "endpoint:one");

  const job = await jobOf(fleet, "one", "acme/policy@1");
  expect(job.exitCode).toBeUndefined();
  expect(job.bytes).toEqual({ local: 0, peer: 0, dp: 0, origin: 0 });
  expect(await readFile(proof, "utf8")).toContain("/");
});

it("OCS-28 OCS-29 OCS-30 executes installed software on content, in the temporary folder", async () => {
  const proof = join(fleet.folder, "copied");
  const source = await writeFolder(join(packages, "settings"), { "a.conf": "colour = green\n" });
  const flags = ["--action", "execute", "--command", `/bin/cp a.conf ${proof}`];

  await publishTo(fleet, { ref: "acme/settings@1", source, flags }, "endpoint:one");

  await jobOf(fleet, "one", "acme/settings@1");
  expect(await readFile(proof, "utf8")).toBe("colour = green\n");
});

it("OCS-4 OCS-5 leaves a package inert until it is activated, even when it is deployed", async () => {
  const source = join(packages, "draft.txt");
  const stored = join(fleet.nodeFolder("one"), "store/draft/draft.txt");
  await writeFile(source, "draft\n");
  await publish(fleet, "acme/draft@1", source, ["--action", "store", "--path", "draft"]);
  await fleet.command(["deploy", "acme/draft@1", "--to", "endpoint:one"]);

  const marker = ["--action", "execute", "--command", "true"];
  await publishTo(fleet, { ref: "acme/marker@1", flags: marker }, "endpoint:one");
  await jobOf(fleet, "one", "acme/marker@1");
  const early = await jobOf(fleet, "one", "acme/draft@1", () => true);
  const isEarlyStored = existsSync(stored);
  await fleet.command(["package", "activate", "acme/draft@1"]);
  await jobOf(fleet, "one", "acme/draft@1");

  expect(early.state).toBe("waiting");
  expect(early.reason).toMatch(/activat/u);
  expect(isEarlyStored).toBe(false);
  expect(await readFile(stored, "utf8")).toBe("draft\n");
});

it("OCS-6 OCS-7 OCS-14 OCS-15 gives orders to the assigned endpoint only, several at once", async () => {
  const one = await endpointOf(fleet, "one");
  const two = await endpointOf(fleet, "two");

  const refs = ({ jobs }: typeof one) => jobs.map((job) => `${job.package}@${job.version}`);
  expect(refs(one)).toEqual(expect.arrayContaining(["acme/policy@1", "acme/settings@1"]));
  expect(refs(two).toSorted()).toEqual(["acme/failing@1", "acme/file@1"]);
});

it("BR-5 traces location, DP choice, content and verification before the action", async () => {
  const { trace } = await jobOf(fleet, "one", "acme/setup@1");

  const steps = trace.map(({ step }) => step);
  const times = trace.map(({ at }) => at);
  expect(steps).toEqual([
    "location",
    "dpChosen",
    "manifestVerified",
    "contentFetched",
    "contentVerified",
    "actionStarted",
    "actionEnded",
  ]);
  expect(times).toEqual(times.toSorted());
});
