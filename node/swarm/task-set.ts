/** Background work with an owner: every promise is kept until it settles, and awaited at the end. */

export class TaskSet {
  private readonly running = new Set<Promise<void>>();
  private readonly onFailure: (error: unknown) => void;

  constructor(onFailure: (error: unknown) => void) {
    this.onFailure = onFailure;
  }

  run(work: () => Promise<void>): void {
    const task = this.guarded(work).finally(() => this.running.delete(task));
    this.running.add(task);
  }

  async settled(): Promise<void> {
    while (this.running.size > 0) await Promise.all(this.running);
  }

  private async guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.onFailure(error);
    }
  }
}
