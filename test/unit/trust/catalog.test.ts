import { describe, expect, it } from "vitest";
import { signDirective } from "../../../coordinator/trust/director.ts";
import { keyOfSeed } from "../../../coordinator/trust/fleet-keys.ts";
import { renewCatalog } from "../../../coordinator/trust/catalog-head.ts";
import {
  addPackage,
  catalogBundle,
  catalogInForce,
  publishingView,
} from "../../../coordinator/trust/catalog.ts";
import {
  applyRenewal,
  offlineExpiryMs,
  renewalView,
} from "../../../coordinator/trust/catalog-renewal.ts";
import { signPackage, signRenewal } from "../../../coordinator/trust/publisher.ts";
import type { PackageInput, RenewalInput } from "../../../protocol/operator-api.ts";
import { canonicalBytes } from "../../../protocol/json.ts";
import { targetPathOf } from "../../../protocol/ids.ts";
import { binOf, sha256Of } from "../../../protocol/trust/metadata.ts";
import { signedMetadataText } from "../../../protocol/trust/signatures.ts";
import {
  DAY,
  FleetFixture,
  HOUR,
  NOW,
  looseFile,
  manifestOf,
  type LooseSigned,
  type LooseTarget,
} from "./fleet-fixture.ts";

const app = manifestOf("app", "1.0.0");
const path = targetPathOf(app);

function signedInput(fleet: FleetFixture, manifest = app): PackageInput {
  const manifestBytes = canonicalBytes(manifest);
  const view = publishingView(fleet.catalog, targetPathOf(manifest));
  return signPackage(fleet.trust.offline, view, { manifestBytes, manifest, nowMs: NOW });
}

/** The same input with a bin that the publisher signs after a change. */
function resigned(
  fleet: FleetFixture,
  input: PackageInput,
  change: (signed: LooseSigned) => unknown,
): PackageInput {
  const signed = change(looseFile(input.binMetadata).signed);
  return {
    ...input,
    binMetadata: signedMetadataText(signed, [keyOfSeed(fleet.trust.offline.publisher)]),
  };
}

function add(fleet: FleetFixture, input: PackageInput) {
  return addPackage(fleet.catalog, input, fleet.trust.online, NOW);
}

function expectRefused(fleet: FleetFixture, input: PackageInput, code: string): void {
  expect(() => add(fleet, input)).toThrow(expect.objectContaining({ code }));
}

/** A version of the app whose bin is the one of `app`: bins fill up by hash. */
function binMate(): ReturnType<typeof manifestOf> {
  for (let build = 0; ; build++) {
    const mate = manifestOf("app", `2.0.${build}`);
    if (binOf(targetPathOf(mate)) === binOf(path)) return mate;
  }
}

const signedBy = (seed: string, change: object, name: string, text: string) => ({
  [name]: signedMetadataText({ ...looseFile(text).signed, ...change }, [keyOfSeed(seed)]),
});

describe("a renewal", () => {
  const later = NOW + 170 * DAY;
  const renewed = (fleet: FleetFixture) =>
    signRenewal(fleet.trust.offline, renewalView(fleet.catalog), later);

  it("gives every offline-signed file 180 more days, and changes nothing else", () => {
    const fleet = new FleetFixture();
    fleet.publish(app);
    expect(offlineExpiryMs(fleet.catalog)).toBe(NOW + 180 * DAY);

    const catalog = applyRenewal(fleet.catalog, renewed(fleet), fleet.trust.online, later);

    expect(offlineExpiryMs(catalog)).toBe(later + 180 * DAY);
    const bin = `${binOf(path)}.json`;
    expect(looseFile(catalog[bin]!).signed.targets).toEqual(
      looseFile(fleet.catalog[bin]!).signed.targets,
    );
    expect(looseFile(catalog[bin]!).signed).toMatchObject({ version: 2 });
    expect(looseFile(catalog["targets.json"]!).signed).toMatchObject({ version: 2 });
  });

  it("is refused with another key, another content, or after another publish", () => {
    const fleet = new FleetFixture();
    fleet.publish(app);
    const input = renewed(fleet);
    const bin = `${binOf(path)}.json`;
    const apply = (change: Partial<RenewalInput>) => () =>
      applyRenewal(fleet.catalog, { ...input, ...change }, fleet.trust.online, later);
    const { publisher, root } = fleet.trust.offline;
    const { catalogOnline } = fleet.trust.online;

    const stolen = signedBy(catalogOnline, {}, bin, input.bins[bin]!);
    expect(apply({ bins: stolen })).toThrow(expect.objectContaining({ code: "PUBLISH_REFUSED" }));
    const emptied = signedBy(publisher, { targets: {} }, bin, input.bins[bin]!);
    expect(apply({ bins: emptied })).toThrow(expect.objectContaining({ code: "PUBLISH_REFUSED" }));
    const { t } = signedBy(publisher, {}, "t", input.targets);
    expect(apply({ targets: t! })).toThrow(expect.objectContaining({ code: "PUBLISH_REFUSED" }));
    const short = signedBy(root, { expires: "2021-10-30T00:00:00Z" }, "t", input.targets);
    expect(apply({ targets: short["t"]! })).toThrow(
      expect.objectContaining({ code: "PUBLISH_REFUSED" }),
    );
    fleet.publish(binMate());
    expect(apply({})).toThrow(expect.objectContaining({ code: "PUBLISH_CONFLICT" }));
  });

  it("E1: is not signed for a catalog that other keys made", () => {
    const [fleet, other] = [new FleetFixture(), new FleetFixture()];
    const foreign = renewalView(other.catalog);

    expect(() => signRenewal(fleet.trust.offline, foreign, later)).toThrow(
      expect.objectContaining({ code: "PUBLISH_OTHER_FLEET" }),
    );
  });
});

describe("the catalog", () => {
  it("takes a package that a publisher of the fleet has signed, OCS-16", () => {
    const fleet = new FleetFixture();

    const added = add(fleet, signedInput(fleet));

    expect(added.manifest).toEqual(app);
    expect(added.digest).toBe(sha256Of(canonicalBytes(app)));
    expect(catalogInForce(added.catalog).catalogVersion).toBe(2);
    expect(Object.keys(catalogBundle(added.catalog, [path, "acme/none/1"], 1)).sort()).toEqual(
      [`${binOf(path)}.json`, "snapshot.json", "targets.json", "timestamp.json"].sort(),
    );
    expect(catalogBundle(added.catalog, [], 0)).toHaveProperty(["1.root.json"]);
  });

  it("keeps the earlier packages of a bin", () => {
    const fleet = new FleetFixture();
    fleet.publish(app);
    fleet.publish(binMate());

    expect(
      Object.keys(looseFile(fleet.catalog[`${binOf(path)}.json`]!).signed.targets),
    ).toHaveLength(2);
  });

  it("accepts the very same package again and changes nothing", () => {
    const fleet = new FleetFixture();
    const input = signedInput(fleet);
    fleet.catalog = add(fleet, input).catalog;

    expect(add(fleet, input).catalog).toBe(fleet.catalog);
    expect(add(fleet, signedInput(fleet)).catalog).toBe(fleet.catalog);
  });

  it("refuses other content under a published version, on both sides", () => {
    const fleet = new FleetFixture();
    const changed = { ...app, level: 1 };
    const early = signedInput(fleet, changed);
    fleet.publish(app);

    expectRefused(fleet, early, "CATALOG_VERSION_TAKEN");
    expect(() => signedInput(fleet, changed)).toThrow(
      expect.objectContaining({ code: "CATALOG_VERSION_TAKEN" }),
    );
  });

  it("tells two publishers apart who signed at the same time", () => {
    const fleet = new FleetFixture();
    const late = signedInput(fleet, binMate());
    fleet.publish(app);

    expectRefused(fleet, late, "PUBLISH_CONFLICT");
  });

  it("M3: refuses a bin that no publisher of the fleet has signed", () => {
    const fleet = new FleetFixture();
    const stranger = new FleetFixture();
    const input = signedInput(fleet);
    const signed = looseFile(input.binMetadata).signed;
    const online = signedMetadataText(signed, [keyOfSeed(fleet.trust.online.catalogOnline)]);

    expectRefused(fleet, signedInput(stranger), "PUBLISH_REFUSED");
    expectRefused(fleet, { ...input, binMetadata: online }, "PUBLISH_REFUSED");
  });

  it("refuses every bin that is not the stored one plus exactly this package", () => {
    const fleet = new FleetFixture();
    fleet.publish(app);
    const mate = binMate();
    const matePath = targetPathOf(mate);
    const input = signedInput(fleet, mate);
    const bent = (bend: (target: LooseTarget) => unknown) => (signed: LooseSigned) => {
      bend(signed.targets[matePath]!);
      return signed;
    };
    const changes: readonly ((signed: LooseSigned) => unknown)[] = [
      (signed) => ({ ...signed, targets: { [matePath]: signed.targets[matePath] } }),
      (signed) => ({ ...signed, targets: { [path]: signed.targets[path] } }),
      (signed) => ({ ...signed, targets: { ...signed.targets, [path]: signed.targets[matePath] } }),
      bent((target) => (target.length += 1)),
      bent((target) => (target.hashes.sha256 = "0".repeat(64))),
      bent((target) => (target.custom.match.epoch = 9)),
      (signed) => ({ ...signed, expires: "2021-05-07T00:00:00Z" }),
    ];
    for (const change of changes)
      expectRefused(fleet, resigned(fleet, input, change), "PUBLISH_REFUSED");
    expectRefused(
      fleet,
      resigned(fleet, input, (signed) => ({ ...signed, version: 7 })),
      "PUBLISH_CONFLICT",
    );
    expectRefused(
      fleet,
      { ...input, bin: "bin-00" === input.bin ? "bin-01" : "bin-00" },
      "PUBLISH_REFUSED",
    );
    expectRefused(fleet, { ...input, manifest: `${input.manifest} ` }, "PUBLISH_REFUSED");
    expectRefused(fleet, { ...input, manifest: "{}" }, "DOCUMENT_INVALID");
  });

  it("renews timestamp and snapshot at half of their lives", () => {
    const fleet = new FleetFixture();
    const { online } = fleet.trust;

    expect(renewCatalog(fleet.catalog, online, NOW + 11 * HOUR)).toBeUndefined();
    const renewed = renewCatalog(fleet.catalog, online, NOW + 13 * HOUR)!;
    expect(renewed["snapshot.json"]).toBe(fleet.catalog["snapshot.json"]);
    expect(catalogInForce(renewed).catalogVersion).toBe(2);
    const later = renewCatalog(renewed, online, NOW + 4 * DAY)!;
    expect(later["snapshot.json"]).not.toBe(fleet.catalog["snapshot.json"]);
    expect(catalogInForce(later).catalogVersion).toBe(3);
  });
});

describe("the publisher", () => {
  it("E1: signs nothing for a catalog that its own keys did not make", () => {
    const fleet = new FleetFixture();
    const stranger = new FleetFixture();
    const sign = (publishing: ReturnType<typeof publishingView>) => () =>
      signPackage(fleet.trust.offline, publishing, {
        manifestBytes: canonicalBytes(app),
        manifest: app,
        nowMs: NOW,
      });
    const own = publishingView(fleet.catalog, path);
    const theirs = publishingView(stranger.catalog, path);
    stranger.publish(app);
    const otherFleet: unknown = expect.objectContaining({ code: "PUBLISH_OTHER_FLEET" });

    expect(sign(theirs)).toThrow(otherFleet);
    expect(sign({ ...own, targets: theirs.targets })).toThrow(otherFleet);
    // The stranger's root in front of our own publisher key.
    const strangerRoot = keyOfSeed(stranger.trust.offline.root);
    const targets = signedMetadataText(looseFile(own.targets).signed, [strangerRoot]);
    expect(sign({ ...own, fleet: theirs.fleet, root: theirs.root, targets })).toThrow(otherFleet);
    expect(sign({ ...own, fleet: theirs.fleet })).toThrow(otherFleet);
    expect(sign({ ...own, bin: own.bin === "bin-00" ? "bin-01" : "bin-00" })).toThrow(otherFleet);
    expect(sign({ ...own, binMetadata: stranger.catalog[`${own.bin}.json`]! })).toThrow(otherFleet);
    expect(sign(own)).not.toThrow();
  });
});

describe("the director", () => {
  it("M14: signs no directive that endpoints would refuse for its size", () => {
    const fleet = new FleetFixture();
    const targets = Array.from({ length: 501 }, () => fleet.entry(app));

    expect(() =>
      signDirective({
        online: fleet.trust.online,
        endpoint: fleet.endpoint,
        version: 1,
        targets,
        nowMs: NOW,
      }),
    ).toThrow(expect.objectContaining({ code: "INPUT_INVALID" }));
  });
});
