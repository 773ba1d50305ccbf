/** Publishing and deleting at the same time: what one has checked, the other must not take away. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { deletePackage } from "../../../coordinator/routes/package-removal.ts";
import type { Parts } from "../../../coordinator/routes/parts.ts";
import { publishPackage } from "../../../coordinator/routes/publish-routes.ts";
import { requireContent } from "../../../coordinator/store/package-content.ts";
import { TABLES } from "../../../coordinator/store/tables.ts";
import { publishingView } from "../../../coordinator/trust/catalog.ts";
import { signPackage } from "../../../coordinator/trust/publisher.ts";
import { parsePackageRef, targetPathOf } from "../../../protocol/ids.ts";
import { canonicalBytes } from "../../../protocol/json.ts";
import type { PackageAnswer } from "../../../protocol/operator-api.ts";
import { openCoordinatorParts } from "../../support/coordinator-parts.ts";
import { packageOf } from "./fleet.ts";

const nowMs = 1_800_000_000_000;
/** Turns of the event loop: far more than a deletion takes that waits for nobody. */
const PATIENCE_TURNS = 20_000;

let folder = "";
let parts: Parts;
let publish: (ref: string, by?: Parts) => Promise<PackageAnswer>;

/** All versions are the same fragments. */
const built = (ref: string) => packageOf(ref, [Buffer.alloc(50_000, 7), Buffer.alloc(40_000, 8)]);

async function* one(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "branchline-turns-"));
  const opened = await openCoordinatorParts(folder, nowMs);
  parts = opened.parts;
  publish = async (ref, by = parts) => {
    const { manifest, blobs } = built(ref);
    for (const [digest, bytes] of blobs) {
      await parts.fragments.put(digest, one(bytes), bytes.length);
    }
    const publishing = publishingView(parts.catalog.files(), targetPathOf(manifest));
    const manifestBytes = canonicalBytes(manifest);
    return publishPackage(
      by,
      signPackage(opened.offline, publishing, { manifestBytes, manifest, nowMs }),
    );
  };
});
afterEach(async () => rm(folder, { recursive: true }));

it("OCO-39 deletes nothing that a package needs whose publishing is under way", async () => {
  await publish("acme/app@1");
  const checked = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  // Its content is checked by then, and it has no record yet.
  const put: Parts["manifests"]["put"] = async (...input) => {
    checked.resolve();
    await goOn.promise;
    await parts.manifests.put(...input);
  };

  const published = publish("acme/app@2", { ...parts, manifests: { ...parts.manifests, put } });
  await checked.promise;
  const isDeleted = { now: false };
  const deleted = deletePackage(parts, parsePackageRef("acme/app@1")).finally(() => {
    isDeleted.now = true;
  });
  for (let at = 0; at < PATIENCE_TURNS && !isDeleted.now; at++) await turn();
  goOn.resolve();
  await published;

  const answer = await deleted;
  await requireContent(parts.fragments, built("acme/app@2").manifest);
  expect(answer).toMatchObject({ fragmentCount: 0, freedBytes: 0 });
  expect(parts.records.all(TABLES.packages)).toMatchObject([{ version: "2" }]);
});

it("OCO-39 frees what only two packages share that are deleted at once", async () => {
  await publish("acme/app@1");
  await publish("acme/app@2");

  const answers = await Promise.all(
    ["acme/app@1", "acme/app@2"].map(async (ref) => deletePackage(parts, parsePackageRef(ref))),
  );

  expect(answers.map(({ fragmentCount }) => fragmentCount)).toEqual([0, 4]);
});

it("goes on after work that failed", async () => {
  await expect(deletePackage(parts, parsePackageRef("acme/none@1"))).rejects.toMatchObject({
    code: "NOT_FOUND",
  });

  expect(await publish("acme/app@1")).toMatchObject({ version: "1" });
});
