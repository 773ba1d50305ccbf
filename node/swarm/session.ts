/**
 * The session with one peer: a control stream that begins with HELLO both ways, and the bulk client
 * beside it. A session exists only after the peer's membership has been verified (trust P10, S13).
 */
import type { Connection, Stream } from "@libp2p/interface";
import type { Membership } from "../../protocol/check-in.ts";
import type { Envelope } from "../../protocol/dsse.ts";
import {
  BULK_PROTOCOL,
  CONTROL_FRAME_MAX_BYTES,
  EXCHANGE_VERSION,
  decodeControl,
  encodeControl,
  type ControlMessage,
} from "../../protocol/exchange.ts";
import { parseEndpointId, type EndpointId } from "../../protocol/ids.ts";
import { BulkClient } from "./bulk-client.ts";
import { Inbox, takeFrame } from "./stream-io.ts";

/** A peer that has not said HELLO by then is dropped. */
const HELLO_TIMEOUT_MS = 5000;
const CONTROL_READ_BYTES = 256 * 1024;

export interface OwnHello {
  readonly self: EndpointId;
  readonly membership: Envelope;
  readonly addresses: readonly string[];
  readonly verify: (envelope: Envelope, endpoint: EndpointId) => Membership;
}

export class Session {
  readonly peer: EndpointId;
  readonly membership: Membership;
  /** Where the peer can be dialled, as it says. */
  readonly addresses: readonly string[];
  /** Who opened the control stream; of two sessions of a pair the smaller opener's stays. */
  readonly opener: EndpointId;
  readonly bulk: BulkClient;
  private readonly stream: Stream;
  private readonly inbox: Inbox;

  private constructor(
    stream: Stream,
    inbox: Inbox,
    connection: Connection,
    opener: EndpointId,
    hello: { readonly membership: Membership; readonly addresses: readonly string[] },
  ) {
    this.stream = stream;
    this.inbox = inbox;
    this.peer = parseEndpointId(connection.remotePeer.toString());
    this.membership = hello.membership;
    this.addresses = hello.addresses;
    this.opener = opener;
    this.bulk = new BulkClient(async () =>
      connection.newStream(BULK_PROTOCOL, {
        maxOutboundStreams: 8,
        signal: AbortSignal.timeout(HELLO_TIMEOUT_MS),
      }),
    );
  }

  /** Exchanges HELLO. Rejects where the peer is silent, speaks another version or is no member. */
  static async establish(stream: Stream, connection: Connection, own: OwnHello): Promise<Session> {
    const inbox = new Inbox(stream, CONTROL_READ_BYTES);
    const { membership, addresses } = own;
    stream.send(encodeControl({ type: "hello", version: EXCHANGE_VERSION, membership, addresses }));
    const deadline = AbortSignal.timeout(HELLO_TIMEOUT_MS);
    const late = () => stream.abort(new Error("no HELLO in time"));
    deadline.addEventListener("abort", late, { once: true });
    try {
      const body = await takeFrame(inbox, CONTROL_FRAME_MAX_BYTES);
      const hello = body === undefined ? undefined : decodeControl(body);
      if (hello?.type !== "hello" || hello.version !== EXCHANGE_VERSION) {
        throw new Error("the peer did not begin with a HELLO of this version");
      }
      const peer = parseEndpointId(connection.remotePeer.toString());
      const verified = own.verify(hello.membership, peer);
      const opener = stream.direction === "outbound" ? own.self : peer;
      return new Session(stream, inbox, connection, opener, {
        membership: verified,
        addresses: hello.addresses,
      });
    } catch (error) {
      stream.abort(new Error("the session was refused"));
      throw error;
    } finally {
      deadline.removeEventListener("abort", late);
    }
  }

  get isOpen(): boolean {
    return this.stream.status === "open";
  }

  /** Control messages are small and few: they are queued without waiting for a drain. */
  send(message: ControlMessage): void {
    if (this.isOpen) this.stream.send(encodeControl(message));
  }

  /** Yields messages until the session ends. Throws on noise. */
  async *messages(): AsyncGenerator<ControlMessage> {
    for (;;) {
      const body = await takeFrame(this.inbox, CONTROL_FRAME_MAX_BYTES);
      if (body === undefined) return;
      yield decodeControl(body);
    }
  }

  close(reason: string): void {
    this.bulk.close();
    if (this.isOpen) this.stream.abort(new Error(reason));
  }
}
