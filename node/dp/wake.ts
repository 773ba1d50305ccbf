/**
 * Wake-on-LAN by a node of the target's site (OCO-7, OCO-12): magic packets to UDP port 9, as broadcasts of
 * every wired subnet of this node, three times, and once per request.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import ipaddr from "ipaddr.js";
import type { Logger } from "pino";
import type { Roster } from "../../protocol/check-in.ts";
import type { Journal } from "../content/journal.ts";
import { wiredInterfaces, type WiredInterface } from "../uplink/system-facts.ts";

/** The discard port: no program listens there, network cards look at every frame. */
const WAKE_PORT = 9;
/** Datagrams get lost, and nobody answers one. */
const SEND_COUNT = 3;
const SEND_PAUSE_MS = 100;
const LIMITED_BROADCAST = "255.255.255.255";

type WakeRequests = NonNullable<Roster["wakes"]>;

export interface WakerParts {
  readonly journal: Journal;
  readonly interfaces?: () => Promise<readonly WiredInterface[]>;
  readonly log: Logger;
}

export class Waker {
  readonly #parts: WakerParts;

  constructor(parts: WakerParts) {
    this.#parts = parts;
  }

  /** Broadcasts what has not been broadcast before; also not by an earlier process. */
  async wake(requests: WakeRequests): Promise<void> {
    const { journal, log } = this.#parts;
    const fresh = requests.filter(({ id }) => !journal.state.wakes.has(id));
    if (fresh.length === 0) return;
    // Before, not after: a node that dies in between must not wake a site again and again.
    await journal.append({ type: "woke", ids: fresh.map(({ id }) => id) });
    const macs = [...new Set(fresh.flatMap((request) => request.macs))];
    const addresses = broadcastsOf(await (this.#parts.interfaces ?? wiredInterfaces)());
    const sentCount = await broadcast(macs, addresses, (address, error) =>
      log.debug({ address, err: error }, "wake.notSent"),
    );
    log.info({ ids: fresh.map(({ id }) => id), macs, addresses, sentCount }, "wake.sent");
  }
}

/** Six bytes of ones, then the hardware address sixteen times. */
export function magicPacket(mac: string): Buffer {
  const address = Buffer.from(mac.replaceAll(":", ""), "hex");
  return Buffer.concat([Buffer.alloc(6, 0xff), ...Array.from({ length: 16 }, () => address)]);
}

/** Broadcast addresses of the subnets, and the one of the link. */
export function broadcastsOf(interfaces: readonly WiredInterface[]): readonly string[] {
  const directed = interfaces
    .flatMap(({ cidrs }) => cidrs)
    // A subnet of one or two addresses has no broadcast.
    .filter((cidr) => Number(cidr.split("/")[1]) <= 30)
    .map((cidr) => ipaddr.IPv4.broadcastAddressFromCIDR(cidr).toString());
  return [...new Set([...directed, LIMITED_BROADCAST])];
}

async function broadcast(
  macs: readonly string[],
  addresses: readonly string[],
  onFailure: (address: string, error: unknown) => void,
): Promise<number> {
  const socket = createSocket("udp4");
  try {
    socket.bind();
    await once(socket, "listening");
    socket.setBroadcast(true);
    const packets = macs.flatMap((mac) =>
      addresses.map((address) => ({ address, packet: magicPacket(mac) })),
    );
    let sentCount = 0;
    for (let round = 0; round < SEND_COUNT; round++) {
      if (round > 0) await pause(SEND_PAUSE_MS);
      const sendings = packets.map(async ({ address, packet }) => {
        const error = await sent(socket, packet, address);
        if (error === undefined) sentCount += 1;
        else onFailure(address, error);
      });
      await Promise.all(sendings);
    }
    return sentCount;
  } finally {
    socket.close();
  }
}

// A broadcast that has no way out, such as one of a link that is down, must not keep the others.
async function sent(
  socket: ReturnType<typeof createSocket>,
  packet: Buffer,
  address: string,
): Promise<Error | undefined> {
  const done = Promise.withResolvers<Error | undefined>();
  socket.send(packet, WAKE_PORT, address, (error) => done.resolve(error ?? undefined));
  return done.promise;
}
