/**
 * The publisher's side: signs one package version into its bin, or the whole catalog again, offline. Runs on the
 * packager's machine and trusts nothing that the coordinator says about its catalog.
 */
import { DeployError } from "../../protocol/errors.ts";
import { packageRefText, targetPathOf } from "../../protocol/ids.ts";
import { matchOf, type Manifest } from "../../protocol/manifest.ts";
import type {
  PackageInput,
  Publishing,
  Renewal,
  RenewalInput,
} from "../../protocol/operator-api.ts";
import { guardFile, guardRoot } from "../../protocol/trust/guard.ts";
import {
  SPEC_VERSION,
  binOf,
  instantText,
  isSameJson,
  keyIdOf,
  sha256Of,
  type Bin,
  type Delegation,
} from "../../protocol/trust/metadata.ts";
import { isSignedBy, signedMetadataText, tufKeyOf } from "../../protocol/trust/signatures.ts";
import { EXPIRY_MS } from "./expiry.ts";
import { keyOfSeed, type OfflineKeys } from "./fleet-keys.ts";
import { fleetIdOf } from "./init-trust.ts";

export interface PackageToSign {
  /** Exactly what will be stored and hashed; UTF-8 JSON. */
  readonly manifestBytes: Uint8Array;
  readonly manifest: Manifest;
  readonly nowMs: number;
}

/**
 * Signs the next version of the bin. Throws PUBLISH_OTHER_FLEET before anything is signed where the
 * catalog is not the one that these very keys made, and CATALOG_VERSION_TAKEN for other content under
 * a known version.
 */
export function signPackage(
  offline: OfflineKeys,
  publishing: Publishing,
  { manifestBytes, manifest, nowMs }: PackageToSign,
): PackageInput {
  const delegation = trustedDelegation(offline, publishing);
  const path = targetPathOf(manifest);
  const bin = binOf(path);
  if (publishing.bin !== bin) throw otherFleet(`it wants ${path} in ${publishing.bin}`);
  const stored = storedBin(publishing, delegation);
  const target = {
    length: manifestBytes.byteLength,
    hashes: { sha256: sha256Of(manifestBytes) },
    custom: { match: matchOf(manifest) },
  };
  const taken = stored?.targets[path];
  if (taken !== undefined && !isSameJson(taken, target)) {
    throw new DeployError("CATALOG_VERSION_TAKEN", { what: packageRefText(manifest) });
  }
  const signed = {
    _type: "targets",
    spec_version: SPEC_VERSION,
    version: (stored?.version ?? 0) + 1,
    expires: instantText(nowMs + EXPIRY_MS.targets),
    targets: { ...stored?.targets, [path]: target },
  };
  return {
    manifest: new TextDecoder("utf-8", { fatal: true }).decode(manifestBytes),
    bin,
    binMetadata: signedMetadataText(signed, [keyOfSeed(offline.publisher)]),
  };
}

/**
 * Signs the whole catalog again with a new expiry: targets.json with the root key, every bin with the
 * publisher key. Throws PUBLISH_OTHER_FLEET before anything is signed where these keys did not make it.
 */
export function signRenewal(offline: OfflineKeys, renewal: Renewal, nowMs: number): RenewalInput {
  const delegation = trustedDelegation(offline, renewal);
  const expires = instantText(nowMs + EXPIRY_MS.targets);
  const again = (signed: Bin | Delegation, seed: string): string =>
    signedMetadataText({ ...signed, version: signed.version + 1, expires }, [keyOfSeed(seed)]);
  const stored = Object.entries(renewal.bins).map(
    ([name, text]) => [name, publishedBin(name, text, delegation)] as const,
  );
  return {
    targets: again(delegation, offline.root),
    bins: Object.fromEntries(stored.map(([name, bin]) => [name, again(bin, offline.publisher)])),
  };
}

// A lying coordinator must not collect signatures for another fleet's catalog: the root has to be signed
// by our own root key, and it must delegate to our own publisher key.
function trustedDelegation(
  offline: OfflineKeys,
  publishing: Pick<Publishing, "fleet" | "root" | "targets">,
): Delegation {
  const root = guardRoot(publishing.root, "catalog");
  if (root.signed.version === 1 && fleetIdOf(publishing.root) !== publishing.fleet) {
    throw otherFleet("the fleet id is not that of its root");
  }
  const rootKey = tufKeyOf(keyOfSeed(offline.root));
  const own = { keyids: [keyIdOf(rootKey)], threshold: 1 };
  if (!isSignedBy(root, own, { [keyIdOf(rootKey)]: rootKey })) {
    throw otherFleet("its root is signed by another key");
  }
  const guarded = guardFile("targets.json", publishing.targets, { repository: "catalog" });
  if (guarded.kind !== "delegation") throw otherFleet("its targets are malformed");
  if (!isSignedBy(guarded.file, root.signed.roles.targets, root.signed.keys)) {
    throw otherFleet("its targets are not signed under its root");
  }
  const publisherId = keyIdOf(tufKeyOf(keyOfSeed(offline.publisher)));
  if (!guarded.file.signed.delegations.succinct_roles.keyids.includes(publisherId)) {
    throw otherFleet("it does not trust the publisher key of the key file");
  }
  return guarded.file.signed;
}

function storedBin(publishing: Publishing, delegation: Delegation): Bin | undefined {
  const { bin, binMetadata } = publishing;
  return binMetadata === undefined
    ? undefined
    : publishedBin(`${bin}.json`, binMetadata, delegation);
}

function publishedBin(name: string, text: string, delegation: Delegation): Bin {
  const guarded = guardFile(name, text, {
    repository: "catalog",
    heldVersion: Number.MAX_SAFE_INTEGER,
  });
  if (guarded.kind !== "bin") throw otherFleet(`${name} is malformed`);
  // What the coordinator calls the stored bin is signed again: it must be a publisher's work already.
  const { keys, succinct_roles: role } = delegation.delegations;
  if (!isSignedBy(guarded.file, role, keys))
    throw otherFleet(`${name} has no publisher's signature`);
  return guarded.file.signed;
}

function otherFleet(problem: string): DeployError {
  return new DeployError("PUBLISH_OTHER_FLEET", { problem });
}
