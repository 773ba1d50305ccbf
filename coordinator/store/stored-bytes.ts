/**
 * Bytes of one stored value: crc32 (4) | schema version (1) | rev (8) | JSON. LevelDB does not verify what
 * it reads, so the checksum is ours.
 */
import { crc32 } from "node:zlib";
import { DeployError } from "../../protocol/errors.ts";
import { STORE_KEY_MAX_BYTES, STORE_VALUE_MAX_BYTES } from "../../protocol/limits.ts";
import type { StoredValue } from "./store.ts";

const SCHEMA_VERSION = 1;
const HEAD_BYTES = 13;

export function encodeValue(key: string, value: unknown, rev: number): Buffer {
  const text = Buffer.from(JSON.stringify(value), "utf8");
  if (text.length > STORE_VALUE_MAX_BYTES) {
    throw new DeployError("DOCUMENT_TOO_LARGE", {
      what: `the record ${key}`,
      limitBytes: STORE_VALUE_MAX_BYTES,
    });
  }
  const bytes = Buffer.alloc(HEAD_BYTES + text.length);
  bytes.writeUInt8(SCHEMA_VERSION, 4);
  bytes.writeBigUInt64BE(BigInt(rev), 5);
  text.copy(bytes, HEAD_BYTES);
  bytes.writeUInt32BE(checksum(key, bytes), 0);
  return bytes;
}

/** Throws STORE_DAMAGED where one bit differs from what was written under this key. */
export function decodeValue(key: string, bytes: Buffer): StoredValue {
  if (bytes.length < HEAD_BYTES) throw damaged(key, "it is cut short");
  if (bytes.readUInt32BE(0) !== checksum(key, bytes)) throw damaged(key, "its checksum differs");
  const version = bytes.readUInt8(4);
  if (version !== SCHEMA_VERSION) throw damaged(key, `it has the unknown format ${version}`);
  const value: unknown = JSON.parse(bytes.toString("utf8", HEAD_BYTES));
  return { key, value, rev: Number(bytes.readBigUInt64BE(5)) };
}

export function refuseLongKey(key: string): void {
  if (Buffer.byteLength(key) > STORE_KEY_MAX_BYTES) {
    throw new DeployError("INPUT_INVALID", {
      what: "a store key",
      expected: `at most ${STORE_KEY_MAX_BYTES} bytes`,
    });
  }
}

export function damaged(key: string, problem: string): DeployError {
  return new DeployError("STORE_DAMAGED", { key, problem });
}

// The key is part of the sum: a value under another's key is damage too.
function checksum(key: string, bytes: Buffer): number {
  return crc32(bytes.subarray(4), crc32(key));
}
