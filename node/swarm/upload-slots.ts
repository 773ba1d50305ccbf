/** Whose answer is under way: first come, first served, as many at once as the port carries well. */
import { UploadWidth, type Sending } from "../core/exchange/upload-width.ts";
import { WIRED_SLOTS } from "../core/peer-eligibility.ts";

/** Whoever takes its answer more slowly than this keeps nobody else waiting: it may hang. */
const HOLD_MAX_MS = 3000;

/** The place of one answer; it is to be freed once, however often that is said. */
export interface UploadSlot {
  readonly freed: Promise<void>;
  /** From now on it is the port that takes time; what went before, such as waiting for the rate, is not. */
  sending(sizeBytes: number): void;
  /** The peer has all of it; said again, it counts no more. */
  received(): void;
  free(): void;
}

export class UploadSlots {
  private readonly most: () => number;
  private readonly nowMs: () => number;
  private readonly queue: (() => void)[] = [];
  private readonly width = new UploadWidth(WIRED_SLOTS);
  private busyCount = 0;

  /** `most`: never more answers at once than this, but one. `nowMs`: milliseconds that never jump. */
  constructor(most: () => number, nowMs: () => number) {
    this.most = most;
    this.nowMs = nowMs;
  }

  /**
   * Waits for a slot and runs `answer`, which frees it or begins to send. Where it fails the slot is free: the
   * peer may have left while it waited.
   */
  async run(answer: (slot: UploadSlot) => Promise<void>): Promise<void> {
    const slot = await this.take();
    try {
      await answer(slot);
    } catch (cause) {
      slot.free();
      throw cause;
    }
  }

  async take(): Promise<UploadSlot> {
    await new Promise<void>((resolve) => {
      this.queue.push(resolve);
      this.fill();
    });
    return this.slot();
  }

  private slot(): UploadSlot {
    const { promise: freed, resolve: tell } = Promise.withResolvers<void>();
    let timer: NodeJS.Timeout | undefined;
    let sending: Sending | undefined;
    let isBusy = true;
    const free = (): void => {
      clearTimeout(timer);
      if (!isBusy) return;
      isBusy = false;
      this.busyCount--;
      this.fill();
      tell();
    };
    return {
      freed,
      free,
      sending: (sizeBytes) => {
        // A peer that has what was not sent yet counts bytes of its own.
        if (!isBusy) return;
        sending = { sizeBytes, beganMs: this.nowMs() };
        timer = setTimeout(free, HOLD_MAX_MS);
      },
      received: () => {
        // Where nobody waits, the width is not used, and proves nothing.
        if (sending !== undefined && this.queue.length > 0) this.width.sent(sending, this.nowMs());
        sending = undefined;
        free();
      },
    };
  }

  private fill(): void {
    const most = Math.max(Math.min(this.most(), this.width.count), 1);
    while (this.busyCount < most) {
      const next = this.queue.shift();
      if (next === undefined) return;
      this.busyCount++;
      next();
    }
  }
}
