/**
 * Certificates of the libp2p TLS handshake: a key pair of this process, and in an extension the node's
 * identity key with its signature over that pair's public key. A finished TLS 1.3 handshake then proves
 * the PeerId; no authority, no name and no date is involved.
 */
import { generateKeyPairSync, sign, verify, X509Certificate, type KeyObject } from "node:crypto";
import { ed25519PrivateKey, ed25519PublicKey, rawPublicKey } from "../../protocol/dsse.ts";
import { DeployError } from "../../protocol/errors.ts";
import { endpointIdOf, type EndpointId } from "../../protocol/ids.ts";

/** In PEM. */
export interface TlsIdentity {
  readonly key: string;
  readonly cert: string;
}

// DER tags (X.690).
const SEQUENCE = 0x30;
const SET = 0x31;
const OCTETS = 0x04;
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
/** libp2p public key extension, 1.3.6.1.4.1.53594.1.1, and the other identifiers of the certificate. */
const LIBP2P_KEY = Buffer.from("060a2b0601040183a25a0101", "hex");
const ECDSA_SHA256 = Buffer.from("06082a8648ce3d040302", "hex");
const COMMON_NAME = Buffer.from("0603550403", "hex");
const SIGNED_PREFIX = "libp2p-tls-handshake:";
/** libp2p's PublicKey message of an Ed25519 key, before its 32 bytes. */
const ED25519_PREFIX = Buffer.from("08011220", "hex");
/** A certificate must have a name; who it is says the extension. */
const NAME = Buffer.from("branchline");
/** The pair lives as long as the process, and clocks of endpoints decide nothing (RFC 5280 4.1.2.5). */
const NOT_BEFORE = "20200101000000Z";
const NOT_AFTER = "99991231235959Z";

/** A new certificate for the identity with this 32-byte seed. */
export function tlsIdentity(seed: Uint8Array): TlsIdentity {
  const pair = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const certificate = certificateOf(pair, ed25519PrivateKey(seed));
  return {
    key: pair.privateKey.export({ format: "pem", type: "pkcs8" }),
    cert: pemOf(certificate),
  };
}

/**
 * Whose certificate it is, given that the handshake proved the certificate's own key.
 * Throws SIGNATURE_INVALID where it is not signed by an Ed25519 identity.
 */
export function endpointOfCertificate(raw: Buffer | undefined): EndpointId {
  const claim = raw === undefined ? undefined : signedKeyIn(raw);
  if (raw === undefined || claim === undefined) throw unproven();
  const { publicKey, signature } = claim;
  const isEd25519 =
    publicKey.length === ED25519_PREFIX.length + 32 &&
    publicKey.subarray(0, ED25519_PREFIX.length).equals(ED25519_PREFIX);
  if (!isEd25519) throw unproven();
  const identity = publicKey.subarray(ED25519_PREFIX.length);
  const signed = signedBytes(new X509Certificate(raw).publicKey);
  if (!verify(null, signed, ed25519PublicKey(identity), signature)) throw unproven();
  return endpointIdOf(identity);
}

function unproven(): DeployError {
  return new DeployError("SIGNATURE_INVALID", { what: "the certificate of a peer" });
}

function signedBytes(key: KeyObject): Buffer {
  const spki = key.export({ format: "der", type: "spki" });
  return Buffer.concat([Buffer.from(SIGNED_PREFIX), spki]);
}

/**
 * The extension's two values. Where in the certificate they were found does not matter: the signature
 * alone binds them to the certificate's key.
 */
function signedKeyIn(raw: Buffer): { publicKey: Buffer; signature: Buffer } | undefined {
  const at = raw.indexOf(LIBP2P_KEY);
  if (at < 0) return undefined;
  let rest = raw.subarray(at + LIBP2P_KEY.length);
  // An optional `critical` flag.
  if (rest[0] === 0x01) rest = rest.subarray(3);
  const inner = valueOf(valueOf(rest, OCTETS), SEQUENCE);
  const publicKey = valueOf(inner, OCTETS);
  // Both values are shorter than 128 bytes: a tag and one byte of length stand before each.
  const signature = valueOf(inner?.subarray(2 + (publicKey?.length ?? 0)), OCTETS);
  return publicKey === undefined || signature === undefined ? undefined : { publicKey, signature };
}

/** The value of a DER element with a length of one byte; undefined for anything else. */
function valueOf(bytes: Buffer | undefined, tag: number): Buffer | undefined {
  const length = bytes?.[1];
  if (bytes === undefined || bytes[0] !== tag || length === undefined) return undefined;
  return length < 0x80 && bytes.length >= 2 + length ? bytes.subarray(2, 2 + length) : undefined;
}

function certificateOf(
  pair: { readonly publicKey: KeyObject; readonly privateKey: KeyObject },
  identity: KeyObject,
): Buffer {
  const algorithm = der(SEQUENCE, ECDSA_SHA256);
  const name = der(SEQUENCE, der(SET, der(SEQUENCE, COMMON_NAME, der(0x0c, NAME))));
  const validity = der(SEQUENCE, generalizedTime(NOT_BEFORE), generalizedTime(NOT_AFTER));
  const signature = sign(null, signedBytes(pair.publicKey), identity);
  const publicKey = Buffer.concat([ED25519_PREFIX, rawPublicKey(identity)]);
  const signedKey = der(SEQUENCE, der(OCTETS, publicKey), der(OCTETS, signature));
  const extension = der(SEQUENCE, LIBP2P_KEY, der(OCTETS, signedKey));
  const body = der(
    SEQUENCE,
    der(VERSION, integer(2)),
    integer(1),
    algorithm,
    name,
    validity,
    name,
    pair.publicKey.export({ format: "der", type: "spki" }),
    der(EXTENSIONS, der(SEQUENCE, extension)),
  );
  return der(SEQUENCE, body, algorithm, bitString(sign("sha256", body, pair.privateKey)));
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), body]);
}

function integer(value: number): Buffer {
  return der(0x02, Buffer.of(value));
}

function bitString(bytes: Buffer): Buffer {
  return der(0x03, Buffer.of(0), bytes);
}

function generalizedTime(text: string): Buffer {
  return der(0x18, Buffer.from(text));
}

function pemOf(certificate: Buffer): string {
  const lines = certificate.toString("base64").match(/.{1,64}/gu) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}
