/**
 * Asks one peer for fragments over one long-lived stream. What comes back is unverified: the caller
 * hashes it before anything else.
 */
import type { Stream } from "@libp2p/interface";
import {
  BULK_CANCEL_INDEX,
  BULK_HEADER_BYTES,
  BULK_RECEIVED_INDEX,
  BULK_SEAL_BYTES,
  decodeBulkHeader,
  encodeBulkRequest,
  type BulkStatus,
} from "../../protocol/exchange.ts";
import type { SwarmTag } from "../../protocol/ids.ts";
import { FRAGMENT_WIRE_MAX_BYTES } from "../../protocol/limits.ts";
import { Inbox, joined } from "./stream-io.ts";

/** `lost`: the stream ended before the answer. */
export type BulkAnswer =
  | { readonly kind: "ok"; readonly bytes: Buffer; readonly seal: Buffer }
  | { readonly kind: Exclude<BulkStatus, "ok"> | "lost" };

interface Waiting {
  readonly swarm: SwarmTag;
  readonly index: number;
  readonly resolve: (answer: BulkAnswer) => void;
}

export class BulkClient {
  private readonly open: () => Promise<Stream>;
  private readonly waiting = new Map<number, Waiting>();
  private stream: Promise<Stream> | undefined;
  private nextId = 1;

  constructor(open: () => Promise<Stream>) {
    this.open = open;
  }

  /** Never rejects: every failure of the stream is `lost`. */
  async ask(swarm: SwarmTag, index: number): Promise<BulkAnswer> {
    try {
      this.stream ??= this.connected();
      const stream = await this.stream;
      const id = this.nextId++ >>> 0;
      return await new Promise<BulkAnswer>((resolve) => {
        this.waiting.set(id, { swarm, index, resolve });
        stream.send(encodeBulkRequest({ id, swarm, index }));
      });
    } catch {
      // Any failure of a peer's stream has one meaning here; the scheduler decides what follows.
      this.lose();
      return { kind: "lost" };
    }
  }

  /** Takes back what waits for its answer: one comes all the same, and may be the fragment. */
  cancel(swarm: SwarmTag, index: number): void {
    for (const [id, asked] of this.waiting) {
      if (asked.swarm !== swarm || asked.index !== index) continue;
      this.takeBack(id, swarm).catch(() => this.lose());
    }
  }

  close(): void {
    this.stream
      ?.then((stream) => stream.abort(new Error("the session closed")))
      .catch(() => this.lose());
    this.lose();
  }

  private async takeBack(id: number, swarm: SwarmTag): Promise<void> {
    const stream = await this.stream;
    if (!this.waiting.has(id)) return;
    stream?.send(encodeBulkRequest({ id, swarm, index: BULK_CANCEL_INDEX }));
  }

  private async connected(): Promise<Stream> {
    const stream = await this.open();
    const inbox = new Inbox(stream, 2 * FRAGMENT_WIRE_MAX_BYTES);
    this.pump(stream, inbox)
      .catch((error: unknown) => stream.abort(asError(error)))
      .finally(() => this.lose());
    return stream;
  }

  private async pump(stream: Stream, inbox: Inbox): Promise<void> {
    for (;;) {
      const head = await inbox.take(BULK_HEADER_BYTES);
      if (head === undefined) return;
      const header = decodeBulkHeader(joined(head));
      const waiting = this.waiting.get(header.id);
      if (waiting === undefined) throw new Error("an answer that nobody asked for");
      const { resolve, swarm } = waiting;
      this.waiting.delete(header.id);
      if (header.status !== "ok") {
        resolve({ kind: header.status });
        continue;
      }
      const payload = await this.payload(inbox, BULK_SEAL_BYTES + header.payloadBytes, resolve);
      resolve({
        kind: "ok",
        bytes: joined(payload.sublist(BULK_SEAL_BYTES)),
        seal: joined(payload.sublist(0, BULK_SEAL_BYTES)),
      });
      // Last: the peer may be gone by now, and what it sent is here all the same.
      stream.send(encodeBulkRequest({ id: header.id, swarm, index: BULK_RECEIVED_INDEX }));
    }
  }

  private async payload(inbox: Inbox, count: number, resolve: Waiting["resolve"]) {
    try {
      const payload = await inbox.take(count);
      if (payload === undefined) throw new Error("the stream ended before the payload");
      return payload;
    } catch (error) {
      resolve({ kind: "lost" });
      throw error;
    }
  }

  private lose(): void {
    this.stream = undefined;
    for (const { resolve } of this.waiting.values()) resolve({ kind: "lost" });
    this.waiting.clear();
  }
}

/** A frozen peer answers never: what waits for it must not keep others from closing. */
export async function lostOnAbort(
  answer: Promise<BulkAnswer>,
  signal: AbortSignal,
): Promise<BulkAnswer> {
  const stopped = Promise.withResolvers<BulkAnswer>();
  const onStop = (): void => stopped.resolve({ kind: "lost" });
  signal.addEventListener("abort", onStop, { once: true });
  try {
    return await Promise.race([answer, stopped.promise]);
  } finally {
    signal.removeEventListener("abort", onStop);
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
