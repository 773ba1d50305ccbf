/** Works on many items, so many at a time. */

/**
 * Begins the items in their order, with so many under way at a time; the results are in the order of the
 * items. Rejects with the first failure, and the items after it are begun all the same.
 */
export async function inParallel<T, R>(
  items: readonly T[],
  parallelCount: number,
  work: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = [];
  const queue = items.entries();
  const worker = async (): Promise<void> => {
    for (const [at, item] of queue) results[at] = await work(item);
  };
  await Promise.all(Array.from({ length: parallelCount }, worker));
  return results;
}
