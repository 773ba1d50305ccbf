/** The libp2p host of one node, with the transport and the limits that a site needs. */
import { noise } from "@chainsafe/libp2p-noise";
import { generateKeyPairFromSeed } from "@libp2p/crypto/keys";
import { yamux } from "@libp2p/yamux";
import { createLibp2p, type Libp2p } from "libp2p";
import type { SwarmSettings } from "../content/ports.ts";
import { siteTransport } from "./site-transport.ts";

/** Started and listening. */
export async function createSiteHost({
  seed,
  listen,
}: Pick<SwarmSettings, "seed" | "listen">): Promise<Libp2p> {
  return createLibp2p({
    privateKey: await generateKeyPairFromSeed("Ed25519", seed),
    addresses: { listen: [...listen] },
    transports: [siteTransport(seed)],
    // For peers that do not speak TLS; between two of these nodes TLS is used.
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({ streamOptions: { maxStreamWindowSize: 2 << 20, maxReadBufferLength: 16 << 20 } }),
    ],
    // A whole site may stand behind one address; the defaults refuse 45 of 50 joins (distribution 5.9).
    connectionManager: {
      maxConnections: 2000,
      inboundConnectionThreshold: 500,
      maxIncomingPendingConnections: 500,
      inboundUpgradeTimeout: 30_000,
    },
    // The monitor's ping waits behind bulk data on slow links and would cut busy connections.
    connectionMonitor: { enabled: false },
  });
}
