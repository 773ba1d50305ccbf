/**
 * The libp2p transport of a site: TCP, secured by TLS 1.3 that runs natively on the socket where both ends
 * know it, and by what libp2p negotiates (noise) where one does not. One port serves both: a TLS client
 * begins with a handshake record. Either way the upgrader gets an authenticated PeerId.
 */
import { connect as connectTcp, createServer, type Server, type Socket } from "node:net";
import {
  connect as connectTls,
  createSecureContext,
  createServer as createTlsServer,
  type SecureContext,
  type TLSSocket,
} from "node:tls";
import {
  serviceCapabilities,
  transportSymbol,
  TypedEventEmitter,
  type ComponentLogger,
  type Connection,
  type CreateListenerOptions,
  type DialTransportOptions,
  type Listener,
  type ListenerEvents,
  type Logger,
  type Transport,
  type Upgrader,
} from "@libp2p/interface";
import { peerIdFromString } from "@libp2p/peer-id";
import { getNetConfig, getThinWaistAddresses, ipPortToMultiaddr } from "@libp2p/utils";
import type { Multiaddr } from "@multiformats/multiaddr";
import { SocketConnection } from "./socket-connection.ts";
import { endpointOfCertificate, tlsIdentity, type TlsIdentity } from "./tls-identity.ts";

/** A whole TLS handshake on a slow line; also the time for the first byte of a connection. */
const HANDSHAKE_TIMEOUT_MS = 30_000;
/** As many as the connection manager keeps. */
const CONNECTIONS_MAX_COUNT = 2000;
/** First byte of a TLS handshake record (RFC 8446 5.1); multistream-select begins with its length, 0x13. */
const TLS_HANDSHAKE = 0x16;
/** Identities are proved by `endpointOfCertificate`: there is no authority whose chain could be checked. */
const UNCHAINED = { rejectUnauthorized: false } as const;
const TLS_1_3 = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" } as const;

/** For the `transports` of libp2p. */
export function siteTransport(
  seed: Uint8Array,
): (components: { readonly logger: ComponentLogger }) => Transport {
  const identity = tlsIdentity(seed);
  // Made once: each dial with a context of its own would read the key and certificate anew.
  const secureContext = createSecureContext({ ...TLS_1_3, ...identity });
  return ({ logger }) => {
    const log = logger.forComponent("branchline:transport");
    return {
      [Symbol.toStringTag]: "branchline-site",
      [transportSymbol]: true,
      [serviceCapabilities]: ["@libp2p/transport"],
      dial: async (address, options) => dialled({ address, options, secureContext, log }),
      createListener: (options) => new SiteListener(options, identity, log),
      listenFilter: tcpAddresses,
      dialFilter: tcpAddresses,
    } satisfies Transport & Record<symbol, unknown>;
  };
}

function tcpAddresses(addresses: readonly Multiaddr[]): Multiaddr[] {
  return addresses.filter((address) => address.getComponents().some(({ name }) => name === "tcp"));
}

interface Dial {
  readonly address: Multiaddr;
  readonly options: DialTransportOptions;
  readonly secureContext: SecureContext;
  readonly log: Logger;
}

async function dialled(dial: Dial): Promise<Connection> {
  dial.options.signal.throwIfAborted();
  return (await dialledOverTls(dial)) ?? dialledPlainly(dial);
}

/** Undefined where the other end took the connection and ended it at the handshake: it knows no TLS. */
async function dialledOverTls(dial: Dial): Promise<Connection | undefined> {
  const { address, options, secureContext, log } = dial;
  const { host, port } = getNetConfig(address);
  const socket = connectTls({ ...UNCHAINED, secureContext, host, port: Number(port) });
  socket.setNoDelay(true);
  let isTaken = false;
  socket.once("connect", () => {
    isTaken = true;
  });
  try {
    await opened(socket, "secureConnect", options.signal);
  } catch (error) {
    if (isTaken && !options.signal.aborted) return undefined;
    throw error;
  }
  return upgraded(socket, async () => {
    const connection = new SocketConnection(socket, address, "outbound", log);
    const proof = provenPeer(socket, options.upgrader);
    const expected = address.getComponents().findLast(({ name }) => name === "p2p")?.value;
    if (expected !== undefined && expected !== proof.remotePeer.toString()) {
      throw new Error(`${address.toString()} is ${proof.remotePeer.toString()}`);
    }
    return options.upgrader.upgradeOutbound(connection, { ...proof, signal: options.signal });
  });
}

/** Security and muxer are negotiated by libp2p; the upgrader compares the PeerId with the address's. */
async function dialledPlainly({ address, options, log }: Dial): Promise<Connection> {
  const { host, port } = getNetConfig(address);
  const socket = connectTcp({ host, port: Number(port), noDelay: true });
  await opened(socket, "connect", options.signal);
  return upgraded(socket, async () =>
    options.upgrader.upgradeOutbound(
      new SocketConnection(socket, address, "outbound", log),
      options,
    ),
  );
}

async function opened(
  socket: Socket,
  event: "connect" | "secureConnect",
  signal: AbortSignal,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  socket.once(event, resolve).once("error", reject);
  try {
    await promise;
  } catch (error) {
    // Destroying may report once more what is known already.
    socket.on("error", () => undefined).destroy();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
    socket.off("error", reject);
  }
}

async function upgraded<T>(socket: Socket, upgrade: () => Promise<T>): Promise<T> {
  try {
    return await upgrade();
  } catch (error) {
    socket.on("error", () => undefined).destroy();
    throw error;
  }
}

/** Tells the upgrader that TLS is done, by whom, and that nothing else is to be negotiated. */
function provenPeer(socket: TLSSocket, upgrader: Upgrader) {
  const remotePeer = peerIdFromString(endpointOfCertificate(socket.getPeerX509Certificate()?.raw));
  const [muxerFactory] = upgrader.getStreamMuxers().values();
  const muxer = muxerFactory === undefined ? {} : { muxerFactory };
  return { skipEncryption: true, skipProtection: true, remotePeer, ...muxer } as const;
}

class SiteListener extends TypedEventEmitter<ListenerEvents> implements Listener {
  private readonly upgrader: Upgrader;
  private readonly log: Logger;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private readonly stop = new AbortController();
  private address: Multiaddr | undefined;

  constructor({ upgrader }: CreateListenerOptions, identity: TlsIdentity, log: Logger) {
    super();
    this.upgrader = upgrader;
    this.log = log;
    const tls = createTlsServer(
      {
        ...TLS_1_3,
        ...UNCHAINED,
        ...identity,
        requestCert: true,
        handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      },
      (socket) => this.accept(socket, () => provenPeer(socket, upgrader)),
    );
    this.server = createServer({ noDelay: true }, (socket) => {
      this.sockets.add(socket);
      socket.once("close", () => this.sockets.delete(socket));
      // An error is followed by `close`, and has no reader before the upgrade.
      socket.on("error", () => undefined);
      firstByte(socket, (byte) => {
        if (byte === TLS_HANDSHAKE) tls.emit("connection", socket);
        else this.accept(socket, () => ({}));
      });
    });
    this.server.maxConnections = CONNECTIONS_MAX_COUNT;
    this.server.on("close", () => this.safeDispatchEvent("close"));
  }

  async listen(address: Multiaddr): Promise<void> {
    const { host, port } = getNetConfig(address);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.server.once("error", reject);
    this.server.listen(Number(port), host, resolve);
    await promise;
    this.server.off("error", reject);
    this.server.on("error", (detail) => this.safeDispatchEvent("error", { detail }));
    this.address = address;
    this.safeDispatchEvent("listening");
  }

  getAddrs(): Multiaddr[] {
    const bound = this.server.address();
    if (bound === null || typeof bound === "string") return [];
    return getThinWaistAddresses(this.address, bound.port);
  }

  updateAnnounceAddrs(): void {
    // Nothing is to be added to an address.
  }

  async close(): Promise<void> {
    this.stop.abort(new Error("the node stops"));
    const closed = Promise.withResolvers<void>();
    this.server.close(() => closed.resolve());
    for (const socket of this.sockets) socket.destroy();
    await closed.promise;
  }

  private accept(socket: Socket, proof: () => Partial<ReturnType<typeof provenPeer>>): void {
    const { remoteAddress, remotePort } = socket;
    const { signal } = this.stop;
    const upgrade = async (): Promise<void> => {
      if (remoteAddress === undefined || remotePort === undefined) throw new Error("it is gone");
      const from = ipPortToMultiaddr(remoteAddress, remotePort);
      const options = { ...proof(), signal };
      const connection = new SocketConnection(socket, from, "inbound", this.log);
      await this.upgrader.upgradeInbound(connection, options);
    };
    upgrade().catch((error: unknown) => {
      this.log("refused an inbound connection: %s", error);
      socket.on("error", () => undefined).destroy();
    });
  }
}

/** Looks at the first byte and puts it back. Who sends none in time is dropped. */
function firstByte(socket: Socket, then: (byte: number) => void): void {
  socket.setTimeout(HANDSHAKE_TIMEOUT_MS, () => socket.destroy());
  socket.once("readable", () => {
    const bytes: unknown = socket.read();
    if (!Buffer.isBuffer(bytes) || bytes[0] === undefined) {
      socket.destroy();
      return;
    }
    socket.setTimeout(0).removeAllListeners("timeout");
    socket.unshift(bytes);
    then(bytes[0]);
  });
}
