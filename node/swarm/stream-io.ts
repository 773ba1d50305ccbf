/**
 * Reading and writing libp2p 3 streams with bounded memory. The stream's own `onDrain()` resolves at
 * once from its second call on and its async iterator has no backpressure, so both are done here.
 */
import type { Stream } from "@libp2p/interface";
import { Uint8ArrayList } from "uint8arraylist";

/** Waits until `send` may be called again. Rejects when the stream ends first. */
export async function drained(stream: Stream): Promise<void> {
  if (stream.status !== "open" || !stream.writableNeedsDrain) return;
  await new Promise<void>((resolve, reject) => {
    const onDrain = () => {
      stream.removeEventListener("close", onClose);
      resolve();
    };
    const onClose = () => {
      stream.removeEventListener("drain", onDrain);
      reject(new Error("the stream closed"));
    };
    stream.addEventListener("drain", onDrain, { once: true });
    stream.addEventListener("close", onClose, { once: true });
  });
}

/** The bytes in one piece: joined where they came in several, and never copied twice. */
export function joined(list: Uint8ArrayList): Buffer {
  const { buffer, byteOffset, byteLength } = list.subarray();
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** Exact-length reads without joining buffers; pauses the sender above `highBytes`. */
export class Inbox {
  private readonly stream: Stream;
  private readonly highBytes: number;
  private readonly list = new Uint8ArrayList();
  private wake: (() => void) | undefined;
  /** How many bytes the reader waits for: it is not woken for less. */
  private neededBytes = 0;
  private failure: Error | undefined;
  private isOver = false;

  constructor(stream: Stream, highBytes: number) {
    this.stream = stream;
    this.highBytes = highBytes;
    stream.addEventListener("message", (event) => {
      this.list.append(event.data);
      // A pause inside the handler is undone by a resume that is still running: wait one microtask.
      if (this.isFull) queueMicrotask(() => this.pauseIfFull());
      this.changed();
    });
    stream.addEventListener("end", () => this.changed());
    stream.addEventListener("remoteCloseWrite", () => this.changed());
    stream.addEventListener("close", (event) => {
      this.failure = event.error;
      this.isOver = true;
      this.changed();
    });
  }

  /** The next `count` bytes; undefined when the stream ended cleanly before the first of them. */
  async take(count: number): Promise<Uint8ArrayList | undefined> {
    while (this.list.byteLength < count) {
      if (this.isOver) {
        if (this.list.byteLength === 0 && this.failure === undefined) return undefined;
        throw this.failure ?? new Error("the stream ended inside a message");
      }
      if (this.stream.readStatus === "paused") this.stream.resume();
      else {
        this.neededBytes = count;
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
        this.wake = undefined;
        this.neededBytes = 0;
      }
    }
    const out = this.list.sublist(0, count);
    this.list.consume(count);
    if (this.stream.readStatus === "paused" && this.list.byteLength < this.highBytes / 2) {
      this.stream.resume();
    }
    return out;
  }

  private pauseIfFull(): void {
    if (this.isFull && this.stream.readStatus === "readable") this.stream.pause();
  }

  /** What a reader waits for must come in, however long it is. */
  private get isFull(): boolean {
    return this.list.byteLength > Math.max(this.highBytes, this.neededBytes);
  }

  private changed(): void {
    if (this.stream.readableEnded && this.stream.readBufferLength === 0) this.isOver = true;
    if (this.isOver || this.list.byteLength >= this.neededBytes) this.wake?.();
  }
}

/** One frame of varint length and body; undefined at a clean end. */
export async function takeFrame(inbox: Inbox, maxBytes: number): Promise<Buffer | undefined> {
  let length = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = (await inbox.take(1))?.get(0);
    if (byte === undefined) return undefined;
    length += (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  if (length > maxBytes) throw new Error(`a frame of ${length} bytes is too large`);
  const body = length === 0 ? undefined : await inbox.take(length);
  return body === undefined ? Buffer.alloc(0) : joined(body);
}
