/** Vectors for the guard: one honest file of each kind, and what must not pass in its place. */
import { describe, expect, it } from "vitest";
import { guardFile, refuseExpired } from "../../../protocol/trust/guard.ts";
import { canonicalText } from "../../../protocol/json.ts";
import {
  keyIdOf,
  sha256Of,
  type Repository,
  type TufKey,
} from "../../../protocol/trust/metadata.ts";
import {
  FleetFixture,
  NOW,
  manifestOf,
  newEndpoint,
  looseFile,
  type LooseFile,
  type LooseKey,
  type LooseRole,
  type LooseSigned,
} from "../../unit/trust/fleet-fixture.ts";

const fleet = new FleetFixture();
const app = manifestOf("app", "1.0.0");
fleet.publish(app);
const directive = fleet.directive([fleet.entry(app)]);
const bin = Object.keys(fleet.catalog).find((name) => name.startsWith("bin-"))!;

function guard(name: string, text: string, repository: Repository = "catalog"): unknown {
  return guardFile(name, text, { repository, endpoint: fleet.endpoint });
}

/** A file after `change`, spelled canonically, so that only the change can be at fault. */
function changed(text: string, change: (file: LooseFile) => void): string {
  const file = looseFile(text);
  change(file);
  return canonicalText(file);
}

function expectMalformed(name: string, text: string, repository: Repository = "catalog"): void {
  expect(() => guard(name, text, repository)).toThrow(
    expect.objectContaining({ code: "TRUST_METADATA" }),
  );
}

const catalogFile = (name: string): string => fleet.catalog[name]!;

describe("honest files", () => {
  it("pass", () => {
    for (const [name, text] of Object.entries(fleet.catalog)) guard(name, text);
    for (const [name, text] of Object.entries(directive)) guard(name, text, "director");
    guard("1.root.json", fleet.trust.fleet.directorRoot, "director");
  });
});

describe("M15: scalars", () => {
  it.each([
    "0",
    "-5",
    "1.5",
    "1e21",
    "1e3",
    "9007199254740992",
    "01",
    '"1"',
    "null",
    "true",
    "[1]",
    "1.0",
    "-0",
  ])("refuses the version %s", (version) => {
    const text = catalogFile("timestamp.json");
    const spelled = text.replace(/"version":\d+\}\}$/u, `"version":${version}}}`);
    expect(spelled).not.toBe(text);

    expectMalformed("timestamp.json", spelled);
  });

  it.each([
    "never",
    "",
    "2021-05-07",
    "2021-05-07T07:08:09",
    "2021-05-07T07:08:09.000Z",
    "2021-05-07T07:08:09+00:00",
    "2021-02-30T00:00:00Z",
    "2021-13-01T00:00:00Z",
    "2021-05-07T24:00:00Z",
    "2021-05-07t07:08:09z",
    "+02021-05-07T07:08:09Z",
    " 2021-05-07T07:08:09Z",
    "Tue, 06 May 2021 07:08:09 GMT",
    "9".repeat(20),
  ])("refuses the expiry %j", (expires) => {
    expectMalformed(
      "timestamp.json",
      changed(catalogFile("timestamp.json"), (file) => (file.signed.expires = expires)),
    );
  });
});

describe("M4: keys", () => {
  const root = catalogFile("1.root.json");

  it("refuses a key under an id that is not its digest, so none can count twice", () => {
    const alias = changed(root, (file) => {
      const [id] = file.signed.roles.root.keyids;
      file.signed.keys["a".repeat(64)] = file.signed.keys[id]!;
      file.signed.roles.root.keyids.push("a".repeat(64));
      file.signed.roles.root.threshold = 2;
    });

    expectMalformed("1.root.json", alias);
  });

  it("refuses a key under an id of the writer's choice", () => {
    const renamed = changed(root, (file) => {
      const { timestamp, snapshot } = file.signed.roles;
      const [id] = timestamp.keyids;
      file.signed.keys["a".repeat(64)] = file.signed.keys[id]!;
      delete file.signed.keys[id];
      timestamp.keyids = ["a".repeat(64)];
      snapshot.keyids = ["a".repeat(64)];
    });

    expectMalformed("1.root.json", renamed);
  });

  it.each([
    ["another algorithm", (key: LooseKey) => (key.keytype = "rsa")],
    ["another scheme", (key: LooseKey) => (key.scheme = "ecdsa-sha2-nistp256")],
    ["upper case", (key: LooseKey) => (key.keyval.public = key.keyval.public.toUpperCase())],
    ["an extra field", (key: LooseKey) => (key.note = "x")],
    ["a small-order point, E8", (key: LooseKey) => (key.keyval.public = `01${"00".repeat(31)}`)],
    [
      "a small-order point with the sign bit, E8",
      (key: LooseKey) => (key.keyval.public = `ec${"ff".repeat(31)}`),
    ],
  ])("refuses a key with %s", (_what, change) => {
    const text = changed(root, (file) => {
      const [id] = file.signed.roles.timestamp.keyids;
      const key = file.signed.keys[id]!;
      delete file.signed.keys[id];
      change(key);
      file.signed.keys[keyIdOf(key as TufKey)] = key;
      file.signed.roles.timestamp.keyids = [keyIdOf(key as TufKey)];
      file.signed.roles.snapshot.keyids = [keyIdOf(key as TufKey)];
    });

    expectMalformed("1.root.json", text);
  });

  it.each([
    ["names an unknown key", (role: LooseRole) => (role.keyids = ["b".repeat(64)])],
    ["names one key twice", (role: LooseRole) => (role.keyids = [role.keyids[0], role.keyids[0]])],
    ["has an unreachable threshold", (role: LooseRole) => (role.threshold = 2)],
    ["has threshold 0", (role: LooseRole) => (role.threshold = 0)],
    ["has no key", (role: LooseRole) => role.keyids.splice(0)],
  ])("refuses a role that %s", (_what, change) => {
    expectMalformed(
      "1.root.json",
      changed(root, (file) => change(file.signed.roles.snapshot)),
    );
  });

  it("refuses two signatures under one key id", () => {
    expectMalformed(
      "1.root.json",
      changed(root, (file) => file.signatures.push(file.signatures[0])),
    );
  });

  it("M20: refuses the root of the other repository", () => {
    expectMalformed("1.root.json", fleet.trust.fleet.directorRoot, "catalog");
    expectMalformed("1.root.json", root, "director");
  });
});

describe("M16, M17: names and delegations", () => {
  it.each([
    "constructor",
    "__proto__",
    "a/b",
    "acme/app/1/2",
    "/acme/app",
    "acme//1",
    "../app/1",
    "ACME/app/1",
    "acme/app/",
    "acme/../1",
    "acme/app/1\n2",
    "acme/app/{a,b}",
    "acme/*/1",
  ])("refuses the target name %j", (name) => {
    const rename = (text: string) => {
      const file = looseFile(text);
      const [target] = Object.values(file.signed.targets);
      file.signed.targets = Object.fromEntries([[name, target]]);
      return canonicalText(file);
    };

    expectMalformed(bin, rename(catalogFile(bin)));
    expectMalformed("targets.json", rename(directive["targets.json"]!), "director");
  });

  it("refuses a target outside its bin", () => {
    expectMalformed(bin === "bin-00.json" ? "bin-01.json" : "bin-00.json", catalogFile(bin));
  });

  it.each([
    [
      "path patterns",
      (signed: LooseSigned) =>
        (signed.delegations = {
          keys: signed.delegations.keys,
          roles: [
            { ...signed.delegations.succinct_roles, name: "x", paths: ["**"], terminating: true },
          ],
        }),
    ],
    ["other bins", (signed: LooseSigned) => (signed.delegations.succinct_roles!.bit_length = 16)],
    [
      "another prefix",
      (signed: LooseSigned) => (signed.delegations.succinct_roles!.name_prefix = "x"),
    ],
    ["both forms", (signed: LooseSigned) => (signed.delegations.roles = [])],
    [
      "its own targets",
      (signed: LooseSigned) =>
        (signed.targets["acme/app/1"] = {
          length: 1,
          hashes: { sha256: "0".repeat(64) },
          custom: { match: { epoch: 1 } },
        }),
    ],
  ])("refuses a catalog with %s", (_what, change) => {
    expectMalformed(
      "targets.json",
      changed(catalogFile("targets.json"), (file) => change(file.signed)),
    );
  });

  it.each([
    ["directive", "targets.json"],
    ["bin", bin],
  ])("refuses delegations in a %s", (kind, name) => {
    const delegations = looseFile(catalogFile("targets.json")).signed.delegations;
    const text = kind === "bin" ? catalogFile(name) : directive[name]!;
    expectMalformed(
      name,
      changed(text, (file) => (file.signed.delegations = delegations)),
      kind === "bin" ? "catalog" : "director",
    );
  });

  it.each([
    "../root.json",
    "root.json/x",
    "evil.json",
    "0.root.json",
    "bin-FF.json",
    "bin-000.json",
    "__proto__",
    "timestamp.json ",
  ])("refuses the file name %j", (name) => expectMalformed(name, catalogFile("timestamp.json")));

  it("has no bins in the director", () => expectMalformed(bin, catalogFile(bin), "director"));
});

describe("M18: one spelling only", () => {
  const text = catalogFile("timestamp.json");

  it.each([
    ["white space", ` ${text}`],
    ["a line break at its end", `${text}\n`],
    ["a repeated key", text.replace('{"_type"', '{"_type":"root","_type"')],
    ["a repeated version", text.replace('"version":', '"version":1,"version":')],
    [
      "keys in another order",
      JSON.stringify({ signed: looseFile(text).signed, signatures: looseFile(text).signatures }),
    ],
    ["an escaped letter", text.replace('"timestamp"', String.raw`"t\u0069mestamp"`)],
    ["an escaped lone surrogate", text.replace('"timestamp"', String.raw`"\ud800"`)],
    ["a lone surrogate", text.replace('"timestamp"', '"\ud800"')],
    ["a byte order mark", `\ufeff${text}`],
    ["an unknown field", changed(text, (file) => (file.signed.note = 1))],
    ["a __proto__ field", text.replace('{"_type"', '{"__proto__":{},"_type"')],
    ["another spec", changed(text, (file) => (file.signed.spec_version = "2.0.0"))],
    ["another role's type", changed(text, (file) => (file.signed["_type"] = "snapshot"))],
    ["no signature", changed(text, (file) => (file.signatures = []))],
    ["no JSON", "not json"],
    ["nothing", ""],
    ["null", "null"],
  ])("refuses %s", (_what, spelled) => {
    expect(spelled).not.toBe(text);
    expectMalformed("timestamp.json", spelled);
  });
});

describe("M13, M14, P6: size", () => {
  it("refuses oversized files at once", () => {
    for (const [name, limit] of [
      ["timestamp.json", 16],
      ["1.root.json", 64],
      ["snapshot.json", 256],
      ["targets.json", 256],
    ] as const) {
      expectMalformed(name, " ".repeat(limit * 1024 + 1));
    }
    expectMalformed("timestamp.json", "x".repeat(6_000_000));
  });

  it("refuses deep nesting without running out of stack", () => {
    expectMalformed("timestamp.json", "[".repeat(10_000));
  });

  it("refuses more targets or roles than the verifier can bear", () => {
    const many = changed(directive["targets.json"]!, (file) => {
      const [target] = Object.values(file.signed.targets);
      file.signed.targets = Object.fromEntries(
        Array.from({ length: 501 }, (_none, index) => [`a/b/${index}`, target]),
      );
    });
    expectMalformed("targets.json", many, "director");
    const meta = Object.fromEntries(
      Array.from({ length: 400 }, (_none, index) => [`bin-${index}.json`, { version: 1 }]),
    );
    expectMalformed(
      "snapshot.json",
      changed(catalogFile("snapshot.json"), (file) => Object.assign(file.signed.meta, meta)),
    );
  });

  it("M9: refuses a snapshot that does not pin targets.json by hash", () => {
    expectMalformed(
      "snapshot.json",
      changed(
        catalogFile("snapshot.json"),
        (file) => (file.signed.meta["targets.json"] = { version: 1 }),
      ),
    );
  });

  it("M12: refuses a version too far ahead of the one held", () => {
    const text = changed(
      catalogFile("timestamp.json"),
      (file) => (file.signed.version = 1_000_006),
    );
    const rules = { repository: "catalog", heldVersion: 5 } as const;

    expect(() => guardFile("timestamp.json", text, rules)).toThrow(/too far ahead/u);
    expect(guardFile("timestamp.json", text, { ...rules, heldVersion: 6 }).version).toBe(1_000_006);
  });
});

describe("M10, M19: device and time", () => {
  it("refuses a directive for another endpoint, for none, and a catalog for one", () => {
    const endpoint = newEndpoint();
    const wrong: unknown = expect.objectContaining({ code: "TRUST_WRONG_ENDPOINT" });
    for (const [name, text] of Object.entries(directive)) {
      expect(() => guardFile(name, text, { repository: "director", endpoint })).toThrow(wrong);
      expectMalformed(
        name,
        changed(text, (file) => delete file.signed["x-device"]),
        "director",
      );
    }
    expectMalformed(
      "timestamp.json",
      changed(catalogFile("timestamp.json"), (file) => (file.signed["x-device"] = endpoint)),
    );
  });

  it("judges expiry by the time it is given", () => {
    const file = guardFile("timestamp.json", catalogFile("timestamp.json"), {
      repository: "catalog",
    });

    refuseExpired(file, NOW + 86_399_000);
    expect(() => refuseExpired(file, NOW + 86_400_000)).toThrow(
      expect.objectContaining({ code: "TRUST_EXPIRED" }),
    );
  });

  it("computes key ids as the digest of the canonical key", () => {
    const key: TufKey = {
      keytype: "ed25519",
      scheme: "ed25519",
      keyval: { public: sha256Of("x") },
    };

    expect(keyIdOf(key)).toBe(
      sha256Of(`{"keytype":"ed25519","keyval":{"public":"${sha256Of("x")}"},"scheme":"ed25519"}`),
    );
  });
});
