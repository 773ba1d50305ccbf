/** Ends work that makes no progress: a network that was lost must show, not hang (OCO-45). */
import type { DeployError } from "../../protocol/errors.ts";

export interface StallLimit {
  readonly limitMs: number;
  readonly errorOf: () => DeployError;
}

/** Rejects with the limit's error where the work says nothing for so long; the work is aborted then. */
export async function withStallLimit<T>(
  { limitMs, errorOf }: StallLimit,
  signal: AbortSignal,
  work: (signal: AbortSignal, onProgress: () => void) => Promise<T>,
): Promise<T> {
  const stalled = new AbortController();
  const arm = (): NodeJS.Timeout => setTimeout(() => stalled.abort(errorOf()), limitMs);
  let timer = arm();
  const onProgress = (): void => {
    clearTimeout(timer);
    timer = arm();
  };
  try {
    return await work(AbortSignal.any([signal, stalled.signal]), onProgress);
  } catch (error) {
    if (stalled.signal.aborted && !signal.aborted) throw stalled.signal.reason;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
