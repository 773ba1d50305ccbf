/**
 * Whether what was sent has arrived. The kernel takes the last bytes of a fragment long before a slow line has
 * carried them. They are there when the same connection brings another request, and lost when it ends before;
 * a node that lives keeps an idle connection for longer.
 */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Less than the time for which a node keeps a connection that it has no use for (node/uplink). */
const DOUBT_MS = 40_000;

interface Sent {
  readonly atMs: number;
  readonly onLost: () => void;
}

export class FragmentArrivals {
  readonly #last = new WeakMap<Socket, Sent | undefined>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** All bytes are with the kernel; `onLost` hears if they did not arrive. */
  sent({ req: { socket }, shouldKeepAlive }: ServerResponse, onLost: () => void): void {
    // One that ends with its answer says nothing; behind some proxies all are like that.
    if (!shouldKeepAlive) return;
    if (!this.#last.has(socket)) socket.once("close", () => this.#closed(socket));
    this.#last.set(socket, { atMs: this.#nowMs(), onLost });
  }

  /** Another request on the connection: what was sent before it is there. */
  requested(socket: Socket): void {
    if (this.#last.has(socket)) this.#last.set(socket, undefined);
  }

  #closed(socket: Socket): void {
    const last = this.#last.get(socket);
    this.#last.delete(socket);
    if (last !== undefined && this.#nowMs() - last.atMs < DOUBT_MS) last.onLost();
  }
}
