/** The sending side of a LAN card: one fragment after the other, first come, first served. */
import type { EndpointId } from "../../protocol/ids.ts";
import type { EventQueue } from "./event-queue.ts";

export interface Upload {
  readonly to: EndpointId;
  readonly index: number;
  readonly tookMs: number;
  readonly onSent: () => void;
}

export class UploadPort {
  private readonly queue: EventQueue;
  private waiting: Upload[] = [];
  private isSending = false;

  constructor(queue: EventQueue) {
    this.queue = queue;
  }

  send(upload: Upload): void {
    this.waiting.push(upload);
    if (!this.isSending) this.sendNext();
  }

  /** Takes back what has not begun. */
  cancel(to: EndpointId, index: number): void {
    this.waiting = this.waiting.filter((upload) => upload.to !== to || upload.index !== index);
  }

  private sendNext(): void {
    const upload = this.waiting.shift();
    this.isSending = upload !== undefined;
    if (upload === undefined) return;
    this.queue.planIn(upload.tookMs, () => {
      upload.onSent();
      this.sendNext();
    });
  }
}
