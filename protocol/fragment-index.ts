/**
 * Binary pages of the fragment index (distribution 4.3): 54 bytes an entry, big endian:
 * wire SHA-256 (32) | first half of the raw SHA-256 (16) | wire length (3) | raw length (3).
 * Equal lengths mean that the fragment is stored raw; otherwise it is one zstd frame.
 */
import { DeployError } from "./errors.ts";
import { parseDigest, type Digest } from "./ids.ts";
import { FRAGMENTS_PER_PAGE, FRAGMENT_WIRE_MAX_BYTES } from "./limits.ts";

export const FRAGMENT_ENTRY_BYTES = 54;

export interface FragmentEntry {
  /** SHA-256 of the wire bytes: the fragment's id. */
  readonly digest: Digest;
  /** First 16 bytes of the raw bytes' SHA-256, in hexadecimal; finds the fragment in installed files. */
  readonly rawHint: string;
  readonly wireBytes: number;
  readonly rawBytes: number;
}

export function encodeFragmentPage(entries: readonly FragmentEntry[]): Buffer {
  const page = Buffer.alloc(entries.length * FRAGMENT_ENTRY_BYTES);
  entries.forEach((entry, index) => {
    const at = index * FRAGMENT_ENTRY_BYTES;
    page.write(entry.digest, at, "hex");
    page.write(entry.rawHint, at + 32, "hex");
    page.writeUIntBE(entry.wireBytes, at + 48, 3);
    page.writeUIntBE(entry.rawBytes, at + 51, 3);
  });
  return page;
}

/** Throws DOCUMENT_INVALID on a page that no publisher of ours writes. */
export function decodeFragmentPage(page: Buffer): readonly FragmentEntry[] {
  const count = page.length / FRAGMENT_ENTRY_BYTES;
  if (!Number.isInteger(count) || count > FRAGMENTS_PER_PAGE) {
    throw new DeployError("DOCUMENT_INVALID", {
      what: "a fragment page",
      problem: `it has ${page.length} bytes`,
    });
  }
  return Array.from({ length: count }, (_none, index) =>
    decodedEntry(page, index * FRAGMENT_ENTRY_BYTES),
  );
}

function decodedEntry(page: Buffer, at: number): FragmentEntry {
  const entry = {
    digest: parseDigest(page.toString("hex", at, at + 32)),
    rawHint: page.toString("hex", at + 32, at + 48),
    wireBytes: page.readUIntBE(at + 48, 3),
    rawBytes: page.readUIntBE(at + 51, 3),
  };
  const isBounded =
    entry.wireBytes > 0 &&
    entry.wireBytes <= entry.rawBytes &&
    entry.rawBytes <= FRAGMENT_WIRE_MAX_BYTES;
  if (!isBounded) {
    throw new DeployError("DOCUMENT_INVALID", {
      what: "a fragment page",
      problem: "an entry has impossible lengths",
    });
  }
  return entry;
}
