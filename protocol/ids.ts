/**
 * Branded identifiers and their parsers: the only place where plain text becomes an id.
 * Two ids of different kinds never mix.
 */
import { base58btc } from "multiformats/bases/base58";
import { Type } from "typebox";
import { DeployError } from "./errors.ts";

/** SHA-256 in lower-case hexadecimal, 64 characters. */
export type Digest = string & { readonly __brand: "Digest" };
/** libp2p PeerId of an Ed25519 key in base58btc text: the identity of an endpoint (trust 3). */
export type EndpointId = string & { readonly __brand: "EndpointId" };
/** `vendor/product`, lower case. */
export type PackageName = string & { readonly __brand: "PackageName" };
/** A package version as its publisher writes it. */
export type PackageVersion = string & { readonly __brand: "PackageVersion" };
/** Name of a site, endpoint or host: letters, digits, dot, dash, underscore. */
export type SiteName = string & { readonly __brand: "SiteName" };
export type EndpointName = string & { readonly __brand: "EndpointName" };
/** Swarm tag: 32 bytes in hexadecimal that only members of the site learn (trust S7). */
export type SwarmTag = string & { readonly __brand: "SwarmTag" };

const DIGEST_PATTERN = "^[0-9a-f]{64}$";
const ENDPOINT_ID_PATTERN = "^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$";
const PACKAGE_NAME_PATTERN = "^[a-z0-9][a-z0-9._-]{0,63}/[a-z0-9][a-z0-9._+-]{0,63}$";
const PACKAGE_VERSION_PATTERN = "^[0-9A-Za-z][0-9A-Za-z.+~_-]{0,63}$";
const NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$";

export const DigestSchema = Type.Unsafe<Digest>(Type.String({ pattern: DIGEST_PATTERN }));
export const EndpointIdSchema = Type.Unsafe<EndpointId>(
  Type.String({ pattern: ENDPOINT_ID_PATTERN }),
);
export const PackageNameSchema = Type.Unsafe<PackageName>(
  Type.String({ pattern: PACKAGE_NAME_PATTERN }),
);
export const PackageVersionSchema = Type.Unsafe<PackageVersion>(
  Type.String({ pattern: PACKAGE_VERSION_PATTERN }),
);
export const SiteNameSchema = Type.Unsafe<SiteName>(Type.String({ pattern: NAME_PATTERN }));
export const EndpointNameSchema = Type.Unsafe<EndpointName>(Type.String({ pattern: NAME_PATTERN }));
export const SwarmTagSchema = Type.Unsafe<SwarmTag>(Type.String({ pattern: DIGEST_PATTERN }));

export function parseDigest(text: string): Digest {
  return matched(text, DIGEST_PATTERN, "digest", "64 hexadecimal digits") as Digest;
}

export function parseEndpointId(text: string): EndpointId {
  return matched(text, ENDPOINT_ID_PATTERN, "endpoint id", "a PeerId like 12D3KooW…") as EndpointId;
}

export function parsePackageName(text: string): PackageName {
  const shape = "vendor/product in lower case, such as acme/app";
  return matched(text, PACKAGE_NAME_PATTERN, "package name", shape) as PackageName;
}

export function parsePackageVersion(text: string): PackageVersion {
  const shape = "letters, digits and . + ~ _ -, such as 1.2.3";
  return matched(text, PACKAGE_VERSION_PATTERN, "package version", shape) as PackageVersion;
}

export function parseSiteName(text: string): SiteName {
  return matched(text, NAME_PATTERN, "site name", "letters, digits and . _ -") as SiteName;
}

export function parseEndpointName(text: string): EndpointName {
  return matched(text, NAME_PATTERN, "endpoint name", "letters, digits and . _ -") as EndpointName;
}

export function parseSwarmTag(text: string): SwarmTag {
  return matched(text, DIGEST_PATTERN, "swarm tag", "64 hexadecimal digits") as SwarmTag;
}

/** One version of one package. Text form: `acme/app@1.2.3`; TUF target path: `acme/app/1.2.3`. */
export interface PackageRef {
  readonly name: PackageName;
  readonly version: PackageVersion;
}

export function parsePackageRef(text: string): PackageRef {
  const at = text.lastIndexOf("@");
  if (at < 1) {
    throw new DeployError("INPUT_INVALID", {
      what: `package reference "${text}"`,
      expected: "NAME@VERSION, such as acme/app@1.2.3",
    });
  }
  return {
    name: parsePackageName(text.slice(0, at)),
    version: parsePackageVersion(text.slice(at + 1)),
  };
}

export function packageRefText(ref: PackageRef): string {
  return `${ref.name}@${ref.version}`;
}

export function targetPathOf(ref: PackageRef): string {
  return `${ref.name}/${ref.version}`;
}

export function packageRefOfTargetPath(path: string): PackageRef {
  const slash = path.lastIndexOf("/");
  return {
    name: parsePackageName(path.slice(0, Math.max(slash, 0))),
    version: parsePackageVersion(path.slice(slash + 1)),
  };
}

// libp2p peer-id specification: identity multihash (0x00, length 0x24) of the protobuf
// PublicKey { Type: Ed25519 (08 01), Data: 32 bytes (12 20 …) }.
const PEER_ID_PREFIX = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20);

/** The endpoint id of a raw 32-byte Ed25519 public key. */
export function endpointIdOf(publicKey: Uint8Array): EndpointId {
  if (publicKey.length !== 32) {
    throw new DeployError("INPUT_INVALID", { what: "public key", expected: "32 bytes" });
  }
  const bytes = new Uint8Array(PEER_ID_PREFIX.length + 32);
  bytes.set(PEER_ID_PREFIX);
  bytes.set(publicKey, PEER_ID_PREFIX.length);
  return parseEndpointId(base58btc.baseEncode(bytes));
}

/** The raw 32-byte Ed25519 public key inside an endpoint id. */
export function publicKeyOf(id: EndpointId): Uint8Array {
  return base58btc.baseDecode(id).slice(PEER_ID_PREFIX.length);
}

function matched(text: string, pattern: string, what: string, expected: string): string {
  if (!new RegExp(pattern, "u").test(text)) {
    throw new DeployError("INPUT_INVALID", { what: `${what} "${text.slice(0, 100)}"`, expected });
  }
  return text;
}
