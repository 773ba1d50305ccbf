/** Takes bytes from a stream in the portions that a format asks for. */
import type { Readable } from "node:stream";

export class ByteQueue {
  readonly #source: AsyncIterator<unknown>;
  #held: Buffer = Buffer.alloc(0);
  #takenBytes = 0;

  constructor(source: Readable) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Bytes handed out so far. */
  get takenBytes(): number {
    return this.#takenBytes;
  }

  /** Between 1 and `maxBytes` bytes; none at the end. */
  async some(maxBytes: number): Promise<Buffer> {
    if (this.#held.length === 0) this.#held = await this.#next();
    const bytes = this.#held.subarray(0, maxBytes);
    this.#held = this.#held.subarray(bytes.length);
    this.#takenBytes += bytes.length;
    return bytes;
  }

  /** Exactly so many bytes, or undefined where the stream ends before. For small portions only. */
  async exactly(sizeBytes: number): Promise<Buffer | undefined> {
    const parts: Buffer[] = [];
    for (let leftBytes = sizeBytes; leftBytes > 0;) {
      const bytes = await this.some(leftBytes);
      if (bytes.length === 0) return undefined;
      parts.push(bytes);
      leftBytes -= bytes.length;
    }
    return Buffer.concat(parts);
  }

  async #next(): Promise<Buffer> {
    const next = await this.#source.next();
    if (next.done === true) return Buffer.alloc(0);
    return Buffer.isBuffer(next.value) ? next.value : Buffer.from(String(next.value));
  }
}
