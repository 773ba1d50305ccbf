/** Patches on the coordinator: what a publisher reads to make them, and endpoints that lease them. */
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { BuiltPackage } from "../../../coordinator/publish/build-package.ts";
import { parsePackageVersion } from "../../../protocol/ids.ts";
import type { PackageAnswer } from "../../../protocol/operator-api.ts";
import { swarmSections } from "../../../protocol/swarm-order.ts";
import { writeTree } from "../../support/archives.ts";
import { builtFrom } from "../../support/build.ts";
import { asBase } from "../../support/update-endpoint.ts";
import { newFleet, type TestFleet } from "./fleet.ts";

let fleet: TestFleet;
let folder = "";
beforeEach(async () => {
  fleet = await newFleet();
  await fleet.site("berlin", "10.1.0.0/16");
  folder = await mkdtemp(join(tmpdir(), "branchline-patches-"));
});
afterEach(async () => {
  await fleet[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function published(number: number, base?: BuiltPackage): Promise<BuiltPackage> {
  const blocks = Array.from({ length: 9000 }, (_none, at) =>
    createHash("sha256")
      .update(`${at === 4000 ? number : at} block`)
      .digest(),
  );
  const source = join(folder, `v${number}`);
  await writeTree(source, { "app.bin": { data: Buffer.concat(blocks) } });
  const built = await builtFrom(folder, {
    source,
    action: { kind: "store", path: "app" },
    version: parsePackageVersion(`${number}.0`),
    bases: base === undefined ? [] : [await asBase(base)],
  });
  for (const { digest, filePath } of built.fragments) {
    await fleet.operator("PUT", `/v1/fragments/${digest}`, await readFile(filePath));
  }
  await fleet.operator("POST", "/v1/packages", await fleet.signed(built.manifest));
  return built;
}

describe("published versions", () => {
  it("are listed and read by operators, and by nobody else", async () => {
    const built = await published(1);
    const [fragment] = built.fragments;
    const endpoint = await fleet.join("a", "berlin", "10.1.0.1");
    await endpoint.checkIn();
    const bearer = fleet.init.operatorToken;

    const { packages } = await fleet.operator<{ packages: PackageAnswer[] }>(
      "GET",
      "/v1/published?name=acme/app",
    );
    const routes = [
      `/v1/published/manifests/${built.manifestDigest}`,
      `/v1/published/fragments/${fragment!.digest}`,
    ];
    const [manifest, bytes] = [
      await fleet.call("GET", routes[0]!, { bearer }),
      await fleet.call("GET", routes[1]!, { bearer }),
    ];

    expect(packages).toMatchObject([{ version: "1.0", manifest: built.manifestDigest }]);
    expect(manifest.bytes.equals(built.manifestBytes)).toBe(true);
    expect(bytes.bytes.equals(await readFile(fragment!.filePath))).toBe(true);
    for (const route of ["/v1/published?name=acme/app", ...routes]) {
      expect((await endpoint.get(route)).status).toBe(401);
      expect((await fleet.call("GET", route)).status).toBe(401);
    }
    const unknown = `/v1/published/fragments/${"0".repeat(64)}`;
    expect((await fleet.call("GET", unknown, { bearer })).status).toBe(404);
  });
});

describe("patches", () => {
  it("are leased and served like other fragments, each once per site", async () => {
    const built = await published(2, await published(1));
    const [a, b] = [
      await fleet.join("a", "berlin", "10.1.0.1"),
      await fleet.join("b", "berlin", "10.1.0.2"),
    ];
    await fleet.activate("acme/app@2.0");
    await fleet.deploy("acme/app@2.0", { kind: "site", name: "berlin" });
    for (const endpoint of [a, b]) await endpoint.checkIn();
    const [, section] = swarmSections(built.manifest.content!);
    const index = section!.fragmentIndex;

    const { body } = await a.lease(built.manifestDigest, [index]);
    const [grant] = body.grants;
    const patch = await a.get(`/v1/fragments/${grant!.digest}`, {
      "x-branchline-lease": grant!.token,
    });
    const second = await b.lease(built.manifestDigest, [index]);
    const beyond = await a.lease(built.manifestDigest, [section!.endIndex]);

    const staged = built.fragments.find(({ digest }) => digest === grant!.digest);
    expect(patch.bytes.equals(await readFile(staged!.filePath))).toBe(true);
    expect(second.body.grants).toEqual([]);
    expect(second.body.leased).toMatchObject([{ index, holder: a.id }]);
    expect(beyond.status).toBe(400);
  });

  it("are refused with a package of which one is missing", async () => {
    const built = await published(1);
    const next = await builtFrom(folder, {
      source: join(folder, "v1"),
      action: { kind: "store", path: "app" },
      version: parsePackageVersion("3.0"),
    });
    const page = { digest: createHash("sha256").update("page").digest("hex"), sizeBytes: 54 };
    const set = {
      base: { version: "1.0", manifest: built.manifestDigest },
      fragmentCount: 1,
      wireBytes: 200,
      fragmentPages: [page],
      listPages: [page],
    };
    const manifest = JSON.parse(next.manifestBytes.toString()) as typeof next.manifest;
    const content = { ...manifest.content!, deltas: [set] } as NonNullable<typeof manifest.content>;
    const bearer = fleet.init.operatorToken;
    const body = await fleet.signed({ ...manifest, content });

    const answer = await fleet.call("POST", "/v1/packages", { body, bearer });

    expect(answer).toMatchObject({ status: 409, body: { code: "FRAGMENTS_MISSING" } });
  });
});
