/**
 * What one peer has asked for on its bulk stream, in its order. Read ahead of the answers, so that a request
 * can be taken back while others are answered.
 */
import {
  BULK_CANCEL_INDEX,
  BULK_RECEIVED_INDEX,
  BULK_REQUEST_BYTES,
  decodeBulkRequest,
  type BulkRequest,
} from "../../protocol/exchange.ts";
import type { Inbox } from "./stream-io.ts";

/** Requests one peer may have queued here: far more than its window. */
const WAITING_MAX_COUNT = 64;

export class RequestQueue {
  private readonly waiting: BulkRequest[] = [];
  private readonly cancelled = new Set<number>();
  private current: BulkRequest | undefined;
  private isOver = false;
  private changed = Promise.withResolvers<void>();
  private readonly onReceived: (id: number) => void;

  /** `onReceived`: the peer says that the payload with this id is there, whether it was ever sent or not. */
  constructor(onReceived: (id: number) => void) {
    this.onReceived = onReceived;
  }

  /** Reads until the peer closes the stream. Rejects when the stream breaks. */
  async readFrom(inbox: Inbox): Promise<void> {
    try {
      for (;;) {
        const bytes = await inbox.take(BULK_REQUEST_BYTES);
        if (bytes === undefined) return;
        const request = decodeBulkRequest(Buffer.from(bytes.subarray()));
        if (request.index === BULK_RECEIVED_INDEX) {
          this.onReceived(request.id);
          continue;
        }
        if (request.index === BULK_CANCEL_INDEX) this.cancel(request.id);
        else this.waiting.push(request);
        this.wake();
        while (this.waiting.length >= WAITING_MAX_COUNT && !this.isOver) await this.changed.promise;
      }
    } finally {
      this.end();
    }
  }

  /** The next one to answer; undefined when the peer asks for nothing more. */
  async next(): Promise<BulkRequest | undefined> {
    if (this.current !== undefined) this.cancelled.delete(this.current.id);
    while (this.waiting.length === 0 && !this.isOver) await this.changed.promise;
    this.current = this.waiting.shift();
    this.wake();
    return this.current;
  }

  /** Whether the peer has taken back what `next` gave last. */
  get isCancelled(): boolean {
    return this.current !== undefined && this.cancelled.has(this.current.id);
  }

  /** Nobody answers any more, or nobody asks. */
  end(): void {
    this.isOver = true;
    this.wake();
  }

  private cancel(id: number): void {
    const isOpen = this.current?.id === id || this.waiting.some((request) => request.id === id);
    if (isOpen) this.cancelled.add(id);
  }

  private wake(): void {
    const { resolve } = this.changed;
    this.changed = Promise.withResolvers<void>();
    resolve();
  }
}
