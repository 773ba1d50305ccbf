/** One TCP or TLS socket as libp2p sees a connection: bytes in, bytes out, and the way it ends. */
import type { Socket } from "node:net";
import type { Logger, MessageStreamDirection } from "@libp2p/interface";
import { AbstractMultiaddrConnection } from "@libp2p/utils";
import type { Multiaddr } from "@multiformats/multiaddr";
import type { Uint8ArrayList } from "uint8arraylist";

/** The kernel asks a silent peer after this long; a timer of our own would be set anew with every read. */
const KEEP_ALIVE_MS = 60_000;
/** The multiplexer tells after every frame how much more it takes: a header of its own, and a packet. */
const CREDIT_BYTES = 12;
const CREDIT_TYPE = 1;
/** Credit may wait as long as it is little: a stream has 256 KiB of it at least. */
const HELD_MAX_BYTES = 16 * 1024;

export class SocketConnection extends AbstractMultiaddrConnection {
  private readonly socket: Socket;
  /** Credit that goes with whatever is sent next, and how much it is. */
  private held: Buffer[] = [];
  private heldBytes = 0;

  constructor(
    socket: Socket,
    remoteAddr: Multiaddr,
    direction: MessageStreamDirection,
    log: Logger,
  ) {
    super({ remoteAddr, direction, log });
    this.socket = socket;
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.on("data", (bytes: Buffer) => this.onData(bytes));
    socket.on("drain", () => this.safeDispatchEvent("drain"));
    socket.on("error", (error) => this.abort(error));
    socket.once("end", () => this.onTransportClosed());
    socket.once("close", () => this.onTransportClosed());
  }

  /** All parts in one write: each of its own would be a TLS record and a system call. */
  sendData(data: Uint8ArrayList): { sentBytes: number; canSendMore: boolean } {
    const sentBytes = data.byteLength;
    const creditBytes = creditOf(data);
    if (creditBytes !== undefined && this.heldBytes + creditBytes <= HELD_MAX_BYTES) {
      this.held.push(Buffer.from(data.subarray()));
      this.heldBytes += creditBytes;
      return { sentBytes, canSendMore: true };
    }
    let canSendMore = true;
    this.socket.cork();
    for (const part of [...this.held, ...data]) canSendMore = this.socket.write(part);
    this.socket.uncork();
    this.held = [];
    this.heldBytes = 0;
    return { sentBytes, canSendMore };
  }

  async sendClose(): Promise<void> {
    if (this.socket.destroyed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.socket.once("close", () => resolve());
    this.socket.destroySoon();
    await promise;
  }

  sendReset(): void {
    this.socket.destroy();
  }

  sendPause(): void {
    this.socket.pause();
  }

  sendResume(): void {
    this.socket.resume();
  }
}

/** Bytes that a yamux window update without flags allows; undefined for all else. */
function creditOf(data: Uint8ArrayList): number | undefined {
  if (data.byteLength !== CREDIT_BYTES) return undefined;
  const isCredit = data.getUint16(0) === CREDIT_TYPE && data.getUint16(2) === 0;
  return isCredit ? data.getUint32(8) : undefined;
}
