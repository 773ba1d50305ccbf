/** Somebody on the LAN who belongs to no fleet, speaks the exchange well, and asks all the same. */
import { noise } from "@chainsafe/libp2p-noise";
import { generateKeyPairFromSeed } from "@libp2p/crypto/keys";
import type { Stream } from "@libp2p/interface";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { randomBytes } from "node:crypto";
import { createLibp2p } from "libp2p";
import { Inbox, takeFrame } from "../../node/swarm/stream-io.ts";
import type { Membership } from "../../protocol/check-in.ts";
import { ed25519PrivateKey, signStatement, type Envelope } from "../../protocol/dsse.ts";
import { Bitmap } from "../../protocol/bitmap.ts";
import {
  BULK_PROTOCOL,
  CONTROL_FRAME_MAX_BYTES,
  CONTROL_PROTOCOL,
  decodeControl,
  encodeBulkRequest,
  encodeControl,
  EXCHANGE_VERSION,
  type ControlMessage,
} from "../../protocol/exchange.ts";
import { parseEndpointId, type EndpointId, type SwarmTag } from "../../protocol/ids.ts";

const PATIENCE_MS = 10_000;

export interface Heard {
  readonly stranger: EndpointId;
  readonly messages: readonly ControlMessage[];
  readonly bulkBytes: number;
}

/** What a membership would say that lets the stranger in. */
export type Claim = Omit<Membership, "endpoint">;

/**
 * Says HELLO with a membership of its own making, or with a `stolen` one, joins the swarm whose tag it
 * knows, and asks for fragment 0.
 */
export async function askAsStranger(
  address: string,
  swarm: SwarmTag,
  claim: Claim,
  stolen?: Envelope,
): Promise<Heard> {
  const seed = randomBytes(32);
  const libp2p = await createLibp2p({
    privateKey: await generateKeyPairFromSeed("Ed25519", seed),
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
  });
  try {
    const stranger = parseEndpointId(libp2p.peerId.toString());
    const made = signStatement(
      "membership",
      { ...claim, endpoint: stranger },
      ed25519PrivateKey(seed),
    );
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const connection = await libp2p.dial(multiaddr(address), { signal });
    const control = await connection.newStream(CONTROL_PROTOCOL, { signal });
    const inbox = new Inbox(control, CONTROL_FRAME_MAX_BYTES);
    const membership = stolen ?? made;
    send(control, { type: "hello", version: EXCHANGE_VERSION, membership, addresses: [] });
    send(control, { type: "join", swarm, isAnswer: false, have: new Bitmap(1) });
    const messages = await heardOn(inbox);
    const bulk = await connection.newStream(BULK_PROTOCOL, { signal }).catch(() => undefined);
    const bulkBytes = bulk === undefined ? 0 : await bytesFor(bulk, swarm);
    return { stranger, messages, bulkBytes };
  } finally {
    await libp2p.stop();
  }
}

function send(stream: Stream, message: ControlMessage): void {
  stream.send(encodeControl(message));
}

/** Everything until the other side ends the stream. */
async function heardOn(inbox: Inbox): Promise<readonly ControlMessage[]> {
  const messages: ControlMessage[] = [];
  for (;;) {
    const frame = await takeFrame(inbox, CONTROL_FRAME_MAX_BYTES).catch(() => undefined);
    if (frame === undefined) return messages;
    messages.push(decodeControl(frame));
  }
}

async function bytesFor(stream: Stream, swarm: SwarmTag): Promise<number> {
  const inbox = new Inbox(stream, CONTROL_FRAME_MAX_BYTES);
  try {
    stream.send(encodeBulkRequest({ id: 1, swarm, index: 0 }));
  } catch {
    // It was reset before anything could be asked.
    return 0;
  }
  const first = await inbox.take(1).catch(() => undefined);
  return first?.byteLength ?? 0;
}
