/**
 * FastCDC with normalised chunking: cuts bytes into fragments where the content says so, so that an
 * insertion moves no cut behind it. Pure; the same bytes give the same cuts on every machine.
 */
import { createHash } from "node:crypto";
import {
  FRAGMENT_AVERAGE_BYTES,
  FRAGMENT_MAX_BYTES,
  FRAGMENT_MIN_BYTES,
  LARGE_FRAGMENT_SCALE,
  LARGE_PACKAGE_BYTES,
} from "../../protocol/limits.ts";

export interface CutBounds {
  readonly minBytes: number;
  readonly averageBytes: number;
  readonly maxBytes: number;
}

/** The bounds for a package of this unpacked size (distribution 4.3). */
export function cutBoundsFor(packageBytes: number): CutBounds {
  const scale = packageBytes >= LARGE_PACKAGE_BYTES ? LARGE_FRAGMENT_SCALE : 1;
  return {
    minBytes: FRAGMENT_MIN_BYTES * scale,
    averageBytes: FRAGMENT_AVERAGE_BYTES * scale,
    maxBytes: FRAGMENT_MAX_BYTES * scale,
  };
}

// The hash shifts left by one a byte: 32 bits remember exactly the last 32 bytes.
const WINDOW_BYTES = 32;
const GEAR = gearTable();

/**
 * Length of the fragment that begins at `start`. `end` bounds what is known; with fewer than
 * `maxBytes` known, the caller must be at the end of the content.
 */
export function cutLength(
  bytes: Uint8Array,
  start: number,
  end: number,
  bounds: CutBounds,
): number {
  const known = Math.min(end - start, bounds.maxBytes);
  if (known <= bounds.minBytes) return known;
  const normal = start + Math.min(bounds.averageBytes, known);
  const last = start + known;
  const bits = Math.round(Math.log2(bounds.averageBytes));
  // Normalisation level 2: a cut is four times rarer before the average and four times likelier behind.
  const strictMask = highBits(bits + 2);
  const looseMask = highBits(bits - 2);
  let at = start + bounds.minBytes;
  let hash = 0;
  for (let warm = at - WINDOW_BYTES; warm < at; warm++) {
    hash = ((hash << 1) + (GEAR[bytes[warm] ?? 0] ?? 0)) | 0;
  }
  for (; at < normal; at++) {
    hash = ((hash << 1) + (GEAR[bytes[at] ?? 0] ?? 0)) | 0;
    if ((hash & strictMask) === 0) return at + 1 - start;
  }
  for (; at < last; at++) {
    hash = ((hash << 1) + (GEAR[bytes[at] ?? 0] ?? 0)) | 0;
    if ((hash & looseMask) === 0) return at + 1 - start;
  }
  return known;
}

/** Cuts a stream; every fragment is a copy of its own. */
export async function* cutStream(
  source: AsyncIterable<Buffer>,
  bounds: CutBounds,
): AsyncGenerator<Buffer> {
  const held = Buffer.allocUnsafe(bounds.maxBytes * 4);
  let start = 0;
  let end = 0;
  for await (const bytes of source) {
    for (let taken = 0; taken < bytes.length;) {
      if (end === held.length) {
        held.copy(held, 0, start, end);
        end -= start;
        start = 0;
      }
      const copied = bytes.copy(held, end, taken);
      taken += copied;
      end += copied;
      while (end - start >= bounds.maxBytes) {
        const length = cutLength(held, start, end, bounds);
        yield Buffer.from(held.subarray(start, start + length));
        start += length;
      }
    }
  }
  while (end > start) {
    const length = cutLength(held, start, end, bounds);
    yield Buffer.from(held.subarray(start, start + length));
    start += length;
  }
}

function highBits(count: number): number {
  return (0xffff_ffff << (32 - count)) | 0;
}

// 256 numbers without structure that any implementation can recompute.
function gearTable(): Int32Array {
  return Int32Array.from({ length: 256 }, (_none, byte) =>
    createHash("sha256").update(`branchline gear ${byte}`).digest().readInt32BE(0),
  );
}
