/** Fragments that arrived a moment ago, so that they are served on before the disk has them (cut-through). */
import type { Digest } from "../../protocol/ids.ts";

/** Memory for recent fragments of all packages together (distribution 5.4). */
const RECENT_MAX_BYTES = 8 * 1024 * 1024;

export class RecentFragments {
  private readonly byDigest = new Map<Digest, Buffer>();
  private sizeBytes = 0;

  get(digest: Digest): Buffer | undefined {
    return this.byDigest.get(digest);
  }

  add(digest: Digest, bytes: Buffer): void {
    if (this.byDigest.has(digest)) return;
    this.byDigest.set(digest, bytes);
    this.sizeBytes += bytes.length;
    for (const [oldest, old] of this.byDigest) {
      if (this.sizeBytes <= RECENT_MAX_BYTES) break;
      this.byDigest.delete(oldest);
      this.sizeBytes -= old.length;
    }
  }
}
