/**
 * The birth of a fleet: keys, both roots, an empty catalog and the public
 * description whose digest every join token carries.
 */
import type { KeyObject } from "node:crypto";
import type { Fleet, MetadataFiles } from "../../protocol/check-in.ts";
import { CATALOG_BIN_BITS } from "../../protocol/limits.ts";
import {
  BIN_PREFIX,
  SPEC_VERSION,
  instantText,
  keyIdOf,
  sha256Of,
  type Repository,
} from "../../protocol/trust/metadata.ts";
import { signedMetadataText, tufKeyOf } from "../../protocol/trust/signatures.ts";
import { keyOfSeed, makeFleetKeys, type OfflineKeys, type OnlineKeys } from "./fleet-keys.ts";
import { EXPIRY_MS } from "./expiry.ts";
import { signCatalogHead } from "./catalog-head.ts";
import type { TlsCertificate } from "./tls-certificate.ts";

export interface InitTrustInput {
  readonly nowMs: number;
  /** The coordinator's own certificate; absent behind a proxy that ends TLS with a public one. */
  readonly tls?: TlsCertificate;
}

export interface FleetTrust {
  readonly offline: OfflineKeys;
  readonly online: OnlineKeys;
  readonly fleet: Fleet;
  /** `1.root.json`, `targets.json`, `snapshot.json`, `timestamp.json`; bins come with packages. */
  readonly catalog: MetadataFiles;
}

export function initTrust({ nowMs, tls }: InitTrustInput): FleetTrust {
  const { offline, online } = makeFleetKeys(tls?.privateKeyPem);
  const root = keyOfSeed(offline.root);
  const publisher = keyOfSeed(offline.publisher);
  const catalogRoot = rootText("catalog", root, root, keyOfSeed(online.catalogOnline), nowMs);
  const director = keyOfSeed(online.director);
  const fleet: Fleet = {
    v: 1,
    fleet: fleetIdOf(catalogRoot),
    catalogRoot,
    directorRoot: rootText("director", root, director, director, nowMs),
    ...(tls === undefined ? {} : { tlsCertificate: tls.certificatePem }),
  };
  const unsigned: MetadataFiles = {
    "1.root.json": catalogRoot,
    "targets.json": delegationText(root, publisher, nowMs),
  };
  const catalog = signCatalogHead(unsigned, { "targets.json": 1 }, online, nowMs);
  return { offline, online, fleet, catalog };
}

/** First 16 hexadecimal digits of the digest of the catalog's first root. */
export function fleetIdOf(catalogRoot: string): string {
  return sha256Of(catalogRoot).slice(0, 16);
}

function rootText(
  repository: Repository,
  root: KeyObject,
  targets: KeyObject,
  online: KeyObject,
  nowMs: number,
): string {
  const keys = new Map(
    [root, targets, online].map((key) => [keyIdOf(tufKeyOf(key)), tufKeyOf(key)]),
  );
  const signed = {
    _type: "root",
    spec_version: SPEC_VERSION,
    version: 1,
    expires: instantText(nowMs + EXPIRY_MS.root),
    consistent_snapshot: false,
    keys: Object.fromEntries(keys),
    roles: {
      root: roleOf(root),
      targets: roleOf(targets),
      snapshot: roleOf(online),
      timestamp: roleOf(online),
    },
    "x-repository": repository,
  };
  return signedMetadataText(signed, [root]);
}

// All packages lie in 2^8 hash bins that the publisher signs; the coordinator signs none (trust M3).
function delegationText(root: KeyObject, publisher: KeyObject, nowMs: number): string {
  const key = tufKeyOf(publisher);
  const signed = {
    _type: "targets",
    spec_version: SPEC_VERSION,
    version: 1,
    expires: instantText(nowMs + EXPIRY_MS.targets),
    targets: {},
    delegations: {
      keys: { [keyIdOf(key)]: key },
      succinct_roles: {
        ...roleOf(publisher),
        bit_length: CATALOG_BIN_BITS,
        name_prefix: BIN_PREFIX,
      },
    },
  };
  return signedMetadataText(signed, [root]);
}

function roleOf(key: KeyObject): {
  readonly keyids: readonly string[];
  readonly threshold: number;
} {
  return { keyids: [keyIdOf(tufKeyOf(key))], threshold: 1 };
}
