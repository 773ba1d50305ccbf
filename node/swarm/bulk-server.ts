/** Answers the fragment requests of admitted peers: few answers at once, and very few to one peer. */
import type { Stream } from "@libp2p/interface";
import { Uint8ArrayList } from "uint8arraylist";
import { BULK_REQUEST_BYTES, encodeBulkHeader, type BulkRequest } from "../../protocol/exchange.ts";
import { RequestQueue } from "./request-queue.ts";
import { drained, Inbox } from "./stream-io.ts";
import { UploadSlots, type UploadSlot } from "./upload-slots.ts";

/** Bytes of requests that are read ahead of those in the queue. */
const QUEUE_MAX_BYTES = 64 * BULK_REQUEST_BYTES;
/** Answers to one peer that are under way: one on the wire, one behind it. */
const PEER_MAX_COUNT = 2;
/** The wire bytes of a fragment that this node has; undefined otherwise. */
export type ReadFragment = (request: BulkRequest) => Promise<Buffer | undefined>;

/** How much is served (distribution 5.4); it may change at any time. */
export interface UploadLimits {
  /** Answers under way at most; 0: only what is owed, one at a time. */
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
  private readonly slots: UploadSlots;

  /** `nowMs`: milliseconds that never jump. */
  constructor(read: ReadFragment, limits: UploadLimits, nowMs: () => number) {
    this.read = read;
    this.limits = limits;
    this.slots = new UploadSlots(() => limits.uploadSlots, nowMs);
  }

  /** Serves until the peer closes the stream. Rejects when the stream breaks. */
  async serve(stream: Stream, seal: SealFragment): Promise<void> {
    const open = new Map<number, UploadSlot>();
    const requests = new RequestQueue((id) => open.get(id)?.received());
    const inbox = new Inbox(stream, QUEUE_MAX_BYTES);
    try {
      await Promise.all([
        requests.readFrom(inbox),
        this.answerAll(stream, requests, { seal, open }),
      ]);
      await stream.close();
    } finally {
      for (const slot of open.values()) slot.free();
    }
  }

  private async answerAll(
    stream: Stream,
    requests: RequestQueue,
    { seal, open }: { readonly seal: SealFragment; readonly open: Map<number, UploadSlot> },
  ): Promise<void> {
    try {
      for (;;) {
        const request = await requests.next();
        if (request === undefined) return;
        await roomFor(open);
        await this.slots.run(async (slot) => {
          open.set(request.id, slot);
          if (requests.isCancelled) this.decline(stream, request, slot);
          else await this.answer(stream, request, { seal, slot });
        });
      }
    } finally {
      requests.end();
    }
  }

  private decline(stream: Stream, { id }: BulkRequest, slot: UploadSlot): void {
    stream.send(encodeBulkHeader({ id, status: "cancelled", payloadBytes: 0 }));
    slot.free();
  }

  private async answer(
    stream: Stream,
    request: BulkRequest,
    { seal, slot }: { readonly seal: SealFragment; readonly slot: UploadSlot },
  ): Promise<void> {
    const isRefused = this.limits.uploadSlots === 0 && !this.limits.isOwed(request);
    const bytes = isRefused ? undefined : await this.read(request);
    const absence = isRefused ? "busy" : "absent";
    const status = bytes === undefined ? absence : "ok";
    const payloadBytes = bytes?.length ?? 0;
    await this.limits.upload(payloadBytes);
    const header = encodeBulkHeader({ id: request.id, status, payloadBytes });
    // Header and payload as one send: writes of a whole fragment cost half the CPU of 64 KiB ones.
    const frame =
      bytes === undefined ? header : new Uint8ArrayList(header, seal(request, bytes), bytes);
    if (bytes === undefined) slot.free();
    else slot.sending(payloadBytes);
    if (!stream.send(frame)) await drained(stream);
  }
}

/** Forgets what the peer has, and waits until it has more of what was sent to it. */
async function roomFor(open: Map<number, UploadSlot>): Promise<void> {
  for (const [id, slot] of open) {
    if (open.size < PEER_MAX_COUNT) return;
    await slot.freed;
    open.delete(id);
  }
}
