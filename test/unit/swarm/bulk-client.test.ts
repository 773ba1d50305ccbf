/** The asking end of a bulk stream: every request has one answer, also one that is taken back. */
import { setImmediate as settled } from "node:timers/promises";
import type { Stream } from "@libp2p/interface";
import { describe, expect, it } from "vitest";
import { BulkClient } from "../../../node/swarm/bulk-client.ts";
import {
  BULK_CANCEL_INDEX,
  BULK_RECEIVED_INDEX,
  BULK_SEAL_BYTES,
  decodeBulkRequest,
  encodeBulkHeader,
  type BulkHeader,
} from "../../../protocol/exchange.ts";
import { parseSwarmTag } from "../../../protocol/ids.ts";
import { MemoryStream } from "../../support/memory-stream.ts";

const swarm = parseSwarmTag("a".repeat(64));
const other = parseSwarmTag("b".repeat(64));

function answer(stream: MemoryStream, header: BulkHeader, payload = Buffer.alloc(0)): void {
  stream.push(encodeBulkHeader(header), payload);
}

describe("a bulk client", () => {
  it("takes back a request by its id, and gives whatever answer comes", async () => {
    const stream = new MemoryStream();
    const client = new BulkClient(async () => stream as unknown as Stream);
    const answers = [client.ask(swarm, 5), client.ask(swarm, 6), client.ask(other, 5)];
    await settled();
    client.cancel(swarm, 5);
    client.cancel(swarm, 6);
    client.cancel(swarm, 7);
    await settled();

    const taken = stream.sent.map(decodeBulkRequest).slice(3);
    expect(taken).toEqual([
      { id: 1, swarm, index: BULK_CANCEL_INDEX },
      { id: 2, swarm, index: BULK_CANCEL_INDEX },
    ]);

    // The first had been sent by then.
    const seal = Buffer.alloc(BULK_SEAL_BYTES, 9);
    const sealed = Buffer.concat([seal, Buffer.from("abc")]);
    answer(stream, { id: 1, status: "ok", payloadBytes: 3 }, sealed);
    answer(stream, { id: 2, status: "cancelled", payloadBytes: 0 });
    answer(stream, { id: 3, status: "absent", payloadBytes: 0 });
    expect(await Promise.all(answers)).toEqual([
      { kind: "ok", bytes: Buffer.from("abc"), seal },
      { kind: "cancelled" },
      { kind: "absent" },
    ]);
    // Whoever sent learns that its payload is here, and of nothing else.
    const received = stream.sent.map(decodeBulkRequest).slice(5);
    expect(received).toEqual([{ id: 1, swarm, index: BULK_RECEIVED_INDEX }]);
  });

  it("has what came from a peer that was gone before it could be told so", async () => {
    const stream = new MemoryStream();
    const client = new BulkClient(async () => stream as unknown as Stream);
    const asked = client.ask(swarm, 5);
    await settled();
    stream.send = (): boolean => {
      throw new Error("the stream closed");
    };
    const seal = Buffer.alloc(BULK_SEAL_BYTES, 9);
    const sealed = Buffer.concat([seal, Buffer.from("abc")]);
    answer(stream, { id: 1, status: "ok", payloadBytes: 3 }, sealed);

    expect(await asked).toEqual({ kind: "ok", bytes: Buffer.from("abc"), seal });
  });

  it("takes back nothing that has been answered", async () => {
    const stream = new MemoryStream();
    const client = new BulkClient(async () => stream as unknown as Stream);
    const asked = client.ask(swarm, 5);
    await settled();
    answer(stream, { id: 1, status: "busy", payloadBytes: 0 });
    await asked;
    client.cancel(swarm, 5);
    await settled();

    expect(stream.sent).toHaveLength(1);
  });
});
