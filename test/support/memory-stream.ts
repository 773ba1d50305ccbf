/** As much of a libp2p stream as the two ends of a bulk stream use; what is sent is kept. */
import { Uint8ArrayList } from "uint8arraylist";

export class MemoryStream extends EventTarget {
  readonly sent: Buffer[] = [];
  status = "open";
  readStatus = "readable";
  readableEnded = false;
  readBufferLength = 0;
  writableNeedsDrain = false;

  send(frame: Uint8Array | Uint8ArrayList): boolean {
    this.sent.push(Buffer.from(frame.subarray()));
    return true;
  }

  /** One message of the other end. */
  push(...parts: readonly Uint8Array[]): void {
    const data = new Uint8ArrayList(...parts);
    this.dispatchEvent(Object.assign(new Event("message"), { data }));
  }

  end(): void {
    this.readableEnded = true;
    this.dispatchEvent(new Event("end"));
  }

  async close(): Promise<void> {
    this.status = "closed";
  }

  pause(): void {}
  resume(): void {}
  abort(): void {}
}
