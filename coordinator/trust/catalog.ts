/**
 * The catalog: publisher-signed bins of package versions under an online snapshot. The coordinator adds
 * what a publisher has signed, after checking all of it, and can sign no package itself (trust M1, M3).
 */
import type { MetadataFiles } from "../../protocol/check-in.ts";
import { DeployError } from "../../protocol/errors.ts";
import {
  packageRefOfTargetPath,
  packageRefText,
  targetPathOf,
  type Digest,
} from "../../protocol/ids.ts";
import { readJson } from "../../protocol/json.ts";
import { MANIFEST_MAX_BYTES } from "../../protocol/limits.ts";
import { matchOf, parseManifest, type Manifest } from "../../protocol/manifest.ts";
import type { PackageInput, Publishing } from "../../protocol/operator-api.ts";
import { guardFile } from "../../protocol/trust/guard.ts";
import {
  binOf,
  isSameJson,
  sha256Of,
  type Bin,
  type Delegation,
  type Signed,
} from "../../protocol/trust/metadata.ts";
import { isSignedBy } from "../../protocol/trust/signatures.ts";
import {
  binIn,
  delegationOf,
  fileText,
  isDue,
  signCatalogHead,
  timestampOf,
  versionsIn,
} from "./catalog-head.ts";
import { EXPIRY_MS } from "./expiry.ts";
import type { OnlineKeys } from "./fleet-keys.ts";
import { fleetIdOf } from "./init-trust.ts";

/** What a publisher needs to sign the next version of the bin of `targetPath`. */
export function publishingView(catalog: MetadataFiles, targetPath: string): Publishing {
  packageRefOfTargetPath(targetPath);
  const bin = binOf(targetPath);
  const binMetadata = catalog[`${bin}.json`];
  return {
    fleet: fleetIdOf(fileText(catalog, "1.root.json")),
    root: newestRootText(catalog),
    targets: fileText(catalog, "targets.json"),
    bin,
    ...(binMetadata === undefined ? {} : { binMetadata }),
  };
}

export interface AddedPackage {
  /** The same object where this very package was there before. */
  readonly catalog: MetadataFiles;
  readonly manifest: Manifest;
  /** SHA-256 of the manifest's bytes. */
  readonly digest: Digest;
}

/**
 * The catalog with one more package version. Throws PUBLISH_REFUSED, PUBLISH_CONFLICT,
 * CATALOG_VERSION_TAKEN, TRUST_METADATA or DOCUMENT_INVALID; then nothing has changed.
 */
export function addPackage(
  catalog: MetadataFiles,
  input: PackageInput,
  online: OnlineKeys,
  nowMs: number,
): AddedPackage {
  const manifest = parseManifest(readJson("the manifest", input.manifest, MANIFEST_MAX_BYTES));
  const digest = sha256Of(input.manifest);
  const path = targetPathOf(manifest);
  const what = packageRefText(manifest);
  if (input.bin !== binOf(path)) throw refused(what, `it belongs to ${binOf(path)}`);
  const stored = binIn(catalog, input.bin);
  const taken = stored?.signed.targets[path];
  if (taken !== undefined) {
    if (taken.hashes.sha256 !== digest) throw new DeployError("CATALOG_VERSION_TAKEN", { what });
    return { catalog, manifest, digest };
  }
  const next = givenBin(input);
  refuseSigner(what, next, delegationOf(catalog));
  if (isDue(next.signed.expires, EXPIRY_MS.targets, nowMs)) throw refused(what, "it expires soon");
  refuseOtherChange(what, next.signed, stored?.signed, path);
  refuseTarget(what, next.signed.targets[path], input.manifest, manifest);
  const versions = { ...versionsIn(catalog), [`${input.bin}.json`]: next.signed.version };
  const files = { ...catalog, [`${input.bin}.json`]: input.binMetadata };
  return { catalog: signCatalogHead(files, versions, online, nowMs), manifest, digest };
}

/** The files that prove `targetPaths` to a node which holds the catalog root `heldRootVersion`. */
export function catalogBundle(
  catalog: MetadataFiles,
  targetPaths: readonly string[],
  heldRootVersion: number,
): MetadataFiles {
  const bins = new Set(targetPaths.map((path) => `${binOf(path)}.json`));
  const roots = Array.from(
    { length: Math.max(newestRootVersion(catalog) - heldRootVersion, 0) },
    (_none, index) => `${heldRootVersion + 1 + index}.root.json`,
  );
  const names = ["timestamp.json", "snapshot.json", "targets.json", ...bins, ...roots];
  return Object.fromEntries(
    names.flatMap((name) => {
      const text = catalog[name];
      return text === undefined ? [] : [[name, text] as const];
    }),
  );
}

/** Version and digest of the timestamp in force, as freshness statements name them. */
export function catalogInForce(catalog: MetadataFiles): {
  readonly catalogVersion: number;
  readonly catalogDigest: Digest;
} {
  return {
    catalogVersion: timestampOf(catalog).version,
    catalogDigest: sha256Of(fileText(catalog, "timestamp.json")),
  };
}

export function newestRootText(catalog: MetadataFiles): string {
  return fileText(catalog, `${newestRootVersion(catalog)}.root.json`);
}

function newestRootVersion(catalog: MetadataFiles): number {
  let version = 1;
  while (catalog[`${version + 1}.root.json`] !== undefined) version++;
  return version;
}

function givenBin(input: PackageInput): Signed<Bin> {
  const name = `${input.bin}.json`;
  const guarded = guardFile(name, input.binMetadata, { repository: "catalog" });
  if (guarded.kind !== "bin") throw refused(name, "it is not a bin");
  return guarded.file;
}

function refuseSigner(what: string, bin: Signed<Bin>, delegation: Delegation): void {
  const { keys, succinct_roles: role } = delegation.delegations;
  if (!isSignedBy(bin, role, keys)) throw refused(what, "no publisher of this fleet has signed it");
}

// A publisher adds one version at a time; a second publisher's work in between must not get lost.
function refuseOtherChange(what: string, next: Bin, stored: Bin | undefined, path: string): void {
  if (next.version !== (stored?.version ?? 0) + 1) {
    throw new DeployError("PUBLISH_CONFLICT", { what });
  }
  const { [path]: _added, ...others } = next.targets;
  if (!isSameJson(others, stored?.targets ?? {})) {
    throw refused(what, "the bin changes other packages too");
  }
}

function refuseTarget(
  what: string,
  target: Bin["targets"][string] | undefined,
  text: string,
  manifest: Manifest,
): void {
  if (target === undefined) throw refused(what, "the bin does not hold it");
  const isExact =
    target.length === Buffer.byteLength(text) && target.hashes.sha256 === sha256Of(text);
  if (!isExact) throw refused(what, "the bin names another manifest");
  if (!isSameJson(target.custom.match, matchOf(manifest))) {
    throw refused(what, "the bin describes it differently from its manifest");
  }
}

function refused(what: string, problem: string): DeployError {
  return new DeployError("PUBLISH_REFUSED", { what, problem });
}
