/**
 * Work that must not overlap: one after the other, in the order of the calls. What fails holds nobody up.
 */
export type InTurn = <R>(work: () => Promise<R>) => Promise<R>;

export function openTurns(): InTurn {
  let last: Promise<unknown> = Promise.resolve();
  return async (work) => {
    const turn = last.then(work);
    last = Promise.allSettled([turn]);
    return turn;
  };
}
