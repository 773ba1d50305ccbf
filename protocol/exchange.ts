/**
 * The LAN exchange between nodes of one site: the only definition of its messages.
 *
 * Control stream (`CONTROL_PROTOCOL`, one per pair): frames of varint length + type byte + fields.
 * HELLO comes first in both directions; nothing else is answered before it has been verified.
 * Bulk stream (`BULK_PROTOCOL`, opened by the one who asks): fixed 40-byte requests one way, 9-byte
 * headers with seal and payload the other way. One header, its seal and its payload are one send.
 */
import { verify } from "node:crypto";
import { Bitmap } from "./bitmap.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import { ed25519PublicKey, EnvelopeSchema, type Envelope } from "./dsse.ts";
import { DeployError } from "./errors.ts";
import {
  endpointIdOf,
  parseDigest,
  parseSwarmTag,
  publicKeyOf,
  type Digest,
  type EndpointId,
  type SwarmTag,
} from "./ids.ts";
import { canonicalBytes, parserOf, readJson } from "./json.ts";
import { FRAGMENT_WIRE_MAX_BYTES } from "./limits.ts";

export const CONTROL_PROTOCOL = "/branchline/control/1";
export const BULK_PROTOCOL = "/branchline/bulk/3";
export const EXCHANGE_VERSION = 1;

/** A control frame: the largest is a HAVE_MAP of 4.3 M fragments in short runs; real ones are < 4 KB. */
export const CONTROL_FRAME_MAX_BYTES = 1024 * 1024;
/** Fragments of one package: 4,096 pages of 1,024 entries and their pages. */
export const SWARM_MAX_FRAGMENTS = 4096 * 1024 + 8192;
const ADDRESSES_MAX_COUNT = 16;
const ADDRESS_MAX_BYTES = 200;
const MEMBERSHIP_MAX_BYTES = 4096;
const PEERS_MAX_COUNT = 32;
export const HAVE_MAX_COUNT = 4096;

/** A peer as a tracker names it. */
export interface PeerAddress {
  readonly endpoint: EndpointId;
  readonly addresses: readonly string[];
}

export type ControlMessage =
  | {
      readonly type: "hello";
      readonly version: number;
      readonly membership: Envelope;
      readonly addresses: readonly string[];
    }
  /** Joins a swarm with what the sender has. `isAnswer` ends the exchange of maps. */
  | {
      readonly type: "join";
      readonly swarm: SwarmTag;
      readonly isAnswer: boolean;
      readonly have: Bitmap;
    }
  | { readonly type: "have"; readonly swarm: SwarmTag; readonly indices: readonly number[] }
  | { readonly type: "leave"; readonly swarm: SwarmTag }
  /** Tracker's answer to a join: others of the same swarm. */
  | { readonly type: "peers"; readonly swarm: SwarmTag; readonly peers: readonly PeerAddress[] };

const TYPE_BYTES = { hello: 1, join: 2, have: 3, leave: 4, peers: 5 } as const;
const parseEnvelope = parserOf("the membership envelope", EnvelopeSchema);

/** One whole frame: varint length, type, fields. */
export function encodeControl(message: ControlMessage): Buffer {
  const writer = new ByteWriter().byte(TYPE_BYTES[message.type]);
  switch (message.type) {
    case "hello": {
      writer.byte(message.version).sized(canonicalBytes(message.membership));
      encodeAddresses(writer, message.addresses);
      break;
    }
    case "join": {
      writer.fixed(tagBytes(message.swarm)).byte(message.isAnswer ? 1 : 0);
      message.have.encode(writer);
      break;
    }
    case "have": {
      writer.fixed(tagBytes(message.swarm)).varint(message.indices.length);
      for (const index of message.indices) writer.varint(index);
      break;
    }
    case "leave": {
      writer.fixed(tagBytes(message.swarm));
      break;
    }
    case "peers": {
      writer.fixed(tagBytes(message.swarm)).varint(message.peers.length);
      for (const peer of message.peers) {
        writer.fixed(publicKeyOf(peer.endpoint));
        encodeAddresses(writer, peer.addresses);
      }
      break;
    }
    default:
      message satisfies never;
  }
  const body = writer.finish();
  return new ByteWriter().sized(body).finish();
}

/** The body of a frame, without its length. Throws DOCUMENT_INVALID on anything else. */
export function decodeControl(body: Buffer): ControlMessage {
  const reader = new ByteReader("a control message", body);
  const message = decodedBody(reader);
  reader.end();
  return message;
}

function decodedBody(reader: ByteReader): ControlMessage {
  const type = reader.byte();
  switch (type) {
    case TYPE_BYTES.hello: {
      const version = reader.byte();
      const envelope = readJson(
        "the membership",
        reader.sized(MEMBERSHIP_MAX_BYTES),
        MEMBERSHIP_MAX_BYTES,
      );
      return {
        type: "hello",
        version,
        membership: parseEnvelope(envelope),
        addresses: decodedAddresses(reader),
      };
    }
    case TYPE_BYTES.join: {
      const swarm = decodedTag(reader);
      const isAnswer = reader.byte() === 1;
      return { type: "join", swarm, isAnswer, have: Bitmap.decode(reader, SWARM_MAX_FRAGMENTS) };
    }
    case TYPE_BYTES.have: {
      const swarm = decodedTag(reader);
      const count = reader.varint(HAVE_MAX_COUNT);
      const indices = Array.from({ length: count }, () => reader.varint(SWARM_MAX_FRAGMENTS));
      return { type: "have", swarm, indices };
    }
    case TYPE_BYTES.leave:
      return { type: "leave", swarm: decodedTag(reader) };
    case TYPE_BYTES.peers: {
      const swarm = decodedTag(reader);
      const count = reader.varint(PEERS_MAX_COUNT);
      const peers = Array.from({ length: count }, () => ({
        endpoint: endpointIdOf(reader.fixed(32)),
        addresses: decodedAddresses(reader),
      }));
      return { type: "peers", swarm, peers };
    }
    default:
      throw reader.invalid(`unknown type ${type}`);
  }
}

function encodeAddresses(writer: ByteWriter, addresses: readonly string[]): void {
  const few = addresses.slice(0, ADDRESSES_MAX_COUNT);
  writer.varint(few.length);
  for (const address of few) writer.text(address);
}

function decodedAddresses(reader: ByteReader): readonly string[] {
  const count = reader.varint(ADDRESSES_MAX_COUNT);
  return Array.from({ length: count }, () => reader.text(ADDRESS_MAX_BYTES));
}

function tagBytes(tag: SwarmTag): Buffer {
  return Buffer.from(tag, "hex");
}

function decodedTag(reader: ByteReader): SwarmTag {
  return parseSwarmTag(reader.fixed(32).toString("hex"));
}

/** Bulk request: id (4) | swarm tag (32) | fragment index (4), big endian. */
export const BULK_REQUEST_BYTES = 40;
/**
 * In place of an index: takes back the request with the same id. Where its answer has not begun it is
 * `cancelled`; each request has exactly one answer, and a cancel none.
 */
export const BULK_CANCEL_INDEX = 0xffff_ffff;
/** In place of an index: the payload with the same id is here. Whoever sends learns how fast its port is. */
export const BULK_RECEIVED_INDEX = 0xffff_fffe;
/** Bulk answer header: id (4) | status (1) | payload length (4). */
export const BULK_HEADER_BYTES = 9;

export interface BulkRequest {
  readonly id: number;
  readonly swarm: SwarmTag;
  readonly index: number;
}

/** `ok` carries a seal and the wire bytes; the others carry neither. */
export type BulkStatus = "ok" | "absent" | "busy" | "cancelled";
const BULK_STATUSES: readonly BulkStatus[] = ["ok", "absent", "busy", "cancelled"];

export interface BulkHeader {
  readonly id: number;
  readonly status: BulkStatus;
  readonly payloadBytes: number;
}

export function encodeBulkRequest(request: BulkRequest): Buffer {
  const bytes = Buffer.alloc(BULK_REQUEST_BYTES);
  bytes.writeUInt32BE(request.id, 0);
  bytes.write(request.swarm, 4, "hex");
  bytes.writeUInt32BE(request.index, 36);
  return bytes;
}

export function decodeBulkRequest(bytes: Buffer): BulkRequest {
  return {
    id: bytes.readUInt32BE(0),
    swarm: parseSwarmTag(bytes.toString("hex", 4, 36)),
    index: bytes.readUInt32BE(36),
  };
}

export function encodeBulkHeader(header: BulkHeader): Buffer {
  const bytes = Buffer.alloc(BULK_HEADER_BYTES);
  bytes.writeUInt32BE(header.id, 0);
  bytes.writeUInt8(BULK_STATUSES.indexOf(header.status), 4);
  bytes.writeUInt32BE(header.payloadBytes, 5);
  return bytes;
}

/** Throws DOCUMENT_INVALID on an unknown status or a payload that no fragment has. */
export function decodeBulkHeader(bytes: Buffer): BulkHeader {
  const status = BULK_STATUSES[bytes.readUInt8(4)];
  const payloadBytes = bytes.readUInt32BE(5);
  const isPossible =
    status !== undefined &&
    payloadBytes <= FRAGMENT_WIRE_MAX_BYTES &&
    (status === "ok") === payloadBytes > 0;
  if (!isPossible) {
    throw new DeployError("DOCUMENT_INVALID", {
      what: "a bulk header",
      problem: "impossible status or length",
    });
  }
  return { id: bytes.readUInt32BE(0), status, payloadBytes };
}

/** Between an `ok` header and its payload: digest (32) | instant of sending in ms (8) | signature (64). */
export const BULK_SEAL_BYTES = 104;
const SEAL_DOMAIN = Buffer.from("branchline fragment 1\n");

/** What the sender of a fragment signs with its endpoint key (distribution 5.5). */
export interface SealedFragment {
  readonly swarm: SwarmTag;
  readonly index: number;
  /** SHA-256 of the payload as the sender hashed it. */
  readonly digest: Digest;
  readonly receiver: EndpointId;
  readonly sentMs: number;
}

export interface BulkSeal extends Pick<SealedFragment, "digest" | "sentMs"> {
  /** Ed25519, 64 bytes. */
  readonly signature: Buffer;
}

/** The bytes under the signature: the domain, then every field in order and in fixed length. */
export function sealedBytes(sealed: SealedFragment): Buffer {
  const at = SEAL_DOMAIN.length;
  const bytes = Buffer.alloc(at + 108);
  SEAL_DOMAIN.copy(bytes);
  bytes.write(sealed.swarm, at, "hex");
  bytes.writeUInt32BE(sealed.index, at + 32);
  bytes.write(sealed.digest, at + 36, "hex");
  bytes.set(publicKeyOf(sealed.receiver), at + 68);
  bytes.writeBigUInt64BE(BigInt(sealed.sentMs), at + 100);
  return bytes;
}

/** Never throws: a signature may be any bytes. */
export function isSignedBy(
  sealed: SealedFragment,
  signature: Uint8Array,
  sender: EndpointId,
): boolean {
  return verify(null, sealedBytes(sealed), ed25519PublicKey(publicKeyOf(sender)), signature);
}

export function encodeBulkSeal({ digest, sentMs, signature }: BulkSeal): Buffer {
  const bytes = Buffer.alloc(BULK_SEAL_BYTES);
  bytes.write(digest, 0, "hex");
  bytes.writeBigUInt64BE(BigInt(sentMs), 32);
  signature.copy(bytes, 40);
  return bytes;
}

/** Whether the signature is good is another question: it is asked only where the payload is wrong. */
export function decodeBulkSeal(bytes: Buffer): BulkSeal {
  return {
    digest: parseDigest(bytes.toString("hex", 0, 32)),
    sentMs: Number(bytes.readBigUInt64BE(32)),
    signature: Buffer.from(bytes.subarray(40, BULK_SEAL_BYTES)),
  };
}
