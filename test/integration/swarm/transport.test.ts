/** The site's transport against itself and against a peer that knows noise only, over real sockets. */
import { randomBytes } from "node:crypto";
import { connect as connectTcp } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { noise } from "@chainsafe/libp2p-noise";
import { generateKeyPairFromSeed } from "@libp2p/crypto/keys";
import type { Connection, Stream } from "@libp2p/interface";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p, type Libp2p } from "libp2p";
import { afterEach, describe, expect, it } from "vitest";
import { siteTransport } from "../../../node/swarm/site-transport.ts";
import { drained, Inbox, joined } from "../../../node/swarm/stream-io.ts";
import { createSwarm } from "../../../node/swarm/swarm.ts";
import { tlsIdentity } from "../../../node/swarm/tls-identity.ts";
import type { Swarm } from "../../../node/content/ports.ts";
import { CONTROL_PROTOCOL } from "../../../protocol/exchange.ts";
import { endpointIdOf, parseSiteName } from "../../../protocol/ids.ts";
import { MemoryFragments, TestOrigin, testPackage } from "../../support/memory-swarm.ts";

const ECHO = "/test/echo/1";
const running: Libp2p[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map(async (node) => node.stop()));
});

async function start(kind: "site" | "noise-only"): Promise<Libp2p> {
  const seed = randomBytes(32);
  const node = await createLibp2p({
    privateKey: await generateKeyPairFromSeed("Ed25519", seed),
    addresses: { listen: ["/ip4/127.0.0.1/tcp/0"] },
    transports: [kind === "site" ? siteTransport(seed) : tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
  });
  running.push(node);
  await node.handle(ECHO, async (stream: Stream) => {
    const inbox = new Inbox(stream, 1 << 20);
    for (let bytes = await inbox.take(4096); bytes !== undefined; bytes = await inbox.take(4096)) {
      if (!stream.send(bytes)) await drained(stream);
    }
    await stream.close();
  });
  return node;
}

async function dialled(from: Libp2p, to: Libp2p): Promise<Connection> {
  const [address] = to.getMultiaddrs();
  return from.dial(address!, { signal: AbortSignal.timeout(10_000) });
}

async function echoed(connection: Connection, sent: Buffer): Promise<Buffer> {
  const stream = await connection.newStream(ECHO);
  const inbox = new Inbox(stream, 1 << 20);
  const answer = inbox.take(sent.length);
  for (let at = 0; at < sent.length; at += 4096) {
    if (!stream.send(sent.subarray(at, at + 4096))) await drained(stream);
  }
  return joined((await answer)!);
}

describe("the transport of a site", () => {
  it("speaks TLS between two nodes, with the PeerIds of both proved", async () => {
    const [one, other] = [await start("site"), await start("site")];
    const seen = Promise.withResolvers<Connection>();
    other.addEventListener("connection:open", (event) => seen.resolve(event.detail));

    const connection = await dialled(one, other);

    const inbound = await seen.promise;
    expect(connection.encryption).toBe("native");
    expect(connection.remotePeer.toString()).toBe(other.peerId.toString());
    expect(inbound.remotePeer.toString()).toBe(one.peerId.toString());
    const sent = randomBytes(4096 * 300);
    expect((await echoed(connection, sent)).equals(sent)).toBe(true);
  });

  it("is reached by a peer that knows noise only, and reaches it", async () => {
    const [site, old] = [await start("site"), await start("noise-only")];
    const third = await start("noise-only");

    const inwards = await dialled(old, site);
    const outwards = await dialled(site, third);

    const sent = randomBytes(4096 * 20);
    for (const connection of [inwards, outwards]) {
      expect(connection.encryption).toBe("/noise");
      expect((await echoed(connection, sent)).equals(sent)).toBe(true);
    }
    expect(outwards.remotePeer.toString()).toBe(third.peerId.toString());
  });

  it("BR-3 refuses an address whose holder is another peer than it names", async () => {
    const [one, other, named] = [await start("site"), await start("site"), await start("site")];
    const [port] = /\d+(?=\/p2p)/u.exec(other.getMultiaddrs()[0]!.toString())!;
    const wrong = multiaddr(`/ip4/127.0.0.1/tcp/${port}/p2p/${named.peerId.toString()}`);

    await expect(one.dial(wrong)).rejects.toThrow(other.peerId.toString());
  });

  it("BR-3 drops a TLS client without a certificate, with one that proves no PeerId, or below TLS 1.3", async () => {
    const site = await start("site");
    const [port] = /\d+(?=\/p2p)/u.exec(site.getMultiaddrs()[0]!.toString())!;
    const options = { host: "127.0.0.1", port: Number(port), rejectUnauthorized: false };
    const identity = tlsIdentity(randomBytes(32));
    const stranger = { key: identity.key, cert: withoutExtension(identity.cert) };

    const old = { ...identity, maxVersion: "TLSv1.2" } as const;

    for (const credentials of [{}, stranger, old]) {
      await ended(connectTls({ ...options, ...credentials }));
    }

    expect(site.getConnections()).toEqual([]);
  });

  it("takes fifty peers that dial from one address in the same second", async () => {
    await using swarm = await startLoneSwarm();
    const address = multiaddr(swarm.addresses()[0]);
    const peers = await Promise.all(Array.from({ length: 50 }, async () => start("site")));
    const signal = AbortSignal.timeout(20_000);

    const streams = await Promise.all(
      peers.map(async (peer) => {
        const connection = await peer.dial(address, { signal });
        return connection.newStream(CONTROL_PROTOCOL, { signal });
      }),
    );

    expect(streams.every(({ status }) => status === "open")).toBe(true);
  });

  it("drops who ends before the first byte, and goes on", async () => {
    const [site, other] = [await start("site"), await start("site")];
    const [port] = /\d+(?=\/p2p)/u.exec(site.getMultiaddrs()[0]!.toString())!;
    const silent = connectTcp(Number(port), "127.0.0.1");
    silent.end();
    await new Promise((resolve) => silent.once("close", resolve));

    const connection = await dialled(other, site);

    expect(connection.status).toBe("open");
  });
});

/** A swarm that has been placed at a site, so that it listens to strangers until they have said HELLO. */
async function startLoneSwarm(): Promise<Swarm> {
  const pack = testPackage(1, 1000);
  const swarm = await createSwarm({
    seed: randomBytes(32),
    fleet: "0123456789abcdef",
    listen: ["/ip4/127.0.0.1/tcp/0"],
    store: new MemoryFragments(),
    origin: new TestOrigin(pack).for(endpointIdOf(randomBytes(32))),
    verifyMembership: () => {
      throw new Error("nobody has said HELLO");
    },
    onRefusal: () => undefined,
    onNews: () => undefined,
  });
  const roster = {
    v: 1 as const,
    endpoint: endpointIdOf(randomBytes(32)),
    version: 1,
    site: parseSiteName("north"),
    epoch: 1,
    criteria: [],
    publicAddress: "127.0.0.1",
    dps: [],
    peers: [],
  };
  const membership = { payloadType: "t", payload: "", signature: "" };
  await swarm.place({ roster, dp: undefined, role: "agent", membership });
  return swarm;
}

function withoutExtension(pem: string): string {
  const der = Buffer.from(pem.replaceAll(/-----.*?-----|\n/gu, ""), "base64");
  der[der.indexOf(Buffer.from("060a2b0601040183a25a0101", "hex")) + 11] = 2;
  return `-----BEGIN CERTIFICATE-----\n${der.toString("base64")}\n-----END CERTIFICATE-----\n`;
}

async function ended(socket: TLSSocket): Promise<void> {
  socket.on("error", () => undefined).resume();
  await new Promise((resolve) => socket.once("close", resolve));
}
