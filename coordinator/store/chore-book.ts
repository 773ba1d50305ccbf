/** When each chore was last done, by the injected clock: chores run at most so often, whoever asks. */
export interface ChoreBook {
  /** True at most once every `everyMs`. */
  isDue(chore: string, everyMs: number, nowMs: number): boolean;
}

export function openChoreBook(): ChoreBook {
  const doneMs = new Map<string, number>();
  return {
    isDue: (chore, everyMs, nowMs) => {
      if (nowMs - (doneMs.get(chore) ?? -Infinity) < everyMs) return false;
      doneMs.set(chore, nowMs);
      return true;
    },
  };
}
