/** Answers the fragment requests of admitted peers: one answer at a time per peer, few peers at once. */
import type { Stream } from "@libp2p/interface";
import { Uint8ArrayList } from "uint8arraylist";
import { BULK_REQUEST_BYTES, encodeBulkHeader, type BulkRequest } from "../../protocol/exchange.ts";
import { RequestQueue } from "./request-queue.ts";
import { drained, Inbox } from "./stream-io.ts";

/** Bytes of requests that are read ahead of those in the queue. */
const QUEUE_MAX_BYTES = 64 * BULK_REQUEST_BYTES;
/** The wire bytes of a fragment that this node has; undefined otherwise. */
export type ReadFragment = (request: BulkRequest) => Promise<Buffer | undefined>;

/** How much is served (distribution 5.4); it may change at any time. */
export interface UploadLimits {
  /** Peers served at the same moment; 0: only what is owed, to one at a time. */
  readonly uploadSlots: number;
  /** Resolves when so many bytes may be sent. */
  upload(sizeBytes: number): Promise<void>;
  /** Fetched over the line by this node, so that nobody else has it. */
  isOwed(request: BulkRequest): boolean;
}

/** The seal of an answer (distribution 5.5), for the peer that asked. */
export type SealFragment = (request: BulkRequest, bytes: Buffer) => Buffer;

export class BulkServer {
  private readonly read: ReadFragment;
  private readonly limits: UploadLimits;
  private readonly queue: (() => void)[] = [];
  private busySlots = 0;

  constructor(read: ReadFragment, limits: UploadLimits) {
    this.read = read;
    this.limits = limits;
  }

  /** Serves until the peer closes the stream. Rejects when the stream breaks. */
  async serve(stream: Stream, seal: SealFragment): Promise<void> {
    const requests = new RequestQueue();
    const inbox = new Inbox(stream, QUEUE_MAX_BYTES);
    await Promise.all([requests.readFrom(inbox), this.answerAll(stream, requests, seal)]);
    await stream.close();
  }

  private async answerAll(
    stream: Stream,
    requests: RequestQueue,
    seal: SealFragment,
  ): Promise<void> {
    try {
      for (;;) {
        const request = await requests.next();
        if (request === undefined) return;
        await this.slot();
        const sealed = (bytes: Buffer): Buffer => seal(request, bytes);
        await this.inSlot(stream, request, requests.isCancelled ? undefined : sealed);
      }
    } finally {
      requests.end();
    }
  }

  /** Without a seal there is nothing to send: the request was taken back. */
  private async inSlot(
    stream: Stream,
    request: BulkRequest,
    sealed: ((bytes: Buffer) => Buffer) | undefined,
  ): Promise<void> {
    try {
      if (sealed === undefined) this.decline(stream, request);
      else await this.answer(stream, request, sealed);
    } finally {
      this.freeSlot();
    }
  }

  private decline(stream: Stream, { id }: BulkRequest): void {
    stream.send(encodeBulkHeader({ id, status: "cancelled", payloadBytes: 0 }));
  }

  private async answer(
    stream: Stream,
    request: BulkRequest,
    sealed: (bytes: Buffer) => Buffer,
  ): Promise<void> {
    const isRefused = this.limits.uploadSlots === 0 && !this.limits.isOwed(request);
    const bytes = isRefused ? undefined : await this.read(request);
    const absence = isRefused ? "busy" : "absent";
    const status = bytes === undefined ? absence : "ok";
    const payloadBytes = bytes?.length ?? 0;
    await this.limits.upload(payloadBytes);
    const header = encodeBulkHeader({ id: request.id, status, payloadBytes });
    // Header and payload as one send: writes of a whole fragment cost half the CPU of 64 KiB ones.
    const frame = bytes === undefined ? header : new Uint8ArrayList(header, sealed(bytes), bytes);
    if (!stream.send(frame)) await drained(stream);
  }

  private async slot(): Promise<void> {
    if (this.busySlots < Math.max(this.limits.uploadSlots, 1)) {
      this.busySlots++;
      return;
    }
    await new Promise<void>((resolve) => {
      this.queue.push(resolve);
    });
  }

  private freeSlot(): void {
    const next = this.queue.shift();
    if (next === undefined) this.busySlots--;
    else next();
  }
}
