/** One TCP or TLS socket as libp2p sees a connection: bytes in, bytes out, and the way it ends. */
import type { Socket } from "node:net";
import type { Logger, MessageStreamDirection } from "@libp2p/interface";
import { AbstractMultiaddrConnection } from "@libp2p/utils";
import type { Multiaddr } from "@multiformats/multiaddr";
import type { Uint8ArrayList } from "uint8arraylist";

/** The kernel asks a silent peer after this long; a timer of our own would be set anew with every read. */
const KEEP_ALIVE_MS = 60_000;

export class SocketConnection extends AbstractMultiaddrConnection {
  private readonly socket: Socket;

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
    let canSendMore = true;
    this.socket.cork();
    for (const part of data) canSendMore = this.socket.write(part);
    this.socket.uncork();
    return { sentBytes: data.byteLength, canSendMore };
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
