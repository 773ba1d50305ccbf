/**
 * Finding the tracker of a site by multicast DNS (RFC 6762). Only trackers answer and the others ask
 * rarely, so that the chatter does not grow with the number of nodes (distribution 5.1).
 */
import multicastDns from "multicast-dns";

const ASK_EVERY_MS = 300_000;
/** A TXT string holds 255 bytes (RFC 1035 3.3). */
const TXT_MAX_BYTES = 255;

export interface MdnsPorts {
  /** The site's own name, opaque to others; undefined at no site. */
  readonly serviceName: () => string | undefined;
  readonly isTracker: () => boolean;
  /** Dialable addresses with the PeerId at the end. */
  readonly addresses: () => readonly string[];
  readonly onFound: (address: string) => void;
  readonly nowMs: () => number;
}

export class SiteDiscovery {
  private readonly ports: MdnsPorts;
  private readonly socket: multicastDns.MulticastDNS;
  private nextAskMs = 0;
  private isBroken = false;

  constructor(ports: MdnsPorts) {
    this.ports = ports;
    this.socket = multicastDns({ reuseAddr: true });
    // A host without a route or with a closed port 5353 works without mDNS: the roster names its peers.
    this.socket.on("error", () => {
      this.isBroken = true;
    });
    this.socket.on("warning", () => undefined);
    this.socket.on("query", (query) => {
      const serviceName = ports.serviceName();
      const isOurs = (query.questions ?? []).some(({ name }) => name === serviceName);
      if (serviceName !== undefined && isOurs && ports.isTracker()) this.answer(serviceName);
    });
    this.socket.on("response", (response) => {
      for (const answer of response.answers ?? []) {
        const isOurs = answer.type === "TXT" && answer.name === ports.serviceName();
        if (isOurs) this.heard(answer.data);
      }
    });
  }

  /** Asks for a tracker unless it did so a moment ago. */
  ask(): void {
    const nowMs = this.ports.nowMs();
    const name = this.ports.serviceName();
    if (name === undefined || this.isBroken || nowMs < this.nextAskMs) return;
    this.nextAskMs = nowMs + ASK_EVERY_MS;
    this.socket.query({ questions: [{ name, type: "TXT" }] }, () => undefined);
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.socket.destroy(() => resolve());
    });
  }

  private answer(name: string): void {
    const data = this.ports
      .addresses()
      .filter((address) => Buffer.byteLength(address) <= TXT_MAX_BYTES)
      .slice(0, 4);
    this.socket.respond(
      { answers: [{ name, type: "TXT", ttl: 60, data: [...data] }] },
      () => undefined,
    );
  }

  private heard(data: unknown): void {
    const texts = Array.isArray(data) ? data : [data];
    for (const text of texts) {
      if (Buffer.isBuffer(text) || typeof text === "string") this.ports.onFound(String(text));
    }
  }
}
