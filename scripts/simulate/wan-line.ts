/**
 * A site's WAN line: all transfers under way share its rate evenly, as TCP streams of one distance do.
 * Each reports its progress on the way, as the origin's server does.
 */
import type { EventQueue } from "./event-queue.ts";

/** The origin's server reads files in such parts and tells the gate of each. */
const PART_BYTES = 65_536;

export interface Transfer {
  readonly sizeBytes: number;
  readonly onPart: (leftBytes: number) => void;
  readonly onEnd: () => void;
}

interface Running extends Transfer {
  leftBytes: number;
  partLeftBytes: number;
}

export class WanLine {
  /** Everything that crossed the line, also of transfers that were broken off. */
  carriedBytes = 0;
  private readonly queue: EventQueue;
  private readonly bytesPerMs: number;
  private readonly running = new Map<Transfer, Running>();
  private sinceMs: number;
  private generation = 0;

  constructor(queue: EventQueue, bytesPerMs: number) {
    this.queue = queue;
    this.bytesPerMs = bytesPerMs;
    this.sinceMs = queue.nowMs;
  }

  begin(transfer: Transfer): void {
    this.advance();
    const { sizeBytes } = transfer;
    const partLeftBytes = Math.min(PART_BYTES, sizeBytes);
    this.running.set(transfer, { ...transfer, leftBytes: sizeBytes, partLeftBytes });
    this.planNext();
  }

  /** Ends a transfer before its end; `onEnd` is not called. Returns whether it was under way. */
  breakOff(transfer: Transfer): boolean {
    this.advance();
    const wasRunning = this.running.delete(transfer);
    this.planNext();
    return wasRunning;
  }

  private advance(): void {
    const elapsedMs = this.queue.nowMs - this.sinceMs;
    this.sinceMs = this.queue.nowMs;
    if (this.running.size === 0) return;
    const bytes = (elapsedMs * this.bytesPerMs) / this.running.size;
    for (const transfer of this.running.values()) {
      const moved = Math.min(bytes, transfer.leftBytes);
      transfer.leftBytes -= moved;
      transfer.partLeftBytes -= moved;
      this.carriedBytes += moved;
    }
  }

  private planNext(): void {
    const generation = ++this.generation;
    if (this.running.size === 0) return;
    let nextBytes = Infinity;
    for (const { partLeftBytes } of this.running.values()) {
      nextBytes = Math.min(nextBytes, partLeftBytes);
    }
    const delayMs = (Math.max(0, nextBytes) * this.running.size) / this.bytesPerMs;
    this.queue.planIn(delayMs, () => {
      if (generation === this.generation) this.arrive();
    });
  }

  private arrive(): void {
    this.advance();
    const ended: Transfer[] = [];
    const parts: Running[] = [];
    for (const [transfer, running] of this.running) {
      // Sums of fractions of a byte are not exact.
      if (running.partLeftBytes > 0.5) continue;
      if (running.leftBytes > 0.5) {
        running.partLeftBytes = Math.min(PART_BYTES, running.leftBytes);
        parts.push(running);
      } else {
        this.running.delete(transfer);
        ended.push(transfer);
      }
    }
    this.planNext();
    for (const part of parts) part.onPart(part.leftBytes);
    for (const transfer of ended) transfer.onEnd();
  }
}
