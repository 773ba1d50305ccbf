/**
 * Which small files share a fragment. Bundles are consecutive in path order and end where the hash of the
 * next path says so: a changed, new or removed file changes its own bundle and at most a neighbour.
 */
import { createHash } from "node:crypto";
import { BUNDLE_MAX_BYTES, BUNDLE_MIN_BYTES } from "../../protocol/limits.ts";

/** Whether a file begins a new bundle behind one that holds `bundleBytes` so far. */
export function beginsBundle(bundleBytes: number, path: string, sizeBytes: number): boolean {
  if (bundleBytes === 0) return false;
  if (bundleBytes + sizeBytes > BUNDLE_MAX_BYTES) return true;
  if (bundleBytes < BUNDLE_MIN_BYTES) return false;
  // The chance grows with the size, so that a bundle gains BUNDLE_MIN_BYTES on average before it ends,
  // whether the files are tiny or nearly large.
  const draw = createHash("sha256").update(path).digest().readUInt32BE(0) / 2 ** 32;
  return draw < sizeBytes / BUNDLE_MIN_BYTES;
}
