/** Bytes for packages of tests: without order, and the same in every run. */
import { createHash } from "node:crypto";

export function noise(sizeBytes: number, seed: string): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < sizeBytes; at += 32) {
    parts.push(createHash("sha256").update(`${seed} ${at}`).digest());
  }
  return Buffer.concat(parts).subarray(0, sizeBytes);
}

/** The same bytes with one byte in every `everyBytes` changed: as a compiler does, everywhere a little. */
export function touched(bytes: Buffer, everyBytes: number): Buffer {
  const copy = Buffer.from(bytes);
  for (let at = 0; at < copy.length; at += everyBytes) copy[at] = (copy[at]! + 1) % 256;
  return copy;
}
