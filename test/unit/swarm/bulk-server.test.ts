import { setImmediate as settled } from "node:timers/promises";
import type { Stream } from "@libp2p/interface";
import type { Uint8ArrayList } from "uint8arraylist";
import { describe, expect, it } from "vitest";
import { BulkServer, type UploadLimits } from "../../../node/swarm/bulk-server.ts";
import {
  BULK_CANCEL_INDEX,
  BULK_HEADER_BYTES,
  BULK_RECEIVED_INDEX,
  BULK_SEAL_BYTES,
  decodeBulkHeader,
  encodeBulkRequest,
  type BulkStatus,
} from "../../../protocol/exchange.ts";
import { parseSwarmTag } from "../../../protocol/ids.ts";
import { MemoryStream } from "../../support/memory-stream.ts";

const swarm = parseSwarmTag("a".repeat(64));
const FRAGMENT = Buffer.alloc(1000, 7);
const STILL = (): number => 0;
const SEAL = Buffer.alloc(BULK_SEAL_BYTES, 9);

/** A peer that says of every fragment that it is there, and closes after so many answers. */
class PeerStream extends MemoryStream {
  readonly #count: number;

  constructor(count: number) {
    super();
    this.#count = count;
  }

  override send(frame: Uint8Array | Uint8ArrayList): boolean {
    const isTaken = super.send(frame);
    const { id, status } = decodeBulkHeader(this.sent.at(-1)!.subarray(0, BULK_HEADER_BYTES));
    if (status === "ok") {
      this.push(encodeBulkRequest({ id, swarm, index: BULK_RECEIVED_INDEX }));
    }
    if (this.sent.length === this.#count) this.end();
    return isTaken;
  }
}

/** A peer that is gone: nothing can be sent to it. */
class GoneStream extends MemoryStream {
  override send(): boolean {
    throw new Error("the stream closed");
  }

  fail(): void {
    this.readableEnded = true;
    this.dispatchEvent(Object.assign(new Event("close"), { error: new Error("reset") }));
  }
}

async function answers(limits: Partial<UploadLimits>, indices: readonly number[]) {
  const server = new BulkServer(
    async () => FRAGMENT,
    {
      uploadSlots: 8,
      upload: async () => undefined,
      isOwed: () => false,
      ...limits,
    },
    STILL,
  );
  const stream = new PeerStream(indices.length);
  const serving = server.serve(stream as unknown as Stream, () => SEAL);
  for (const [at, index] of indices.entries()) {
    stream.push(encodeBulkRequest({ id: at + 1, swarm, index }));
  }
  await serving;
  return stream.sent.map((frame): BulkStatus => {
    return decodeBulkHeader(frame.subarray(0, BULK_HEADER_BYTES)).status;
  });
}

describe("bulk server", () => {
  it("serves nobody on a node without slots, but for what it fetched over the line itself", async () => {
    const limits = { uploadSlots: 0, isOwed: ({ index }: { index: number }) => index === 5 };

    expect(await answers(limits, [4, 5, 6])).toEqual(["busy", "ok", "busy"]);
  });

  it("takes every answer from the upload rate before it is sent", async () => {
    const taken: number[] = [];

    const statuses = await answers(
      { upload: async (sizeBytes) => void taken.push(sizeBytes) },
      [1, 2],
    );

    expect(statuses).toEqual(["ok", "ok"]);
    expect(taken).toEqual([1000, 1000]);
  });

  it("does not send what the peer has taken back, and answers every request once", async () => {
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const server = new BulkServer(
      async () => {
        begun.resolve();
        await gate.promise;
        return FRAGMENT;
      },
      { uploadSlots: 8, upload: async () => undefined, isOwed: () => false },
      STILL,
    );
    const stream = new PeerStream(3);
    const serving = server.serve(stream as unknown as Stream, () => SEAL);
    for (const id of [1, 2, 3]) stream.push(encodeBulkRequest({ id, swarm, index: id }));
    await begun.promise;
    // The first is under way, the second waits, the ninth was never asked.
    for (const id of [1, 2, 9]) {
      stream.push(encodeBulkRequest({ id, swarm, index: BULK_CANCEL_INDEX }));
    }
    gate.resolve();
    await serving;

    const headers = stream.sent.map((frame) =>
      decodeBulkHeader(frame.subarray(0, BULK_HEADER_BYTES)),
    );
    expect(headers.map(({ id, status }) => `${id} ${status}`)).toEqual([
      "1 ok",
      "2 cancelled",
      "3 ok",
    ]);
    expect(stream.sent[1]).toHaveLength(BULK_HEADER_BYTES);
  });

  it("takes back what waits for a place among the peers that are served", async () => {
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const server = new BulkServer(
      async ({ id }) => {
        if (id === 1) begun.resolve();
        if (id === 1) await gate.promise;
        return FRAGMENT;
      },
      { uploadSlots: 1, upload: async () => undefined, isOwed: () => false },
      STILL,
    );
    const [first, second] = [new PeerStream(1), new PeerStream(1)];
    const serving = [first, second].map((stream) =>
      server.serve(stream as unknown as Stream, () => SEAL),
    );
    first.push(encodeBulkRequest({ id: 1, swarm, index: 1 }));
    await begun.promise;
    second.push(encodeBulkRequest({ id: 2, swarm, index: 2 }));
    second.push(encodeBulkRequest({ id: 2, swarm, index: BULK_CANCEL_INDEX }));
    gate.resolve();
    await Promise.all(serving);

    const { status } = decodeBulkHeader(second.sent[0]!.subarray(0, BULK_HEADER_BYTES));
    expect(status).toBe("cancelled");
  });

  it("sends a peer no third fragment before it has the first", async () => {
    const server = new BulkServer(
      async () => FRAGMENT,
      { uploadSlots: 8, upload: async () => undefined, isOwed: () => false },
      STILL,
    );
    const stream = new MemoryStream();
    const serving = server.serve(stream as unknown as Stream, () => SEAL);
    for (const id of [1, 2, 3]) stream.push(encodeBulkRequest({ id, swarm, index: id }));
    await settled();
    expect(stream.sent).toHaveLength(2);

    stream.push(encodeBulkRequest({ id: 1, swarm, index: BULK_RECEIVED_INDEX }));
    await settled();
    expect(stream.sent).toHaveLength(3);

    stream.end();
    await serving;
  });

  it("gives the place of a peer that left while it waited to the next one", async () => {
    const gate = Promise.withResolvers<void>();
    const server = new BulkServer(
      async ({ id }) => {
        if (id === 1) await gate.promise;
        return FRAGMENT;
      },
      { uploadSlots: 1, upload: async () => undefined, isOwed: () => false },
      STILL,
    );
    const [first, gone, last] = [new PeerStream(1), new GoneStream(), new PeerStream(1)];
    const serve = async (stream: MemoryStream, id: number): Promise<void> => {
      const serving = server.serve(stream as unknown as Stream, () => SEAL);
      stream.push(encodeBulkRequest({ id, swarm, index: id }));
      await settled();
      await serving;
    };
    const serving = [serve(first, 1), serve(gone, 2), serve(last, 3)];
    await settled();
    gone.push(encodeBulkRequest({ id: 2, swarm, index: BULK_CANCEL_INDEX }));
    gone.fail();
    const [left] = await Promise.allSettled([serving[1]]);
    expect(left.status).toBe("rejected");

    gate.resolve();
    await Promise.all([serving[0], serving[2]]);
    expect(last.sent).toHaveLength(1);
  });
});
