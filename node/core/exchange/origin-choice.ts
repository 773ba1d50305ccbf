/**
 * Which plain HTTPS origin is asked next: the first of the operator's order that has not failed lately. One that
 * lacks a package is passed by for that package only.
 */
import type { Digest } from "../../../protocol/ids.ts";
import type { PlainOrigin, PlainProblem } from "../../../protocol/plain-origin.ts";

const PAUSE_MIN_MS = 5000;
const PAUSE_MAX_MS = 300_000;

interface Pause {
  readonly failureCount: number;
  readonly untilMs: number;
}

export class OriginChoice {
  private readonly pauses = new Map<string, Pause>();

  /** In the order in which they are to be tried. */
  open(origins: readonly PlainOrigin[], manifest: Digest, nowMs: number): readonly PlainOrigin[] {
    return origins.filter(
      ({ url }) => !this.isPaused(url, nowMs) && !this.isPaused(lackKey(url, manifest), nowMs),
    );
  }

  worked(url: string, manifest: Digest): void {
    this.pauses.delete(url);
    this.pauses.delete(lackKey(url, manifest));
  }

  failed(url: string, manifest: Digest, problem: PlainProblem, nowMs: number): void {
    const key = problem === "absent" ? lackKey(url, manifest) : url;
    const before = this.pauses.get(key);
    // Several transfers that break together are one failure.
    if (before !== undefined && nowMs < before.untilMs) return;
    const failureCount = (before?.failureCount ?? 0) + 1;
    const growingMs = Math.min(PAUSE_MIN_MS * 2 ** (failureCount - 1), PAUSE_MAX_MS);
    // What sends other bytes once is not to be trusted with the line soon again.
    const pauseMs = problem === "corrupt" ? PAUSE_MAX_MS : growingMs;
    this.pauses.set(key, { failureCount, untilMs: nowMs + pauseMs });
  }

  private isPaused(key: string, nowMs: number): boolean {
    return nowMs < (this.pauses.get(key)?.untilMs ?? 0);
  }
}

function lackKey(url: string, manifest: Digest): string {
  return `${url} ${manifest}`;
}
