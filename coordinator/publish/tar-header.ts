/** One header block of a tar, decoded by the `tar` package. */
import { Header } from "tar";

export type TarHeader = Header;

/** Undefined where the block is no header: a wrong checksum, or numbers that no number is. */
export function readTarHeader(block: Buffer): Header | undefined {
  try {
    const header = new Header(block);
    return header.nullBlock || header.cksumValid ? header : undefined;
  } catch (cause) {
    // The package throws plain errors for base-256 numbers out of range and for nothing else here.
    if (cause instanceof Error) return undefined;
    throw cause;
  }
}
