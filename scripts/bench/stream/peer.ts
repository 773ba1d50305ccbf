/**
 * One end of the stream measurement, in a process of its own: `peer.ts serve KIND` prints its address and
 * serves until its input ends; `peer.ts fetch KIND ADDRESS BYTES`. Both print what it cost them.
 */
import { hash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { noise } from "@chainsafe/libp2p-noise";
import { generateKeyPairFromSeed } from "@libp2p/crypto/keys";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { connect as connectTcp, createServer as createTcpServer, type AddressInfo } from "node:net";
import { createServer as createHttpsServer } from "node:https";
import { createLibp2p, type Libp2p } from "libp2p";
import { Agent } from "undici";
import { BulkClient } from "../../../node/swarm/bulk-client.ts";
import { BulkServer } from "../../../node/swarm/bulk-server.ts";
import { createSealer } from "../../../node/swarm/fragment-seals.ts";
import { NO_LIMITS } from "../../../node/swarm/guarded-ports.ts";
import { siteTransport } from "../../../node/swarm/site-transport.ts";
import { tlsIdentity } from "../../../node/swarm/tls-identity.ts";
import { BULK_PROTOCOL } from "../../../protocol/exchange.ts";
import { parseDigest, parseEndpointId, parseSwarmTag } from "../../../protocol/ids.ts";

/** An average fragment, and requests in flight per peer, as the exchange has them. */
const FRAGMENT_BYTES = 256 * 1024;
const IN_FLIGHT = 2;
const TAG = parseSwarmTag("0".repeat(64));
const fragment = randomBytes(FRAGMENT_BYTES);
const DIGEST = parseDigest(hash("sha256", fragment, "hex"));
const agent = new Agent({ connections: 1, connect: { rejectUnauthorized: false } });
const clients = new Map<string, Promise<BulkClient>>();

interface Kind {
  /** Resolves with the address to be given to `fetch`. */
  readonly serve: () => Promise<string>;
  readonly fetch: (address: string, sizeBytes: number) => Promise<void>;
}

const KINDS: Readonly<Record<string, Kind>> = {
  "raw-tcp": { serve: serveTcp, fetch: fetchTcp },
  https: { serve: serveHttps, fetch: fetchHttps },
  branchline: {
    serve: async () => serveBulk(true),
    fetch: async (address, sizeBytes) => fetchBulk(true, address, sizeBytes),
  },
  "branchline-noise": {
    serve: async () => serveBulk(false),
    fetch: async (address, sizeBytes) => fetchBulk(false, address, sizeBytes),
  },
};

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function serveTcp(): Promise<string> {
  const server = createTcpServer((socket) => {
    // Asked once per connection, in decimal.
    socket.once("data", (asked) => {
      let left = Number(asked.toString());
      const send = (): void => {
        for (; left > 0; left -= FRAGMENT_BYTES) {
          if (socket.write(fragment)) continue;
          left -= FRAGMENT_BYTES;
          socket.once("drain", send);
          return;
        }
        socket.end();
      };
      send();
    });
  });
  return listening(server.listen(0, "127.0.0.1"));
}

async function fetchTcp(port: string, sizeBytes: number): Promise<void> {
  const socket = connectTcp(Number(port), "127.0.0.1");
  socket.write(String(sizeBytes));
  socket.on("data", () => undefined);
  await once(socket, "end");
}

async function serveHttps(): Promise<string> {
  const server = createHttpsServer(tlsIdentity(randomBytes(32)), (_request, response) => {
    response.setHeader("content-length", FRAGMENT_BYTES).end(fragment);
  });
  return listening(server.listen(0, "127.0.0.1"));
}

async function fetchHttps(port: string, sizeBytes: number): Promise<void> {
  await inFlight(sizeBytes, async () => {
    const { body } = await agent.request({
      origin: `https://127.0.0.1:${port}`,
      path: "/",
      method: "GET",
    });
    const parts: Buffer[] = [];
    for await (const part of body) if (Buffer.isBuffer(part)) parts.push(part);
    return Buffer.concat(parts).length;
  });
}

async function libp2pOf(isTls: boolean): Promise<Libp2p> {
  const seed = randomBytes(32);
  return createLibp2p({
    privateKey: await generateKeyPairFromSeed("Ed25519", seed),
    addresses: { listen: ["/ip4/127.0.0.1/tcp/0"] },
    transports: [isTls ? siteTransport(seed) : tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({ streamOptions: { maxStreamWindowSize: 2 << 20, maxReadBufferLength: 16 << 20 } }),
    ],
    connectionMonitor: { enabled: false },
  });
}

async function serveBulk(isTls: boolean): Promise<string> {
  const libp2p = await libp2pOf(isTls);
  const limits = { ...NO_LIMITS, isOwed: () => false };
  const server = new BulkServer(
    async () => fragment,
    limits,
    () => performance.now(),
  );
  const sealer = createSealer(randomBytes(32), Date.now);
  await libp2p.handle(BULK_PROTOCOL, async (stream, { remotePeer }) => {
    const receiver = parseEndpointId(remotePeer.toString());
    await server.serve(stream, (request) => sealer(request, DIGEST, receiver));
  });
  return libp2p.getMultiaddrs().map(String)[0] ?? "";
}

async function fetchBulk(isTls: boolean, text: string, sizeBytes: number): Promise<void> {
  const opening = clients.get(text) ?? connected(isTls, text);
  clients.set(text, opening);
  const bulk = await opening;
  await inFlight(sizeBytes, async () => {
    const answer = await bulk.ask(TAG, 0);
    if (answer.kind !== "ok") throw new Error(`the fragment is ${answer.kind}`);
    return answer.bytes.length;
  });
}

async function connected(isTls: boolean, text: string): Promise<BulkClient> {
  const libp2p = await libp2pOf(isTls);
  const connection = await libp2p.dial(multiaddr(text));
  return new BulkClient(async () => connection.newStream(BULK_PROTOCOL));
}

/** Asks for fragments, so many at a time, until all bytes are there. */
async function inFlight(sizeBytes: number, ask: () => Promise<number>): Promise<void> {
  let left = sizeBytes;
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= FRAGMENT_BYTES;
      const got = await ask();
      if (got !== FRAGMENT_BYTES) throw new Error(`a fragment of ${got} bytes`);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
}

async function listening(server: {
  address(): AddressInfo | string | null;
  once(event: "listening", listener: () => void): unknown;
}): Promise<string> {
  await new Promise<void>((resolve) => {
    server.once("listening", resolve);
  });
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("no port");
  return String(bound.port);
}

const [mode, name = "", address = "", sizeText = ""] = process.argv.slice(2);
const kind = KINDS[name];
if (kind === undefined) throw new Error(`no kind of stream: ${name}`);
if (mode === "serve") {
  console.log(await kind.serve());
  // The first line asks for the cost so far, so that the start is not in it; then the end.
  process.stdin.on("data", () => console.log(cpuSeconds()));
  process.stdin.on("end", () => process.exit());
} else {
  // Connections, compiled code and windows are warm before anything counts.
  await kind.fetch(address, 64 * FRAGMENT_BYTES);
  const [cpuBefore, begin] = [cpuSeconds(), performance.now()];
  await kind.fetch(address, Number(sizeText));
  const seconds = (performance.now() - begin) / 1000;
  console.log(JSON.stringify({ seconds, cpuSeconds: cpuSeconds() - cpuBefore }));
  process.exit();
}
