import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { catalogBundle } from "../../../coordinator/trust/catalog.ts";
import { applyRenewal, renewalView } from "../../../coordinator/trust/catalog-renewal.ts";
import { signRenewal } from "../../../coordinator/trust/publisher.ts";
import { initTrust } from "../../../coordinator/trust/init-trust.ts";
import { TrustStore } from "../../../node/trust/trust-store.ts";
import { signCatalogHead, versionsIn } from "../../../coordinator/trust/catalog-head.ts";
import { keyOfSeed } from "../../../coordinator/trust/fleet-keys.ts";
import { signedMetadataText } from "../../../protocol/trust/signatures.ts";
import type { CheckInAnswer, MetadataFiles } from "../../../protocol/check-in.ts";
import { canonicalBytes } from "../../../protocol/json.ts";
import {
  FleetFixture,
  DAY,
  HOUR,
  NOW,
  codeOf,
  looseFile,
  manifestOf,
  newEndpoint,
  shown,
  tempDir,
} from "./fleet-fixture.ts";

let dir: Awaited<ReturnType<typeof tempDir>>;
let store: TrustStore;
let fleet: FleetFixture;
const app = manifestOf("app", "1.0.0");

beforeEach(async () => {
  dir = await tempDir();
  store = await TrustStore.open(dir.path);
  fleet = new FleetFixture();
  await store.pin(fleet.trust.fleet);
  fleet.publish(app);
});

afterEach(async () => {
  await store.close();
  await dir[Symbol.asyncDispose]();
});

async function expectRefused(answer: CheckInAnswer, code: string): Promise<void> {
  await fleet.expectRefused(store, answer, code);
}

describe("a renewed catalog", () => {
  it("is accepted where the old one has expired", async () => {
    await fleet.accept(store, fleet.answer([app]));
    fleet.nowMs = NOW + 181 * DAY;
    const input = signRenewal(fleet.trust.offline, renewalView(fleet.catalog), fleet.nowMs);
    fleet.catalog = applyRenewal(fleet.catalog, input, fleet.trust.online, fleet.nowMs);

    const result = await fleet.accept(store, fleet.answer([app]));

    expect(result).toMatchObject({ kind: "accepted" });
    expect(store.instructions()).toMatchObject([{ targetPath: "acme/app/1.0.0" }]);
  });
});

describe("an honest answer", () => {
  it("OCS-16 yields the instructions that director and publisher both name", async () => {
    const result = await fleet.accept(store, fleet.answer([app]));

    expect(result).toMatchObject({ kind: "accepted" });
    expect(store.instructions()).toMatchObject([
      { targetPath: "acme/app/1.0.0", ref: { name: "acme/app" }, instruction: { job: "job-1" } },
    ]);
    expect(store.held()).toMatchObject({ directive: 1, catalog: 2, catalogRoot: 1, roster: 1 });
  });

  it("is accepted with a directive that asks for nothing", async () => {
    expect(codeOf(await fleet.accept(store, fleet.answer([])))).toBe("accepted");
  });

  it("keeps what it accepted across a restart", async () => {
    await fleet.accept(store, fleet.answer([app]));
    const before = shown(store);

    await store.close();
    store = await TrustStore.open(dir.path);

    expect(shown(store)).toEqual(before);
  });

  it("is confirmed by freshness alone while nothing changes", async () => {
    const answer = fleet.answer([app]);
    await fleet.accept(store, answer);
    fleet.nowMs += HOUR;

    const result = await fleet.accept(store, { freshness: fleet.freshness(answer.directive) });

    expect(result).toMatchObject({
      kind: "accepted",
      instructions: [{ targetPath: "acme/app/1.0.0" }],
    });
  });

  it("adds a package of another bin under the catalog version already held", async () => {
    const tool = manifestOf("tool", "3.1");
    fleet.publish(tool);
    await fleet.accept(store, fleet.answer([app]));

    const result = await fleet.accept(store, fleet.answer([app, tool]));

    expect(codeOf(result)).toBe("accepted");
    expect(store.instructions()).toHaveLength(2);
  });

  it("opens a manifest only by its signed length and hash, OCS-17", async () => {
    await fleet.accept(store, fleet.answer([app]));
    const [instruction] = store.instructions();
    const bytes = canonicalBytes(app);

    expect(store.verifyManifest(bytes, instruction!)).toEqual(app);
    const flipped = Buffer.from(bytes);
    flipped[20]! ^= 1;
    expect(() => store.verifyManifest(flipped, instruction!)).toThrow(
      expect.objectContaining({ code: "TRUST_MANIFEST" }),
    );
  });
});

describe("a hostile coordinator with all online keys", () => {
  it("M1, BR-2: cannot invent a package", async () => {
    const invented = manifestOf("evil", "6.6.6");
    const directive = fleet.directive([fleet.entry(app), fleet.entry(invented)]);
    const catalog = catalogBundle(fleet.catalog, ["acme/app/1.0.0", "acme/evil/6.6.6"], 1);

    await expectRefused(
      { freshness: fleet.freshness(directive), directive, catalog },
      "TRUST_NOT_IN_CATALOG",
    );
  });

  it("M1, OCS-17: cannot put another manifest under a published name", async () => {
    const changed = { ...app, level: 0 };
    const directive = fleet.directive([fleet.entry(changed)]);
    const catalog = catalogBundle(fleet.catalog, ["acme/app/1.0.0"], 1);

    await expectRefused(
      { freshness: fleet.freshness(directive), directive, catalog },
      "TRUST_NOT_IN_CATALOG",
    );
  });

  it.each([
    { epoch: 2, kind: "execute" },
    { epoch: 1, kind: "launch" },
  ] as const)("M2: cannot change the signed description to %o", async (match) => {
    const entry = fleet.entry(app);
    const directive = fleet.directive([{ ...entry, custom: { ...entry.custom, match } }]);
    const catalog = catalogBundle(fleet.catalog, [entry.path], 1);

    await expectRefused(
      { freshness: fleet.freshness(directive), directive, catalog },
      "TRUST_MATCH",
    );
  });

  it("M3: cannot sign a bin with its online keys", async () => {
    const forger = new FleetFixture(initTrust({ nowMs: NOW }));
    const evil = manifestOf("evil", "6.6.6");
    forger.publish(evil);
    const bin = Object.keys(forger.catalog).find((name) => name.startsWith("bin-"))!;
    fleet.catalog = signCatalogHead(
      { ...fleet.catalog, [bin]: forger.catalog[bin]! },
      { ...versionsIn(fleet.catalog), [bin]: 1 },
      fleet.trust.online,
      NOW,
    );

    await expectRefused(fleet.answer([evil]), "TRUST_SIGNATURE");
  });

  it("M7: cannot bring back a package below its epoch, and nothing else of that answer either", async () => {
    const old = manifestOf("app", "3.0.0", 3);
    const current = manifestOf("app", "4.0.0", 4);
    const tool = manifestOf("tool", "1");
    for (const manifest of [old, current, tool]) fleet.publish(manifest);
    await fleet.accept(store, fleet.answer([current]));

    await expectRefused(fleet.answer([old]), "TRUST_EPOCH");
    await expectRefused(fleet.answer([tool, old]), "TRUST_EPOCH");
  });

  it("M7: the epoch floor survives a directive without the package and a restart", async () => {
    const old = manifestOf("app", "3.0.0", 3);
    const current = manifestOf("app", "4.0.0", 4);
    for (const manifest of [old, current]) fleet.publish(manifest);
    await fleet.accept(store, fleet.answer([current]));
    await fleet.accept(store, fleet.answer([]));
    await store.close();
    store = await TrustStore.open(dir.path);

    await expectRefused(fleet.answer([old]), "TRUST_EPOCH");
  });

  it("M10: cannot give one endpoint the directive of another", async () => {
    const answer = fleet.answer([app]);
    const other = fleet.directive([fleet.entry(app)], newEndpoint());

    await expectRefused(
      { ...answer, directive: other, freshness: fleet.freshness(other) },
      "TRUST_WRONG_ENDPOINT",
    );
    for (const name of Object.keys(other)) {
      const mixed = { ...answer.directive, [name]: other[name]! };
      await expectRefused({ ...answer, directive: mixed }, "TRUST_WRONG_ENDPOINT");
    }
  });

  it("M11: cannot say two things under one version", async () => {
    const first = fleet.answer([app]);
    await fleet.accept(store, first);
    fleet.directiveVersion--;
    const second = fleet.directive([]);

    await expectRefused(
      { freshness: fleet.freshness(second), directive: second },
      "TRUST_EQUIVOCATION",
    );
    await expectRefused({ freshness: fleet.freshness(second) }, "TRUST_EQUIVOCATION");
  });

  it("M12: cannot jump ahead to leave no room for honest versions", async () => {
    fleet.directiveVersion = Number.MAX_SAFE_INTEGER - 10;

    await expectRefused(fleet.answer([app]), "TRUST_METADATA");
  });

  it("M20: cannot pass the director's next root off as the catalog's", async () => {
    const root = looseFile(fleet.trust.fleet.directorRoot).signed;
    const rotated = signedMetadataText({ ...root, version: 2 }, [
      keyOfSeed(fleet.trust.offline.root),
    ]);
    const answer = fleet.answer([app]);

    await expectRefused(
      { ...answer, catalog: { ...answer.catalog, "2.root.json": rotated } },
      "TRUST_METADATA",
    );
    const directive = { ...answer.directive, "2.root.json": rotated };
    expect(codeOf(await fleet.accept(store, { ...answer, directive }))).toBe("accepted");
    expect(store.held().directorRoot).toBe(2);
  });
});

describe("replays and freezes", () => {
  it("M5, BR-2: refuses an older directive", async () => {
    const first = fleet.answer([app]);
    await fleet.accept(store, first);
    await fleet.accept(store, fleet.answer([]));

    const replay = {
      ...first,
      freshness: fleet.freshness(first.directive, { directiveVersion: 1 }),
    };
    await expectRefused(replay, "TRUST_ROLLBACK");
    await expectRefused({ freshness: replay.freshness }, "TRUST_ROLLBACK");
  });

  it("M5, BR-2: refuses an older catalog", async () => {
    const old = fleet.catalog;
    fleet.publish(manifestOf("tool", "1"));
    await fleet.accept(store, fleet.answer([app]));
    fleet.catalog = old;

    await expectRefused(fleet.answer([app]), "TRUST_ROLLBACK");
  });

  it("M8: refuses the answer to another request", async () => {
    const answer = fleet.answer([app]);
    const freshness = fleet.freshness(answer.directive, { nonce: "f".repeat(32) });

    await expectRefused({ ...answer, freshness }, "TRUST_STALE_ANSWER");
  });

  it("M8: refuses a statement of an earlier time than one already accepted", async () => {
    const answer = fleet.answer([app]);
    await fleet.accept(store, answer);

    const freshness = fleet.freshness(answer.directive, { timeMs: NOW - 1 });
    await expectRefused({ freshness }, "TRUST_STALE_ANSWER");
  });

  it("M8, M10: refuses freshness made for another endpoint", async () => {
    const answer = fleet.answer([app]);
    const freshness = fleet.freshness(answer.directive, { endpoint: newEndpoint() });

    await expectRefused({ ...answer, freshness }, "TRUST_WRONG_ENDPOINT");
  });

  it("M8, BR-2: refuses held files once they have expired, although freshness repeats them", async () => {
    const answer = fleet.answer([app]);
    await fleet.accept(store, answer);
    fleet.nowMs += DAY;

    await expectRefused({ freshness: fleet.freshness(answer.directive) }, "TRUST_EXPIRED");
    await expectRefused(
      { ...answer, freshness: fleet.freshness(answer.directive) },
      "TRUST_EXPIRED",
    );
  });

  it("M9: refuses files of different snapshots", async () => {
    const before = fleet.answer([app]);
    const after = fleet.answer([]);

    for (const name of ["snapshot.json", "targets.json"]) {
      const directive = { ...after.directive, [name]: before.directive[name]! };
      await expectRefused({ ...after, directive }, "TRUST_SIGNATURE");
    }
  });

  it("M9: refuses a bin of another version than the snapshot names", async () => {
    const bin = Object.keys(fleet.catalog).find((name) => name.startsWith("bin-"))!;
    const next = new FleetFixture(fleet.trust);
    next.publish(app);
    const { offline } = fleet.trust;
    const signed = looseFile(fleet.catalog[bin]!).signed;
    const newer = signedMetadataText({ ...signed, version: 2 }, [keyOfSeed(offline.publisher)]);
    const answer = fleet.answer([app]);

    await expectRefused(
      { ...answer, catalog: { ...answer.catalog, [bin]: newer } },
      "TRUST_ROLLBACK",
    );
  });

  it("M19: an endpoint whose clock was set back two years still refuses expired files", async () => {
    const answer = fleet.answer([app]);
    fleet.nowMs += 8 * DAY;
    const freshness = fleet.freshness(answer.directive);
    fleet.nowMs = NOW - 730 * DAY;

    await expectRefused({ ...answer, freshness }, "TRUST_EXPIRED");
  });

  it("M19: keeps the latest signed time across a restart", async () => {
    const answer = fleet.answer([app]);
    await fleet.accept(store, answer);
    await store.close();
    store = await TrustStore.open(dir.path);

    const freshness = fleet.freshness(answer.directive, { timeMs: NOW - 1 });
    await expectRefused({ freshness }, "TRUST_STALE_ANSWER");
  });

  it("asks again when the answer lacks a file that it needs", async () => {
    const answer = fleet.answer([app]);
    const bin = Object.keys(answer.catalog).find((name) => name.startsWith("bin-"))!;

    await expectRefused({ ...answer, catalog: without(answer.catalog, bin) }, "TRUST_INCOMPLETE");
    await expectRefused(
      { ...answer, catalog: without(answer.catalog, "snapshot.json") },
      "TRUST_INCOMPLETE",
    );
    await expectRefused({ freshness: answer.freshness }, "TRUST_INCOMPLETE");
  });
});

function without(files: MetadataFiles, name: string): MetadataFiles {
  return Object.fromEntries(Object.entries(files).filter(([key]) => key !== name));
}
