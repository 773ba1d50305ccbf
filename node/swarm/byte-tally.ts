/** Wire bytes of one package on this node, by where they came from. */
import type { SourceBytes } from "../../protocol/check-in.ts";
import type { FetchProgress } from "../content/ports.ts";

type Source = "peer" | "dp" | "origin";

export class ByteTally {
  readonly #fetched = { local: 0, peer: 0, dp: 0, origin: 0 };
  #doneBytes = 0;

  /** Where a fetch begins to count. */
  get totals(): SourceBytes {
    return { ...this.#fetched };
  }

  arrived(sizeBytes: number, source: Source): void {
    this.#doneBytes += sizeBytes;
    this.#fetched[source] += sizeBytes;
  }

  /** Was on the disk already. */
  found(sizeBytes: number): void {
    this.#doneBytes += sizeBytes;
  }

  lost(sizeBytes: number): void {
    this.#doneBytes -= sizeBytes;
  }

  /** Bytes fetched since `before`; all that was here by then is local. Each byte counts for one job. */
  progress(before: SourceBytes | undefined): FetchProgress {
    const doneBytes = this.#doneBytes;
    if (before === undefined) {
      return { doneBytes, bytes: { local: doneBytes, peer: 0, dp: 0, origin: 0 } };
    }
    const peer = this.#fetched.peer - before.peer;
    const dp = this.#fetched.dp - before.dp;
    const origin = this.#fetched.origin - before.origin;
    return { doneBytes, bytes: { local: doneBytes - peer - dp - origin, peer, dp, origin } };
  }
}
