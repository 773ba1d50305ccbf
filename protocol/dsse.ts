/**
 * DSSE envelopes (one Ed25519 signature) for one-shot statements: check-ins, freshness, memberships,
 * rosters, reports. Documents that must be trusted over time are TUF metadata instead (trust 2.1).
 */
import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from "node:crypto";
import { Type, type Static } from "typebox";
import { DeployError } from "./errors.ts";
import { canonicalBytes, readJson, type Parse } from "./json.ts";

/** What a statement is; the type is signed, so one kind can never pass for another. */
export type StatementType = "check-in" | "freshness" | "membership" | "roster" | "report" | "join";

export const EnvelopeSchema = Type.Object(
  {
    payloadType: Type.String({ maxLength: 100 }),
    payload: Type.String({ maxLength: 1_400_000, pattern: "^[A-Za-z0-9+/=]*$" }),
    signature: Type.String({ maxLength: 100, pattern: "^[A-Za-z0-9+/=]*$" }),
  },
  { additionalProperties: false },
);
/** A signed statement; `payload` and `signature` are base64. */
export type Envelope = Static<typeof EnvelopeSchema>;

const ED25519_SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");
const ED25519_PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

/** Public key object of 32 raw bytes. */
export function ed25519PublicKey(raw: Uint8Array): KeyObject {
  const key = Buffer.concat([ED25519_SPKI_PREFIX, raw]);
  return createPublicKey({ key, format: "der", type: "spki" });
}

/** Private key object of a 32-byte seed. */
export function ed25519PrivateKey(seed: Uint8Array): KeyObject {
  const key = Buffer.concat([ED25519_PKCS8_PREFIX, seed]);
  return createPrivateKey({ key, format: "der", type: "pkcs8" });
}

/** The raw 32 public bytes of an Ed25519 key object, public or private. */
export function rawPublicKey(key: KeyObject): Buffer {
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  return publicKey.export({ format: "der", type: "spki" }).subarray(-32);
}

/** Signs the canonical bytes of `statement`. */
export function signStatement(type: StatementType, statement: unknown, key: KeyObject): Envelope {
  const payload = canonicalBytes(statement);
  const payloadType = mediaType(type);
  return {
    payloadType,
    payload: payload.toString("base64"),
    signature: sign(null, preAuthEncoding(payloadType, payload), key).toString("base64"),
  };
}

/**
 * The statement inside `envelope`, after its signature by `key` has been checked.
 * Throws SIGNATURE_INVALID, DOCUMENT_INVALID or DOCUMENT_TOO_LARGE.
 */
export function openStatement<T>(
  type: StatementType,
  envelope: Envelope,
  key: KeyObject,
  parse: Parse<T>,
  limitBytes: number,
): T {
  const payload = Buffer.from(envelope.payload, "base64");
  const signature = Buffer.from(envelope.signature, "base64");
  const isOurs =
    envelope.payloadType === mediaType(type) &&
    verify(null, preAuthEncoding(envelope.payloadType, payload), key, signature);
  if (!isOurs) throw new DeployError("SIGNATURE_INVALID", { what: `the ${type} statement` });
  return parse(readJson(`the ${type} statement`, payload, limitBytes));
}

/** The statement of an envelope whose signer is named inside it: read, then verify with `openStatement`. */
export function peekStatement(envelope: Envelope, limitBytes: number): unknown {
  return readJson("the statement", Buffer.from(envelope.payload, "base64"), limitBytes);
}

function mediaType(type: StatementType): string {
  return `application/vnd.branchline.${type}+json`;
}

// DSSE 1.0 pre-authentication encoding.
function preAuthEncoding(type: string, payload: Uint8Array): Buffer {
  const typeLength = Buffer.byteLength(type);
  return Buffer.concat([Buffer.from(`DSSEv1 ${typeLength} ${type} ${payload.length} `), payload]);
}
