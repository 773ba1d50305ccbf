/**
 * JSON bodies on the way between node and coordinator as one zstd frame each (RFC 8878), named by
 * `content-encoding: zstd`: metadata and reports cross the office line once per endpoint. Only whoever asked
 * for it gets it; no other encoding is ever taken (trust P4).
 */
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { DeployError } from "./errors.ts";

export const PACKED_ENCODING = "zstd";
/** Below this the frame saves less than the header that names it costs. */
const PACK_MIN_BYTES = 600;
/** log2 of the memory that a frame may ask of its reader before it has shown a byte. */
const WINDOW_LOG_MAX = 21;

/** The frame, or undefined where the body is better sent as it is. */
export function packedBody(body: string): Buffer | undefined {
  if (body.length < PACK_MIN_BYTES) return undefined;
  const frame = zstdCompressSync(body);
  return frame.length < Buffer.byteLength(body) ? frame : undefined;
}

/** Throws DOCUMENT_TOO_LARGE above `limitBytes`, whatever the frame says, and DOCUMENT_INVALID. */
export function unpackedBody(what: string, frame: Uint8Array, limitBytes: number): Buffer {
  const params = { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX };
  try {
    return zstdDecompressSync(frame, { maxOutputLength: limitBytes, params });
  } catch (cause) {
    if (cause instanceof RangeError) {
      throw new DeployError("DOCUMENT_TOO_LARGE", { what, limitBytes }, { cause });
    }
    const problem = "its zstd frame cannot be read";
    throw new DeployError("DOCUMENT_INVALID", { what, problem }, { cause });
  }
}
