/** Virtual time: a binary heap of what happens when. Equal times run in the order they were planned. */

/** Instants begin well above 0: a mark of 0 means "never" to the code that is driven. */
export const START_MS = 3_600_000;

export class EventQueue {
  nowMs = START_MS;
  /** Events run so far. */
  count = 0;
  private readonly times: number[] = [];
  private readonly orders: number[] = [];
  private readonly actions: (() => void)[] = [];
  private nextOrder = 0;

  planIn(delayMs: number, action: () => void): void {
    this.planAt(this.nowMs + delayMs, action);
  }

  planAt(atMs: number, action: () => void): void {
    let at = this.times.length;
    const order = this.nextOrder++;
    this.put(at, atMs, order, action);
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (!this.isBefore(at, parent)) break;
      this.swap(at, parent);
      at = parent;
    }
  }

  /** Runs the next event; false where there is none. */
  runNext(): boolean {
    const [atMs] = this.times;
    const [action] = this.actions;
    if (atMs === undefined || action === undefined) return false;
    this.removeFirst();
    this.nowMs = Math.max(this.nowMs, atMs);
    this.count++;
    action();
    return true;
  }

  private removeFirst(): void {
    const time = this.times.pop();
    const order = this.orders.pop();
    const action = this.actions.pop();
    if (time === undefined || order === undefined || action === undefined) return;
    const size = this.times.length;
    if (size === 0) return;
    this.put(0, time, order, action);
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= size) break;
      const child = left + 1 < size && this.isBefore(left + 1, left) ? left + 1 : left;
      if (!this.isBefore(child, at)) break;
      this.swap(child, at);
      at = child;
    }
  }

  private put(at: number, time: number, order: number, action: () => void): void {
    this.times[at] = time;
    this.orders[at] = order;
    this.actions[at] = action;
  }

  private isBefore(one: number, other: number): boolean {
    const oneMs = this.times[one] ?? 0;
    const otherMs = this.times[other] ?? 0;
    return (
      oneMs < otherMs || (oneMs === otherMs && (this.orders[one] ?? 0) < (this.orders[other] ?? 0))
    );
  }

  private swap(one: number, other: number): void {
    const { times, orders, actions } = this;
    const time = times[one] ?? 0;
    const order = orders[one] ?? 0;
    const action = actions[one];
    const otherAction = actions[other];
    if (action === undefined || otherAction === undefined) return;
    this.put(one, times[other] ?? 0, orders[other] ?? 0, otherAction);
    this.put(other, time, order, action);
  }
}
