/**
 * The flow of one publish behind the build: ask what is missing, upload only that, sign over the catalog in
 * force, hand it in. Another publisher may change the catalog in between; then sign again over the new one.
 */
import { DeployError } from "../../protocol/errors.ts";
import { targetPathOf, type Digest, type PackageRef } from "../../protocol/ids.ts";
import type { PackageAnswer, PackageInput, Publishing } from "../../protocol/operator-api.ts";
import type { BuiltPackage } from "./build-package.ts";
import type { StagedFragment } from "./fragment-writer.ts";

/** The coordinator, as a publisher uses it. */
export interface PublishTarget {
  /** Which of at most MISSING_MAX_DIGESTS digests the coordinator does not hold. */
  missing(digests: readonly Digest[], signal: AbortSignal): Promise<readonly Digest[]>;
  /** Uploads one fragment from a file; harmless where it is there already. */
  putFragment(digest: Digest, filePath: string, signal: AbortSignal): Promise<void>;
  /** What is needed to sign the next version of the target's bin. */
  publishing(targetPath: string, signal: AbortSignal): Promise<Publishing>;
  /** Adds the package, inactive. Throws PUBLISH_CONFLICT where the bin has changed since `publishing`. */
  addPackage(input: PackageInput, signal: AbortSignal): Promise<PackageAnswer>;
}

export interface PublishProgress {
  /** Wire bytes uploaded so far, of those that were missing. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface PublishOrder {
  readonly built: BuiltPackage;
  readonly ref: PackageRef;
  readonly target: PublishTarget;
  /** Signs the bin with this package added; holds the publisher's key. */
  readonly sign: (
    publishing: Publishing,
    built: BuiltPackage,
  ) => PackageInput | Promise<PackageInput>;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: PublishProgress) => void;
}

/** Bound of one question (operator API). */
export const MISSING_MAX_DIGESTS = 4096;
// Four hide the round trips of a distant coordinator without filling a small line's queue.
const PARALLEL_UPLOADS = 4;
// With five publishers at once each wins within five rounds; more is a fault elsewhere.
const SIGN_ATTEMPT_LIMIT = 5;

export async function publishPackage(order: PublishOrder): Promise<PackageAnswer> {
  await uploadMissing(order);
  for (let attempt = 1; ; attempt++) {
    order.signal.throwIfAborted();
    const targetPath = targetPathOf(order.ref);
    const publishing = await order.target.publishing(targetPath, order.signal);
    const input = await order.sign(publishing, order.built);
    try {
      return await order.target.addPackage(input, order.signal);
    } catch (cause) {
      const isConflict = cause instanceof DeployError && cause.code === "PUBLISH_CONFLICT";
      if (!isConflict || attempt === SIGN_ATTEMPT_LIMIT) throw cause;
    }
  }
}

async function uploadMissing(order: PublishOrder): Promise<void> {
  const missing = await missingFragments(order);
  const totalBytes = missing.reduce((sum, fragment) => sum + fragment.sizeBytes, 0);
  let doneBytes = 0;
  order.onProgress({ doneBytes, totalBytes });
  const stop = new AbortController();
  const signal = AbortSignal.any([order.signal, stop.signal]);
  const queue = missing.values();
  const upload = async (): Promise<void> => {
    // All workers draw from one iterator, so each fragment goes once.
    for (const fragment of queue) {
      signal.throwIfAborted();
      await order.target.putFragment(fragment.digest, fragment.filePath, signal);
      doneBytes += fragment.sizeBytes;
      order.onProgress({ doneBytes, totalBytes });
    }
  };
  const workers = Array.from({ length: PARALLEL_UPLOADS }, upload);
  try {
    await Promise.all(workers);
  } catch (cause) {
    // One failure ends the others; nothing runs on behind the caller's back.
    stop.abort(cause);
    await Promise.allSettled(workers);
    throw cause;
  }
}

async function missingFragments({
  built,
  target,
  signal,
}: PublishOrder): Promise<readonly StagedFragment[]> {
  const missing = new Set<Digest>();
  for (let at = 0; at < built.fragments.length; at += MISSING_MAX_DIGESTS) {
    const digests = built.fragments.slice(at, at + MISSING_MAX_DIGESTS).map(({ digest }) => digest);
    for (const digest of await target.missing(digests, signal)) missing.add(digest);
  }
  return built.fragments.filter(({ digest }) => missing.has(digest));
}
