/**
 * The online half of the catalog: snapshot and timestamp say which versions of the offline-signed files
 * are in force. Their key can name versions and nothing else (trust M3).
 */
import type { MetadataFiles } from "../../protocol/check-in.ts";
import { guardFile } from "../../protocol/trust/guard.ts";
import {
  SPEC_VERSION,
  instantText,
  sha256Of,
  type Delegation,
  type Bin,
  type Signed,
  type Snapshot,
  type Timestamp,
} from "../../protocol/trust/metadata.ts";
import { signedMetadataText } from "../../protocol/trust/signatures.ts";
import { DeployError } from "../../protocol/errors.ts";
import { keyOfSeed, type OnlineKeys } from "./fleet-keys.ts";
import { EXPIRY_MS } from "./expiry.ts";

/** Name and version of every offline-signed file that has one. */
export type FileVersions = Readonly<Record<string, number>>;

/** The catalog with a new snapshot of `versions` and a new timestamp. */
export function signCatalogHead(
  catalog: MetadataFiles,
  versions: FileVersions,
  online: OnlineKeys,
  nowMs: number,
): MetadataFiles {
  const key = keyOfSeed(online.catalogOnline);
  const snapshot = signedMetadataText(
    {
      _type: "snapshot",
      spec_version: SPEC_VERSION,
      version: (catalog["snapshot.json"] === undefined ? 0 : snapshotOf(catalog).version) + 1,
      expires: instantText(nowMs + EXPIRY_MS.catalogSnapshot),
      meta: Object.fromEntries(
        Object.entries(versions).map(([name, version]) => [
          name,
          name === "targets.json" ? pinned(fileText(catalog, name), version) : { version },
        ]),
      ),
    },
    [key],
  );
  return signCatalogTimestamp({ ...catalog, "snapshot.json": snapshot }, online, nowMs);
}

/** The catalog with a new timestamp of the snapshot it has. */
export function signCatalogTimestamp(
  catalog: MetadataFiles,
  online: OnlineKeys,
  nowMs: number,
): MetadataFiles {
  const version = catalog["timestamp.json"] === undefined ? 0 : timestampOf(catalog).version;
  const timestamp = signedMetadataText(
    {
      _type: "timestamp",
      spec_version: SPEC_VERSION,
      version: version + 1,
      expires: instantText(nowMs + EXPIRY_MS.catalogTimestamp),
      meta: {
        "snapshot.json": pinned(fileText(catalog, "snapshot.json"), snapshotOf(catalog).version),
      },
    },
    [keyOfSeed(online.catalogOnline)],
  );
  return { ...catalog, "timestamp.json": timestamp };
}

/**
 * Keeps the catalog in force: signs again what is past half of its life. Undefined while nothing is due.
 */
export function renewCatalog(
  catalog: MetadataFiles,
  online: OnlineKeys,
  nowMs: number,
): MetadataFiles | undefined {
  const snapshot = snapshotOf(catalog);
  if (isDue(snapshot.expires, EXPIRY_MS.catalogSnapshot, nowMs)) {
    return signCatalogHead(catalog, versionsIn(catalog), online, nowMs);
  }
  const isTimestampDue = isDue(timestampOf(catalog).expires, EXPIRY_MS.catalogTimestamp, nowMs);
  return isTimestampDue ? signCatalogTimestamp(catalog, online, nowMs) : undefined;
}

/** Whether less than half of a document's life is left. */
export function isDue(expires: string, lifeMs: number, nowMs: number): boolean {
  return Date.parse(expires) - nowMs < lifeMs / 2;
}

/** The versions that the stored snapshot names. */
export function versionsIn(catalog: MetadataFiles): FileVersions {
  return Object.fromEntries(
    Object.entries(snapshotOf(catalog).meta).map(([name, { version }]) => [name, version]),
  );
}

export function timestampOf(catalog: MetadataFiles): Timestamp {
  const guarded = guardedIn(catalog, "timestamp.json");
  if (guarded.kind !== "timestamp") throw missing("timestamp.json");
  return guarded.file.signed;
}

export function snapshotOf(catalog: MetadataFiles): Snapshot {
  const guarded = guardedIn(catalog, "snapshot.json");
  if (guarded.kind !== "snapshot") throw missing("snapshot.json");
  return guarded.file.signed;
}

export function delegationOf(catalog: MetadataFiles): Delegation {
  const guarded = guardedIn(catalog, "targets.json");
  if (guarded.kind !== "delegation") throw missing("targets.json");
  return guarded.file.signed;
}

/** The stored bin; undefined while it has no target. */
export function binIn(catalog: MetadataFiles, bin: string): Signed<Bin> | undefined {
  if (catalog[`${bin}.json`] === undefined) return undefined;
  const guarded = guardedIn(catalog, `${bin}.json`);
  if (guarded.kind !== "bin") throw missing(bin);
  return guarded.file;
}

export function fileText(catalog: MetadataFiles, name: string): string {
  const text = catalog[name];
  if (text === undefined) throw missing(name);
  return text;
}

/** Version, length and digest of a metadata file, as its parent names it (trust M9). */
export function pinned(text: string, version: number) {
  return { version, length: Buffer.byteLength(text), hashes: { sha256: sha256Of(text) } };
}

// The coordinator reads its own files through the same guard, with no floor to compare with.
function guardedIn(catalog: MetadataFiles, name: string) {
  const text = fileText(catalog, name);
  return guardFile(name, text, { repository: "catalog", heldVersion: Number.MAX_SAFE_INTEGER });
}

function missing(name: string): DeployError {
  return new DeployError("TRUST_INCOMPLETE", { what: `the catalog's ${name}` });
}
